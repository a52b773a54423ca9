"""Makes no table: only what permissions hang on."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    operations = [  # noqa: RUF012 - as Django writes it
        migrations.CreateModel(
            name="Tenant",
            fields=[("name", models.CharField(max_length=128, primary_key=True, serialize=False))],
            options={
                "managed": False,
                "default_permissions": ("view",),
                "permissions": (("move_tenants", "Can move tenants between clusters"),),
            },
        )
    ]
