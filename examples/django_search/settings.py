"""Settings. `SEARCH_FOLDER` says where the database and the configuration are."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex

from shardroute.web import Subdomain

FOLDER = Path(os.environ.get("SEARCH_FOLDER", "."))

SECRET_KEY = os.environ.get("SEARCH_SECRET") or token_hex()  # of all workers one: a deployment keeps it
ALLOWED_HOSTS = [".localhost", "127.0.0.1"]
ROOT_URLCONF = "django_search.urls"
WSGI_APPLICATION = "django_search.wsgi.application"
STATIC_URL = "/static/"
TIME_ZONE = "UTC"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "shardroute_django",
    "django_search",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "shardroute_django.middleware.ShardrouteMiddleware",
    "django_search.pages.Sorry",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "db.sqlite3",
        "OPTIONS": {"timeout": 20},
    }
}
SHARDROUTE = {
    "CONFIG": FOLDER / "shardroute.toml",
    "RESOLVER": Subdomain("localhost"),  # behind a login: Subdomain(…) & Attribute("user.company.slug")
    "KNOWN": "django_search.models.known",
}
