"""A search engine for the documents of several companies, served by Django, each company on its own subdomain."""
