"""The admin's page as a browser shows it, while a tenant moves by a click.

Pictures go to the folder that `SHARDROUTE_TEST_PICTURES` names, or to that of the test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import override_settings
from django.test.testcases import LiveServerThread

from shardroute.agreement import Agreement
from shardroute.control import ControlPlane
from shardroute.statistics import Tally
from tests.browser.chromium import Chromium
from tests.browser.conftest import browser
from tests.cli.conftest import Deployment

from .conftest import Project
from .test_admin import AWAY

__all__ = ["browser"]

WIDE, NARROW = 1280, 400
COPIED = 1500  # records of the tenant that moves
PAGE = "/admin/shardroute_django/tenant/"
RESULTS = "document.querySelector('.results')"
SESSIONS = "document.querySelector('.sr-sessions')"
TILE = "(phase => document.querySelector(`[data-count=${phase}]`).textContent)"
VERSION = rf"/map version (\d+)/.exec({SESSIONS}.textContent)[1]"
LONG = f"{'x' * 60}-{'y' * 67}"  # as long as names may be
AGREED = Agreement(10, 1.0, 1.0, 1.0, None, 0.0, 0)
DIFFERED = Agreement(10, 0.0, 0.0, 0.0, 1, 0.1, 0)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("SHARDROUTE_TEST_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def site(project: Project, deployed: Deployment) -> Iterator[str]:
    """The project on a port of this process, with its static files, under a policy that allows nothing inline."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    with override_settings(MIDDLEWARE=["tests.django.strict.Strict", *settings.MIDDLEWARE]):
        server.start()
        try:
            server.is_ready.wait()
            assert server.error is None
            yield f"http://{deployed.namespace}.localhost:{server.port}"  # nobody has signed in there
        finally:
            server.terminate()


@pytest.fixture
async def tenants(deployed: Deployment) -> None:
    """One in each of four phases, and one that takes a while to be copied."""
    for tenant in ("acme", "globex", "hooli", "umbrella"):
        await deployed.fill(tenant, 60)
    await deployed.fill("initech", COPIED)
    async with deployed.admin() as admin:
        for tenant, verbs in {
            "acme": "migrate",
            "hooli": "migrate complete",
            "globex": "migrate rollback",
        }.items():
            for verb in verbs.split():
                await admin.move(verb, tenant)
    await compared(deployed, "acme")
    deployed.write(rate=100)  # a copy of 15 s, to be seen by a page that a busy machine draws


async def compared(deployed: Deployment, tenant: str) -> None:
    """As shadows would have seen it."""
    tally = Tally()
    for number in range(400):
        tally.compared(AGREED if number % 50 else DIFFERED)
    plane = ControlPlane.open(deployed.config.control)
    await plane.stats.add(tenant, tally, window=10, retention=600)
    await plane.aclose()


@pytest.fixture
async def crowded(deployed: Deployment, tenants: None) -> None:
    """The longest name that there may be, and a holder with a long one."""
    await deployed.fill(LONG, 3)
    plane = ControlPlane.open(deployed.config.control)
    await plane.scripts.run("acquire", "globex", f"{'host.' * 12}example.com:12345:f00d", 600_000, "claim")
    await plane.aclose()


@pytest.fixture
def signed_in(browser: Chromium, site: str, tenants: None) -> str:
    """The page, for a superuser who has come through the login."""
    if not User.objects.filter(username="root").exists():
        User.objects.create_superuser("root", password="open sesame")
    browser.open(f"{site}/admin/login/?next={PAGE}", width=WIDE)
    browser.follow(
        "document.querySelector('#id_username').value = 'root';"
        "document.querySelector('#id_password').value = 'open sesame';"
        "document.querySelector('#login-form').requestSubmit()"
    )
    return f"{site}{PAGE}"


def until(browser: Chromium, condition: str) -> None:
    """Returns when a condition holds in the page."""
    browser.value(f"""new Promise(resolve => {{
      const look = () => ({condition}) ? resolve() : requestAnimationFrame(look);
      look();
    }})""")


def counts(browser: Chromium) -> dict[str, int]:
    """By phase, without those that are 0."""
    tiles = browser.value(
        "[...document.querySelectorAll('[data-count]')].map(tile => [tile.dataset.count, tile.textContent])"
    )
    return {phase: int(count) for phase, count in tiles if count != "0"}


def colour(browser: Chromium, selector: str) -> str:
    """That a button is filled with."""
    element = f"document.querySelector('#content {selector}')"
    return str(browser.value(f"getComputedStyle({element}).backgroundColor"))


def row(tenant: str) -> str:
    return f"document.querySelector('tr[data-tenant={tenant}]')"


@pytest.mark.slow
def test_a_tenant_is_moved_by_a_click_and_its_progress_watched(
    browser: Chromium, signed_in: str, pictures: Path
) -> None:
    browser.follow(f"{row('initech')}.querySelector('[data-verb=migrate]').click()")
    assert "compares every one" in browser.value("document.querySelector('#content').textContent")
    calm = colour(browser, "[type=submit]")
    browser.picture(pictures / "django-admin-migrate.png")
    browser.follow("document.querySelector('#content form').requestSubmit()")
    told = browser.value("document.querySelector('.messagelist').textContent")
    assert "Tenant initech is being migrated." in told
    browser.open(signed_in, width=WIDE)
    version = int(browser.value(VERSION))
    until(  # at one moment: the next may be of another phase
        browser,
        rf"/copied [1-9][\d,]* of {COPIED:,}, \d+\/s, 0:\d\d left/.test({row('initech')}.textContent)"
        f" && {row('initech')}.dataset.phase === 'DUAL_OLD'"
        f" && [...{row('initech')}.querySelectorAll('[data-verb]')].every(verb => verb.hidden)",
    )
    browser.picture(pictures / "django-admin-moving.png")
    assert browser.value(f"{RESULTS}.scrollWidth - {RESULTS}.clientWidth") == 0
    until(browser, f"{row('initech')}.dataset.phase === 'DUAL_NEW'")
    until(browser, f"{row('initech')}.textContent.includes('migrate done')")
    assert browser.value(f"{row('initech')}.querySelector('.sr-copy').hidden")
    # Tiles are of the process's own map, which may be a moment behind the rows.
    until(browser, f"{TILE}('DUAL_NEW') === '2'")
    assert counts(browser) == {"OLD": 1, "DUAL_OLD": 1, "DUAL_NEW": 2, "NEW": 1}
    assert int(browser.value(VERSION)) > version
    browser.picture(pictures / "django-admin-moved.png")
    assert not browser.value("document.querySelector('.sr-stale').checkVisibility()")
    browser.follow(f"{row('hooli')}.querySelector('[data-verb=purge]').click()")
    assert "There is no way back" in browser.value("document.querySelector('#content').textContent")
    assert colour(browser, "[type=submit]") != calm
    browser.picture(pictures / "django-admin-purge.png")
    assert browser.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False)])
def test_it_looks_like_the_admin_in_light_and_dark_and_fits_the_screen(
    browser: Chromium, signed_in: str, pictures: Path, width: int, dark: bool
) -> None:
    browser.open(signed_in, width=width, dark=dark)
    assert browser.complaints == []
    assert {request.split("/")[2] for request in browser.requests} == {signed_in.split("/")[2]}
    shown = browser.value("[...document.querySelectorAll('tr[data-tenant]')].map(row => row.dataset.phase)")
    assert shown == ["DUAL_NEW", "DUAL_OLD", "NEW", "OLD", "OLD"]
    assert not browser.value("document.querySelector('.sr-stale').checkVisibility()")
    assert "98.0\N{NO-BREAK SPACE}% of\N{NO-BREAK SPACE}400" in browser.value(f"{row('acme')}.textContent")
    assert browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    browser.picture(pictures / f"django-admin-{width}-{'dark' if dark else 'light'}.png")


@pytest.mark.slow
def test_no_column_and_no_verb_is_cut_off_at_any_width(
    browser: Chromium, crowded: None, signed_in: str, pictures: Path
) -> None:
    for width in (1600, WIDE, 1256, 1200, 1000, 800, 700, NARROW):
        browser.open(signed_in, width=width)
        assert browser.value(f"{row('globex')}.textContent.includes('example.com')")
        assert browser.value(f"document.querySelector('[data-tenant={LONG}]') !== null")
        columns = browser.value("document.querySelector('#result_list thead').checkVisibility()")
        assert columns == (width > 1200)  # 1256: hardly more than the columns need
        for table in (RESULTS, SESSIONS):
            assert browser.value(f"{table}.scrollWidth - {table}.clientWidth") == 0, width
        beyond = browser.value(
            "[...document.querySelectorAll('[data-verb]:not([hidden])')].filter("
            "verb => verb.getBoundingClientRect().right > document.documentElement.clientWidth).length"
        )
        assert beyond == 0, width
        browser.picture(pictures / f"django-admin-crowded-{width}.png")


@pytest.mark.slow
def test_what_was_wrong_is_gone_from_a_page_that_watches_when_it_is_over(
    browser: Chromium, signed_in: str, project: Project
) -> None:
    problem = "document.querySelector('[data-problem]')"
    with project(CONFIG={**AWAY}):
        browser.open(signed_in, width=WIDE)
        assert browser.value(f"{problem}.checkVisibility()")
        assert not browser.value("document.querySelector('.sr-stale').checkVisibility()")
    until(browser, f"!{problem}.checkVisibility()")
    assert counts(browser) == {"OLD": 2, "DUAL_OLD": 1, "DUAL_NEW": 1, "NEW": 1}
