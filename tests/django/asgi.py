"""For uvicorn."""

from __future__ import annotations

import os

from shardroute_django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings")
application = get_asgi_application()
