from __future__ import annotations

from django.contrib import admin
from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from . import views

urlpatterns = [
    path("", views.search),
    path("documents", views.upload),
    path("documents/<slug:document>", views.document),
    path("documents/<slug:document>/removal", views.removal),
    path("standing", views.standing),
    path("ready", views.ready),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("search/icon.svg"))),  # for the admin's pages
]
handler404 = "django_search.pages.missing"
