"""The project's commands: ``python examples/django_search/manage.py shardroute status``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_search.settings")
    execute_from_command_line(sys.argv)
