"""What the admin and its permissions are about. There is no table: tenants are in Redis and on the clusters."""

from __future__ import annotations

from django.db import models


class Tenant(models.Model):
    """A tenant's name. Who has the permission `view_tenant` may look, who has `move_tenants` may move."""

    name: models.CharField[str, str] = models.CharField(primary_key=True, max_length=128)

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (("move_tenants", "Can move tenants between clusters"),)

    def __str__(self) -> str:
        return self.name
