"""Settings of the project that the tests use. Where the servers are, the environment says."""

from __future__ import annotations

import os
from typing import Any

from shardroute.web import Header

SECRET_KEY = "nothing secret is kept here"
DEBUG = False
ALLOWED_HOSTS = [".localhost", "127.0.0.1", "testserver", ".example.com"]
USE_TZ = True
ROOT_URLCONF = "tests.django.urls"
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "shardroute_django",
    "tests.django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "shardroute_django.middleware.ShardrouteMiddleware",
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
        "NAME": os.environ.get("TEST_DATABASE", ":memory:"),
        "OPTIONS": {"timeout": 20},
    }
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SHARDROUTE: dict[str, Any] = {
    "CONFIG": os.environ.get("TEST_CONFIG", "shardroute.toml"),
    "RESOLVER": Header("X-Tenant"),
}
