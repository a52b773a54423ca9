"""Words of others (clusters, encoders, Redis, collectors) are cut before they are matched, logged or shown.

A server may quote what it was sent: an error's text is as long as whoever asked wants it to be.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 1000
"""Characters of a foreign text that are kept. The longest name that a server has to quote (a collection's) has 255."""


def quoted(words: object, longest: int = LONGEST) -> str:
    """`words` as text of `longest` characters at most: its beginning and its end, and how much lies between.

    Both ends are kept because servers put what went wrong before or behind what they quote.
    """
    text = str(words)
    if len(text) <= longest:
        return text
    gap = f" [… {len(text) - longest:,} more …] "
    kept = max(0, longest - len(gap))
    end = kept // 3
    return (text[: kept - end] + gap + text[len(text) - end :])[:longest]
