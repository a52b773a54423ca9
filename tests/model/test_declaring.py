"""A tenant that is declared new: no interleaving hides a record that was acknowledged, and each rule is needed."""

from __future__ import annotations

from dataclasses import fields

import pytest

from .declaring import Model, Rules, explore

SCOPES = {
    "one declaration after another": (Model(versions=6, lapses=0), 53_529),
    "with sessions that lapse": (Model(versions=3, lapses=1), 122_006),
}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "states"), SCOPES.values(), ids=SCOPES)
def test_no_interleaving_of_first_writes_and_declarations_hides_a_record(model: Model, states: int) -> None:
    assert explore(model) == (None, states), "the protocol has changed: check that the model still says it"


@pytest.mark.slow
@pytest.mark.parametrize("rule", [rule.name for rule in fields(Rules)])
def test_each_rule_of_a_declaration_is_needed(rule: str) -> None:
    wrong, _ = explore(Model(Rules(**{rule: False}), versions=6, lapses=0))
    assert wrong
