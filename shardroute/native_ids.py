"""The ids that Qdrant's points have, and the spellings of them that are not its own. Pure.

A record's id is text: it is a key of the journal, and on the other side of a move it may be a string like any other.
So a point has one id here, in the spelling that Qdrant gives back, and no call takes another one. Qdrant itself takes
any spelling of a UUID for the same point; a call that did not know it would find nothing, and delete nothing.
"""

from __future__ import annotations

import re
from uuid import UUID

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
_LARGEST = (1 << 64) - 1


def native_id(record_id: str) -> int | str | None:
    """The id as Qdrant's own, if it is one in the spelling that Qdrant gives back; else None."""
    if _NUMBER.fullmatch(record_id) and int(record_id) <= _LARGEST:
        return int(record_id)
    return record_id if _UUID.fullmatch(record_id) else None


def respelt(record_id: str) -> str | None:
    """The id in Qdrant's spelling, if this is another spelling of one: `9E107D9D…`, `urn:uuid:…`, `007`; else None."""
    if native_id(record_id) is not None:
        return None
    try:
        return str(UUID(record_id))
    except ValueError:
        pass
    if record_id.isdecimal() and int(record_id) <= _LARGEST:
        return str(int(record_id))
    return None


def misfit(record_id: str) -> str | None:
    """Why no point of Qdrant has this id, or None."""
    if native_id(record_id) is not None:
        return None
    known = respelt(record_id)
    is_not = (
        "one of Qdrant's: a number below 2**64, or a UUID in lower case with hyphens"
        if known is None
        else f"in Qdrant's spelling, which is {known!r}"
    )
    return f'id {record_id!r} is not {is_not}; ids = "mapped" takes any'
