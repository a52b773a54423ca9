"""Addresses as they may be shown: without user, password and query, in repr, errors, logs and on the screen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

HIDDEN = "***"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?")

ENCODED = "a user's or a password's / ? # [ ] @ : are written %2F %3F %23 %5B %5D %40 %3A"


def shown(url: str) -> str:
    """The address without login and query; of what is no clear address, the scheme at most.

    A password that is not encoded may have any letter, so everything up to the last @ is left out, and all of it where
    a ? or # comes before that: then nobody can tell where the address ends.
    """
    scheme, found, rest = url.partition("://")
    if not found or not _SCHEME.fullmatch(scheme):
        return HIDDEN
    login, _, rest = rest.rpartition("@")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    clear = not re.search(r"[?#]", login) and _PLACE.fullmatch(place)
    return f"{scheme}://{place if clear else HIDDEN}"


def flaw(url: str, schemes: Iterable[str]) -> str | None:
    """Why it cannot be the address of a server, in words that hold nothing of it; None if nothing is wrong."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return f"it has no host and port that can be read ({ENCODED})"
    if parts.scheme not in schemes:
        return f"it has to begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if parts.fragment or "@" in parts.path + parts.query or url.endswith("#"):
        return f"it goes on with a @ or # where its host has ended ({ENCODED})"
    return None


def without(text: str, secrets: Iterable[str]) -> str:
    """A text of others, without these."""
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
