"""Companies beside the tenants that shardroute_django shows."""

from __future__ import annotations

from django.contrib import admin

from .models import Company

admin.site.register(Company)
