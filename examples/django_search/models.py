"""The companies: who is a tenant here."""

from __future__ import annotations

from django.db import models


class Company(models.Model):
    """By the name that stands before ``.localhost``."""

    slug: models.SlugField[str, str] = models.SlugField(primary_key=True)
    name: models.CharField[str, str] = models.CharField(max_length=80)

    class Meta:
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return self.name


def known(slug: str) -> bool:
    """``SHARDROUTE["KNOWN"]``: all other names are not found."""
    return Company.objects.filter(slug=slug).exists()
