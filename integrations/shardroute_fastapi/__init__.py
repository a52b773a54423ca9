"""shardroute in FastAPI and Starlette applications."""
