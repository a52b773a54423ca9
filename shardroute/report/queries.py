"""The worst queries of a comparison: the ids of both answers, rank by rank. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from ..comparisons import Example
from ..phases import EFFECTS, Side
from .markup import Html, tag
from .scales import duration, moment

MOST_RANKS = 20
"""Of each query; what is below them is only counted."""


def _sign(sign: str, meaning: str) -> Html:
    return tag("span", sign, class_="sign", role="img", aria_label=meaning, title=meaning)


_SIGNS: Mapping[str, Sequence[Html]] = {
    "same": (),
    "moved": (_sign("↕", "at another rank in the other answer"),),
    "absent": (_sign("✗", "not in the other answer"),),
}


def worst_queries(examples: Sequence[Example], clusters: Mapping[Side, str]) -> Html:
    """One table for each, in the given order."""
    return tag("div", *(_query(example, clusters) for example in examples), class_="queries")


def _query(example: Example, clusters: Mapping[Side, str]) -> Html:
    primary = EFFECTS[example.phase].primary
    answers = (
        _head(primary, clusters, "answer", example.primary_seconds),
        _head(primary.other, clusters, "shadow", example.other_seconds),
    )
    return tag(
        "article",
        tag("h3", f"Query {example.digest}"),
        tag("p", f"{_badness(example)}, {example.top_k} asked for", class_="muted"),
        tag("p", f"{moment(example.at)}, in {example.phase}", class_="muted"),
        *([tag("p", example.note, class_="alarm")] if example.note else []),
        tag(
            "table",
            tag("thead", tag("tr", tag("th", "#", scope="col", class_="rank"), *answers)),
            tag("tbody", *_ranks(example.primary_ids, example.other_ids)),
        ),
        *_rest(example.primary_ids, example.other_ids),
        class_="query",
    )


def _head(side: Side, clusters: Mapping[Side, str], role: str, seconds: float | None) -> Html:
    took = "" if seconds is None else f", {duration(seconds)}"
    return tag("th", tag("span", clusters[side], class_=f"side-{side}"), f" {role}{took}", scope="col")


def _badness(example: Example) -> str:
    return "Breach" if example.badness > 1 else f"Recall {1 - example.badness:.3g}"


def _ranks(primary: Sequence[str], other: Sequence[str]) -> list[Html]:
    return [
        tag(
            "tr",
            tag("th", str(rank), scope="row", class_="rank"),
            _cell(mine, theirs, other),
            _cell(theirs, mine, primary),
        )
        for rank, (mine, theirs) in enumerate(_aligned(primary, other)[:MOST_RANKS], start=1)
    ]


def _aligned(primary: Sequence[str], other: Sequence[str]) -> list[tuple[str | None, str | None]]:
    return list(zip_longest(primary, other))


def _cell(name: str | None, opposite: str | None, others: Sequence[str]) -> Html:
    """`opposite`: what has the same rank in the other answer, whose ids are `others`."""
    if name is None:
        return tag("td", "—", class_="muted")
    kind = "same" if name == opposite else "moved" if name in others else "absent"
    return tag("td", *_SIGNS[kind], name, class_=kind)


def _rest(primary: Sequence[str], other: Sequence[str]) -> list[Html]:
    """Of the ranks that are not shown: how many there are, and how many differ."""
    rest = _aligned(primary, other)[MOST_RANKS:]
    differing = sum(mine != theirs for mine, theirs in rest)
    words = f"{len(rest)} more ranks, of which {differing} differ."
    return [tag("p", words, class_="muted")] if rest else []
