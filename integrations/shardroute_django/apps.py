"""The app: its name in the admin, and its checks."""

from __future__ import annotations

from django.apps import AppConfig


class ShardrouteConfig(AppConfig):
    """``"shardroute_django"`` in INSTALLED_APPS."""

    name = "shardroute_django"
    verbose_name = "shardroute"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from .checks import register_all

        register_all()
