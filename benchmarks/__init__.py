"""Measurements: what routing adds to a request, and how fast a tenant is copied."""
