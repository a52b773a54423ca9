"""For gunicorn. Static files are served as well; a deployment has them elsewhere."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_search.settings")
application = StaticFilesHandler(get_wsgi_application())
