from __future__ import annotations

from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("ready", views.ready),
    path("untouched", views.untouched),
    path("favicon.ico", views.untouched),
    path("docs/<name>", views.doc),
    path("search", views.search),
    path("about", views.about),
    path("async/docs/<name>", views.async_doc),
    path("async/search", views.async_search),
    path("async/about", views.async_about),
]
