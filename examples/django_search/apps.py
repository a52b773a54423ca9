"""The app: its name in the admin."""

from __future__ import annotations

from django.apps import AppConfig


class SearchConfig(AppConfig):
    """``"django_search"`` in INSTALLED_APPS."""

    name = "django_search"
    verbose_name = "search"
