"""Texts in passages that are short enough to be found, and long enough to be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from .encoder import words

_LONGEST = 600  # characters
_STEM = 4  # letters that two words have to share at the beginning to be marked


@dataclass(frozen=True, slots=True)
class Text:
    """A file: its id is made from its name, its title is its first line."""

    id: str
    title: str
    passages: Sequence[str]


def read(name: str, content: bytes) -> Text:
    """Raises ValueError, in words for who sent the file."""
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError("this is not a text file in UTF-8") from None
    slug = re.sub(r"[^a-z0-9]+", "-", name.rpartition(".")[0].lower()).strip("-")[:60]
    if not text or not slug:
        raise ValueError("a file needs a name and some text")
    title, _, rest = text.partition("\n")
    return Text(slug, title.strip("# ")[:120], list(_passages(rest.strip() or title)))


def _passages(text: str) -> Iterator[str]:
    """Paragraphs; long ones end where a sentence does."""
    for paragraph in re.split(r"\n\s*\n", text):
        passage = ""
        for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
            if passage and len(passage) + len(sentence) > _LONGEST:
                yield passage
                passage = ""
            passage = f"{passage} {sentence}".strip()
        if passage:
            yield passage


def marked(text: str, query: str) -> SafeString:
    """As HTML, with the words that the query has in a like form."""
    wanted = {word[:_STEM] for word in words(query)}
    parts = re.split(r"([^\W_]+)", text)
    return format_html_join("", "{}", ((_part(part, wanted),) for part in parts))


def _part(part: str, wanted: set[str]) -> SafeString:
    said = words(part) and part.lower()[:_STEM] in wanted
    return format_html("<mark>{}</mark>", part) if said else escape(part)
