"""The search engine as its readers start it: two workers, two companies, and a move in the middle."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from .search import Search, is_nowhere

pytestmark = pytest.mark.slow

NOTE = b"Notes of a kettle\n\nThe zeppelin brews its tea in the clouds.\n\nNothing else is known of it."


MOST = 20  # files that are added during a move: each is a passage more to be compared


def log(number: int) -> dict[str, tuple[str, bytes]]:
    return {"file": (f"log {number}.txt", f"Log {number}\n\nNight {number}: clouds.".encode())}


def titles(page: str) -> list[str]:
    return re.findall(r'<h2><a href="[^"]+">([^<]+)</a></h2>', page)


def test_each_company_finds_its_own_and_nothing_of_the_other(search: Search) -> None:
    with search.client("acme") as acme, search.client("globex") as globex:
        assert titles(acme.get("/", params={"query": "how long is the warranty"}).text)[0] == (
            "What the warranty covers"
        )
        assert (
            titles(globex.get("/", params={"query": "the rings of saturn"}).text)[0] == "Saturn and its rings"
        )
        assert "Saturn and its rings" not in titles(
            acme.get("/", params={"query": "the rings of saturn"}).text
        )
        assert globex.get("/documents/warranty").status_code == 404


@pytest.mark.parametrize("name", ["initech", "www", "a.acme"])
def test_a_name_that_is_no_companys_is_not_found(search: Search, name: str) -> None:
    with search.client(name) as client:
        answer = client.get("/")
    assert answer.status_code == 404
    assert "acme.localhost" in answer.text


def test_a_file_is_found_by_its_words_replaced_and_removed(search: Search) -> None:
    with search.client("acme") as acme:
        added = acme.post("/documents", files={"file": ("Airship notes.txt", NOTE)}, follow_redirects=True)
        assert "<h1>Notes of a kettle</h1>" in added.text
        found = acme.get("/", params={"query": "zeppelin"}).text
        assert titles(found)[0] == "Notes of a kettle"
        assert "<mark>zeppelin</mark>" in found

        shorter = NOTE.rpartition(b"\n\n")[0].replace(b"zeppelin", b"submarine")
        acme.post("/documents", files={"file": ("Airship notes.txt", shorter)})
        whole = acme.get("/documents/airship-notes").text
        assert "submarine" in whole
        assert "zeppelin" not in whole
        assert "Nothing else is known" not in whole

        acme.post("/documents/airship-notes/removal")
        assert acme.get("/documents/airship-notes").status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("picture.txt", b"\xff\xd8\xff\xe0", 422),
        ("empty.txt", b"  \n", 422),
        ("???.txt", b"words", 422),
        ("large.txt", b"words " * 100_000, 413),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(
    search: Search, name: str, content: bytes, status: int
) -> None:
    with search.client("acme") as acme:
        answer = acme.post("/documents", files={"file": (name, content)})
    assert answer.status_code == status
    assert "<h1>" in answer.text


def test_what_a_file_says_is_shown_as_it_is(search: Search) -> None:
    hostile = b"<script>alert(1)</script>\n\n<b onclick=x>kettle</b> & co"
    with search.client("globex") as globex:
        globex.post("/documents", files={"file": ("hostile.txt", hostile)})
        for page in (globex.get("/", params={"query": "<b>kettle</b>"}), globex.get("/documents/hostile")):
            assert "<script>alert" not in page.text
            assert "<b onclick" not in page.text
            assert page.headers["Content-Security-Policy"] == "default-src 'self'"
        globex.post("/documents/hostile/removal")


def test_a_company_moves_while_it_searches_and_uploads(search: Search) -> None:
    with search.client("globex") as globex, ThreadPoolExecutor() as threads:
        moved = threads.submit(search.script, "migrate", "globex")
        number = 0
        while not moved.done():
            if number < MOST:
                number += 1
                assert globex.post("/documents", files=log(number)).status_code == 303
            assert titles(globex.get("/", params={"query": "binoculars"}).text)[0] == "Begin with binoculars"
        assert moved.result().returncode == 0, moved.result().stderr
        assert globex.get("/standing").json()["cluster"] == "new"
        for one in range(1, number + 1):
            assert f"Night {one}: clouds." in globex.get(f"/documents/log-{one}").text
        assert search.script("rollback", "globex").returncode == 0
        assert f"Night {number}: clouds." in globex.get(f"/documents/log-{number}").text


def test_the_hint_names_what_to_open_and_what_to_run(search: Search) -> None:
    assert f"http://acme.localhost:{search.port}/" in search.hint
    assert "shardroute migrate acme" in search.hint


@pytest.mark.parametrize("path", ["/nope", "/documents/warranty/nope", "/static/nope"])
def test_an_address_that_is_nowhere_has_a_page(search: Search, path: str) -> None:
    is_nowhere(search, path)
