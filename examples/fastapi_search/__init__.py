"""A search engine for the documents of several companies, served by FastAPI, each company on its own subdomain."""
