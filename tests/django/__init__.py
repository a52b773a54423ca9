"""A small Django project, in this process and as served by real servers."""
