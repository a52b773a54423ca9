"""HTML and SVG as text, escaped by construction: what is not `Html` already is data. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta"})
_SHAPES = frozenset({"circle", "line", "path", "rect"})


class Html(str):
    """Text that is markup already. Only `tag`, `joined` and constants of the program make any."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Html:
    """An element. Children that are no `Html`, and all attributes, are escaped; an attribute of None is left out.

    ``class_`` is written ``class``, and other underscores are hyphens.
    """
    opened = name + "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{opened}>")
    if name in _SHAPES and not children:
        return Html(f"<{opened}/>")
    return Html(f"<{opened}>{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Html:
    """One after another; parts that are no `Html` are escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def _value(value: str | float) -> str:
    """Numbers of a drawing to a tenth of a pixel: more is only longer."""
    return escape(value) if isinstance(value, str) else f"{round(value, 1):g}"
