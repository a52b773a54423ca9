"""shardroute in Django projects: ``request.vectors``, `tenant` and `atenant`; a command; a page in the admin."""

from .process import close
from .tenants import AsyncTenant, SyncTenant, Vectors, atenant, tenant

__all__ = ["AsyncTenant", "SyncTenant", "Vectors", "atenant", "close", "tenant"]
