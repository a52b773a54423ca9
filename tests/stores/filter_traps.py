"""What stores get wrong about filters, one by one."""

from __future__ import annotations

from dataclasses import dataclass

from .generated import Metadata, Raw


@dataclass(frozen=True)
class Trap:
    """A sentence about what filters mean, and records that show it."""

    sentence: str
    filter: Raw
    match: list[Metadata]
    differ: list[Metadata]

    def __str__(self) -> str:
        return self.sentence


TRAPS = [
    Trap(
        "$ne matches records that lack the field",
        {"a": {"$ne": 1}},
        [{}, {"b": 1}, {"a": 2}, {"a": "1"}, {"a": True}, {"a": None}, {"a": []}],
        [{"a": 1}, {"a": 1.0}],
    ),
    Trap(
        "$nin matches records that lack the field",
        {"a": {"$nin": [1, "x"]}},
        [{}, {"b": 1}, {"a": 2}, {"a": "1"}, {"a": "X"}, {"a": None}, {"a": []}],
        [{"a": 1}, {"a": 1.0}, {"a": "x"}],
    ),
    Trap(
        "$not of an equality matches records that lack the field",
        {"$not": {"a": "x"}},
        [{}, {"a": "y"}, {"a": ["y"]}],
        [{"a": "x"}, {"a": ["y", "x"]}],
    ),
    Trap(
        "$not of a range matches records that lack the field or hold no number in it",
        {"$not": {"a": {"$gt": 1}}},
        [{}, {"a": 1}, {"a": "2"}, {"a": True}, {"a": ["2"]}],
        [{"a": 2}, {"a": 1.5}],
    ),
    Trap(
        "$exists and $ne together match records that have the field",
        {"a": {"$exists": True, "$ne": 1}},
        [{"a": 2}, {"a": ["x"]}],
        [{}, {"a": 1}, {"a": None}, {"a": []}],
    ),
    Trap("42 matches 42.0", {"a": 42}, [{"a": 42}, {"a": 42.0}], [{"a": "42"}, {"a": 41}, {"a": 42.5}]),
    Trap("42.0 matches 42", {"a": 42.0}, [{"a": 42}, {"a": 42.0}], [{"a": "42.0"}, {"a": "42"}]),
    Trap("0 matches -0.0", {"a": 0}, [{"a": 0}, {"a": -0.0}], [{"a": False}, {"a": ""}, {}, {"a": 5e-324}]),
    Trap(
        "an $in of whole numbers matches floats",
        {"a": {"$in": [1, 2]}},
        [{"a": 1.0}, {"a": 2}],
        [{"a": "1"}, {"a": True}, {"a": 1.5}],
    ),
    Trap("true is not 1", {"a": True}, [{"a": True}], [{"a": 1}, {"a": 1.0}, {"a": "true"}, {"a": False}]),
    Trap("1 is not true", {"a": 1}, [{"a": 1}, {"a": 1.0}], [{"a": True}, {"a": "1"}]),
    Trap(
        "false is neither 0 nor absent",
        {"a": False},
        [{"a": False}],
        [{"a": 0}, {"a": -0.0}, {"a": ""}, {}, {"a": None}],
    ),
    Trap(
        "true is in no range",
        {"a": {"$gte": 0, "$lte": 1}},
        [{"a": 0}, {"a": 1.0}, {"a": 0.5}],
        [{"a": True}, {"a": False}, {}],
    ),
    Trap("strings are in no range", {"a": {"$gt": 1}}, [{"a": 2}], [{"a": "2"}, {"a": "x"}, {"a": ["2"]}]),
    Trap(
        "a number is told from the string that spells it",
        {"a": "42"},
        [{"a": "42"}, {"a": ["42"]}],
        [{"a": 42}, {"a": 42.0}, {"a": "42.0"}],
    ),
    Trap(
        "an $in may hold strings, numbers and booleans side by side",
        {"a": {"$in": ["x", 1, False]}},
        [{"a": "x"}, {"a": 1.0}, {"a": False}, {"a": ["y", "x"]}],
        [{"a": True}, {"a": "1"}, {"a": 0}, {}],
    ),
    Trap(
        "a $nin may hold strings, numbers and booleans side by side",
        {"a": {"$nin": ["x", 1, False]}},
        [{"a": True}, {"a": "1"}, {"a": 0}, {}],
        [{"a": "x"}, {"a": 1.0}, {"a": False}, {"a": ["y", "x"]}],
    ),
    Trap("an empty $in matches nothing", {"a": {"$in": []}}, [], [{"a": 1}, {"a": ["x"]}, {}, {"a": []}]),
    Trap(
        "an empty $nin matches everything",
        {"a": {"$nin": []}},
        [{"a": 1}, {"a": ["x"]}, {}, {"a": []}, {"a": None}],
        [],
    ),
    Trap(
        "an empty $in in an $or leaves the others",
        {"$or": [{"a": {"$in": []}}, {"b": 1}]},
        [{"b": 1}, {"a": 1, "b": 1}],
        [{"a": 1}, {}],
    ),
    Trap("$not of an empty $in matches everything", {"$not": {"a": {"$in": []}}}, [{}, {"a": 1}], []),
    Trap(
        "any element of a list is enough",
        {"a": "x"},
        [{"a": "x"}, {"a": ["x"]}, {"a": ["w", "x"]}],
        [{"a": []}, {"a": ["xy"]}, {"a": "x y"}],
    ),
    Trap(
        "$in matches a list if any element is in it",
        {"a": {"$in": ["x", "z"]}},
        [{"a": ["w", "x"]}, {"a": "z"}],
        [{"a": ["w", "y"]}, {"a": []}],
    ),
    Trap(
        "$ne does not match a list with the value among others",
        {"a": {"$ne": "x"}},
        [{"a": ["y", "z"]}, {"a": []}],
        [{"a": ["x", "y"]}, {"a": ["x"]}],
    ),
    Trap(
        "$nin does not match a list with one of the values among others",
        {"a": {"$nin": ["x", "z"]}},
        [{"a": ["w", "y"]}, {"a": []}],
        [{"a": ["w", "x"]}, {"a": ["z"]}],
    ),
    Trap(
        "two equalities on one field are both met by a list",
        {"$and": [{"a": "x"}, {"a": "y"}]},
        [{"a": ["x", "y"]}, {"a": ["z", "y", "x"]}],
        [{"a": ["x"]}, {"a": "x"}, {"a": "y"}],
    ),
    Trap(
        "any number of a mixed list is enough for a range",
        {"a": {"$gt": 3}},
        [{"a": [1, 4]}, {"a": ["x", None, 5]}],
        [{"a": [1, 2]}, {"a": ["x", True]}],
    ),
    Trap(
        "two bounds may be met by different elements of a list",
        {"a": {"$gt": 1, "$lt": 3}},
        [{"a": 2}, {"a": [0, 4]}, {"a": [2]}],
        [{"a": 0}, {"a": 4}, {"a": [4, 5]}, {"a": 1}, {"a": 3}],
    ),
    Trap(
        "all operators on one field hold together",
        {"a": {"$gte": 1, "$lte": 5, "$ne": 3, "$nin": [4]}},
        [{"a": 1}, {"a": 2.5}, {"a": 5}],
        [{"a": 3}, {"a": 3.0}, {"a": 4}, {"a": 0.5}, {"a": 6}, {}],
    ),
    Trap("bounds that exclude each other match nothing", {"a": {"$gt": 2, "$lt": 1}}, [], [{"a": 1.5}, {}]),
    Trap(
        "$exists matches what is false, zero or an empty string",
        {"a": {"$exists": True}},
        [{"a": False}, {"a": 0}, {"a": ""}, {"a": ["x"]}, {"a": [None]}, {"a": {}}],
        [{}, {"b": 1}],
    ),
    Trap(
        "null and the empty list count as absent",
        {"a": {"$exists": False}},
        [{}, {"a": None}, {"a": []}],
        [{"a": 0}, {"a": ""}, {"a": [None]}, {"a": {}}],
    ),
    Trap(
        "several keys in an object are joined by $and",
        {"a": 1, "b": 2},
        [{"a": 1, "b": 2.0}],
        [{"a": 1}, {"b": 2}, {"a": 1, "b": 3}],
    ),
    Trap(
        "$not negates the whole object and not each of its keys",
        {"$not": {"a": 1, "b": 2}},
        [{}, {"a": 1}, {"b": 2}, {"a": 1, "b": 3}],
        [{"a": 1, "b": 2}],
    ),
    Trap(
        "$not of an $or means none of them",
        {"$not": {"$or": [{"a": 1}, {"b": {"$exists": True}}]}},
        [{}, {"a": 2}],
        [{"a": 1}, {"b": 0}, {"a": 2, "b": ""}],
    ),
    Trap("$not of a $ne means $eq", {"$not": {"a": {"$ne": 1}}}, [{"a": 1.0}, {"a": 1}], [{}, {"a": 2}]),
    Trap(
        "$not twice is no $not",
        {"$not": {"$not": {"a": {"$gte": 1}}}},
        [{"a": 1}, {"a": 2}],
        [{}, {"a": 0}, {"a": "1"}],
    ),
    Trap(
        "a key beside an $or has to be met as well",
        {"a": 1, "$or": [{"b": 1}, {"b": 2}]},
        [{"a": 1, "b": 1}, {"a": 1, "b": 2}],
        [{"a": 1}, {"b": 1}, {"a": 2, "b": 1}],
    ),
    Trap(
        "a dot in a field's name is no path", {"a.b": 1}, [{"a.b": 1}], [{"a": {"b": 1}}, {"a": 1}, {"b": 1}]
    ),
    Trap(
        "brackets in a field's name are no index",
        {"$or": [{"a[0]": "x"}, {"a[]": "x"}]},
        [{"a[0]": "x"}, {"a[]": "x"}],
        [{"a": ["x"]}, {"a": "x"}],
    ),
    Trap(
        "field names may hold spaces and any letters, and their case counts",
        {"$or": [{"two words": 1}, {"größe": 1}, {"日本": 1}]},
        [{"two words": 1}, {"größe": 1}, {"日本": 1}],
        [{"two": 1}, {"Größe": 1}, {"grosse": 1}],
    ),
    Trap(
        "strings compare character by character",
        {"a": "é"},
        [{"a": "\u00e9"}],
        [{"a": "e\u0301"}, {"a": "É"}, {"a": "é "}, {"a": "e"}],
    ),
    Trap("case counts", {"a": "Red"}, [{"a": "Red"}], [{"a": "red"}, {"a": "RED"}, {"a": ["red"]}]),
    Trap(
        "the empty string is a value like others", {"a": ""}, [{"a": ""}, {"a": ["", "x"]}], [{}, {"a": " "}]
    ),
    Trap("a value may look like an operator", {"a": "$eq"}, [{"a": "$eq"}], [{"a": "eq"}, {}]),
    Trap(
        "whole numbers are told apart up to 2**53",
        {"a": {"$gt": 2**53 - 1}},
        [{"a": 2**53}, {"a": float(2**53)}],
        [{"a": 2**53 - 1}, {"a": float(2**53 - 1)}, {"a": -(2**53)}],
    ),
    Trap(
        "neighbouring floats are told apart",
        {"a": {"$eq": 0.1 + 0.2}},
        [{"a": 0.30000000000000004}],
        [{"a": 0.3}, {"a": 0.30000000000000009}],
    ),
    Trap("an object equals nothing", {"a": {"$ne": 1}}, [{"a": {"b": 1}}, {"a": [{"b": 1}]}], [{"a": 1}]),
    Trap(
        "a list in a list is not looked into",
        {"a": "x"},
        [{"a": ["x"]}],
        [{"a": [["x"]]}, {"a": [["x"], "y"]}],
    ),
]
