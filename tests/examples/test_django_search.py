"""The search engine on Django as its readers start it: two workers, two companies, an admin, and a move."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.patience import PATIENCE

from .search import ROOT, Search, is_nowhere, running

pytestmark = pytest.mark.slow

NOTE = b"Notes of a kettle\n\nThe zeppelin brews its tea in the clouds."
MOST = 20  # files that are added during a move: each is a passage more to be compared


@pytest.fixture(scope="module")
def search() -> Iterator[Search]:
    with running("django_search") as started:
        yield started


def manage(search: Search, *arguments: str) -> subprocess.CompletedProcess[str]:
    """By the command that the hint names."""
    [folder] = re.findall(r"SEARCH_FOLDER=(\S+)", search.hint)
    return subprocess.run(
        [sys.executable, ROOT / "examples" / "django_search" / "manage.py", *arguments],
        env={**os.environ, "SEARCH_FOLDER": folder, "DJANGO_SETTINGS_MODULE": "django_search.settings"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def post(client: httpx.Client, path: str, form: str = "/", **more: object) -> httpx.Response:
    """With the token of the form on a page."""
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(form).text)
    assert token is not None
    return client.post(path, data={"csrfmiddlewaretoken": token[1], **more.pop("data", {})}, **more)  # type: ignore[arg-type, dict-item]  # `more` is what httpx takes


def titles(page: str) -> list[str]:
    return re.findall(r'<h2><a href="[^"]+">([^<]+)</a></h2>', page)


def found(client: httpx.Client, query: str) -> str:
    return client.get("/", params={"query": query}).text


def test_each_company_finds_its_own_and_nothing_of_the_other(search: Search) -> None:
    with search.client("acme") as acme, search.client("globex") as globex:
        assert titles(found(acme, "how long is the warranty"))[0] == "What the warranty covers"
        assert titles(found(globex, "the rings of saturn"))[0] == "Saturn and its rings"
        assert "Saturn and its rings" not in titles(found(acme, "the rings of saturn"))
        assert globex.get("/documents/warranty").status_code == 404


@pytest.mark.parametrize("name", ["initech", "www", "a.acme"])
def test_a_name_that_is_no_companys_is_not_found(search: Search, name: str) -> None:
    with search.client(name) as client:
        answer = client.get("/")
    assert answer.status_code == 404
    assert "acme.localhost" in answer.text


def test_a_file_is_found_by_its_words_and_removed(search: Search) -> None:
    with search.client("acme") as acme:
        added = post(acme, "/documents", files={"file": ("Airship notes.txt", NOTE)}, follow_redirects=True)
        assert "<h1>Notes of a kettle</h1>" in added.text
        assert "<mark>zeppelin</mark>" in found(acme, "zeppelin")
        assert acme.get("/static/search/style.css").status_code == 200
        assert acme.post("/documents/airship-notes/removal").status_code == 403  # from another site
        post(acme, "/documents/airship-notes/removal", "/documents/airship-notes")
        assert acme.get("/documents/airship-notes").status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("picture.txt", b"\xff\xd8\xff\xe0", 422),
        ("empty.txt", b"  \n", 422),
        ("nothing.txt", b"", 422),
        ("large.txt", b"words " * 100_000, 413),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(
    search: Search, name: str, content: bytes, status: int
) -> None:
    with search.client("acme") as acme:
        answer = post(acme, "/documents", files={"file": (name, content)})
    assert answer.status_code == status
    assert "<h1>" in answer.text


def test_what_a_file_says_is_shown_as_it_is(search: Search) -> None:
    hostile = b"<script>alert(1)</script>\n\n<b onclick=x>kettle</b> & co"
    with search.client("globex") as globex:
        post(globex, "/documents", files={"file": ("hostile.txt", hostile)})
        for page in (globex.get("/", params={"query": "<b>kettle</b>"}), globex.get("/documents/hostile")):
            assert "<script>alert" not in page.text
            assert "<b onclick" not in page.text
            assert page.headers["Content-Security-Policy"] == "default-src 'self'"
        post(globex, "/documents/hostile/removal", "/documents/hostile")


def signed_in(client: httpx.Client, search: Search, page: str) -> httpx.Response:
    """A page of the admin, for the user that the hint names."""
    told = re.search(r"user (\S+), password (\S+)", search.hint)
    assert told is not None
    login = {"username": told[1], "password": told[2]}
    return post(client, f"/admin/login/?next={page}", "/admin/login/", data=login, follow_redirects=True)


def test_the_user_that_was_made_sees_the_companies_in_the_admin(search: Search) -> None:
    with search.client("acme") as client:
        answer = signed_in(client, search, "/admin/shardroute_django/tenant/")
    assert re.findall(r'<tr data-tenant="([^"]+)"', answer.text) == ["acme", "globex"]


def test_a_company_moves_while_it_searches_and_uploads(search: Search) -> None:
    with search.client("globex") as globex, ThreadPoolExecutor() as threads:
        moved = threads.submit(manage, search, "shardroute", "migrate", "globex")
        number = 0
        while not moved.done():
            if number < MOST:
                number += 1
                log = (f"log {number}.txt", f"Log {number}\n\nNight {number}: clouds.".encode())
                assert post(globex, "/documents", files={"file": log}).status_code == 302
            assert titles(found(globex, "binoculars"))[0] == "Begin with binoculars"
        assert moved.result().returncode == 0, moved.result().stderr
        assert globex.get("/standing").json()["cluster"] == "new"
        for one in range(1, number + 1):
            assert f"Night {one}: clouds." in globex.get(f"/documents/log-{one}").text
        assert manage(search, "shardroute", "rollback", "globex").returncode == 0
        assert f"Night {number}: clouds." in globex.get(f"/documents/log-{number}").text


def test_the_project_has_nothing_that_its_checks_or_migrations_complain_of(search: Search) -> None:
    checked = manage(search, "check", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    assert manage(search, "makemigrations", "--check", "--dry-run").returncode == 0


@pytest.mark.parametrize("path", ["/nope", "/documents/warranty/nope", "/static/nope"])
def test_an_address_that_is_nowhere_has_a_page(search: Search, path: str) -> None:
    is_nowhere(search, path)


def test_the_admin_calls_it_search_and_finds_the_icon_that_browsers_ask_for(search: Search) -> None:
    with search.client("acme") as client:
        icon = client.get("/favicon.ico", follow_redirects=True)
        assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml")
        admin = signed_in(client, search, "/admin/")
    assert re.search(r'href="/admin/django_search/"[^>]*>\s*search\s*<', admin.text, re.IGNORECASE)
