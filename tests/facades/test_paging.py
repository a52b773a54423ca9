"""A tenant read page by page, which is what listings of both facades are made of."""

from __future__ import annotations

import pytest

from shardroute import InvalidInput, Router
from shardroute.errors import Unavailable
from shardroute.filters import Equals
from tests.support.world import World, record


async def test_pages_hold_every_record_once_and_no_more_than_asked_for(router: Router) -> None:
    tenant = router.tenant("acme")
    await tenant.upsert([record(f"r{number}") for number in range(23)])
    found, cursor, sizes = list[str](), None, list[int]()
    while True:
        page = await tenant.page(cursor, limit=5)
        sizes.append(len(page.records))
        found += [one.id for one in page.records]
        if (cursor := page.cursor) is None:
            break
    assert max(sizes) <= 5
    assert sorted(found) == sorted(f"r{number}" for number in range(23))


async def test_a_page_may_be_of_what_a_filter_finds_and_without_vectors(router: Router) -> None:
    tenant = router.tenant("acme")
    await tenant.upsert([record("a", kind="x"), record("b", kind="y")])
    page = await tenant.page(filter=Equals("kind", ("x",)), vectors=False)
    assert [(one.id, one.vector) for one in page.records] == [("a", None)]


async def test_paging_goes_on_where_it_began_until_the_tenant_has_left_that_cluster(
    world: World, router: Router
) -> None:
    tenant = router.tenant("acme")
    await tenant.upsert([record(f"r{number}") for number in range(9)])
    first = await tenant.page(limit=4)
    async with world.admin() as admin:
        await admin.move("migrate", "acme")
        second = await tenant.page(first.cursor, limit=4)
        assert not {one.id for one in first.records} & {one.id for one in second.records}
        await admin.move("complete", "acme")
    with pytest.raises(Unavailable, match="begin the scan again"):
        await tenant.page(second.cursor, limit=4)


@pytest.mark.parametrize("cursor", ["", "5", "old", "elsewhere:5"])
async def test_a_cursor_from_elsewhere_is_refused(router: Router, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await router.tenant("acme").page(cursor)


async def test_a_page_of_nothing_is_refused(router: Router) -> None:
    with pytest.raises(InvalidInput, match="limit is 0"):
        await router.tenant("acme").page(limit=0)
