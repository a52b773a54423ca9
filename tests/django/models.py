"""Who belongs to whom: for resolvers that look into the database."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class Organisation(models.Model):
    slug: models.SlugField[str, str] = models.SlugField(unique=True)

    class Meta:
        app_label = "django"

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """`user.membership.organisation.slug` is three queries away from a request."""

    user: models.OneToOneField[Any, Any] = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE
    )
    organisation: models.ForeignKey[Any, Any] = models.ForeignKey(Organisation, on_delete=models.CASCADE)

    class Meta:
        app_label = "django"

    def __str__(self) -> str:
        return f"{self.user} of {self.organisation}"
