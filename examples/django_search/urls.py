from __future__ import annotations

from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("", views.search),
    path("documents", views.upload),
    path("documents/<slug:document>", views.document),
    path("documents/<slug:document>/removal", views.removal),
    path("standing", views.standing),
    path("ready", views.ready),
    path("admin/", admin.site.urls),
]
