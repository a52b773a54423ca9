"""The search engine of the examples as a browser shows it.

Pictures go to the folder that `SHARDROUTE_TEST_PICTURES` names, or to those of the tests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.search import Search, running

from .chromium import Chromium

WIDE, NARROW = 1200, 400


@pytest.fixture(scope="module")
def search(browser: Chromium) -> Iterator[Search]:
    """Not started where there is no browser."""
    with running() as started:
        yield started


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("SHARDROUTE_TEST_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fits(browser: Chromium) -> bool:
    return bool(browser.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False)])
def test_a_search_is_typed_and_answered_and_nothing_is_asked_of_others(
    browser: Chromium, search: Search, pictures: Path, width: int, dark: bool
) -> None:
    kind = f"{width}-{'dark' if dark else 'light'}"
    browser.open(f"{search.url('acme')}/", width=width, dark=dark)
    assert fits(browser)
    browser.picture(pictures / f"search-documents-{kind}.png")
    browser.follow(
        "document.querySelector('[name=query]').value = 'my kettle boils on and on';"
        "document.querySelector('.search').requestSubmit()"
    )
    assert browser.value("document.querySelector('.hits h2').textContent") == "The kettle does not switch off"
    assert browser.value("document.querySelectorAll('.hits mark').length") > 2
    assert fits(browser)
    assert {request.split("/")[2] for request in browser.requests} == {f"acme.localhost:{search.port}"}
    assert browser.complaints == []
    browser.picture(pictures / f"search-found-{kind}.png")


@pytest.mark.slow
def test_a_file_that_is_chosen_is_added(browser: Chromium, search: Search, pictures: Path) -> None:
    browser.open(f"{search.url('globex')}/")
    content = json.dumps("A comet in the evening\n\nLow in the west, with a tail to the left.")
    browser.follow(
        f"""const given = new DataTransfer();
        given.items.add(new File([{content}], 'comet.txt', {{type: 'text/plain'}}));
        document.querySelector('[type=file]').files = given.files;
        document.querySelector('.upload').requestSubmit()"""
    )
    assert browser.value("document.querySelector('article h1').textContent") == "A comet in the evening"
    browser.picture(pictures / "search-document.png")
    browser.follow("document.querySelector('.removal').requestSubmit()")
    assert "A comet in the evening" not in browser.value("document.body.textContent")


@pytest.mark.slow
def test_the_line_follows_a_move_without_a_click(browser: Chromium, search: Search, pictures: Path) -> None:
    browser.open(f"{search.url('acme')}/?query=tea")
    assert browser.value("document.querySelector('.standing').dataset.cluster") == "old"
    assert search.script("migrate", "acme").returncode == 0
    arrived = browser.value("""new Promise(resolve => {
      const line = document.querySelector('.standing');
      const look = () => line.dataset.step === '3' ? resolve(line.textContent) : requestAnimationFrame(look);
      look();
    })""")
    assert "on the new cluster, with the way back open" in arrived
    browser.picture(pictures / "search-moved.png")


@pytest.mark.slow
def test_without_a_company_there_is_a_choice_of_them(
    browser: Chromium, search: Search, pictures: Path
) -> None:
    browser.open(f"{search.url('initech')}/")
    assert browser.value("document.querySelector('h1').textContent") == "No such tenant."
    browser.picture(pictures / "search-unknown.png")
    browser.follow("document.querySelector('.documents a').click()")
    assert browser.value("document.title") == "Acme Kettles"
