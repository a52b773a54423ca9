"""What a request to create or configure an index of the Pinecone emulator may say beside the schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

from shardroute.testing import _pinecone_checks as check
from shardroute.testing._pinecone_errors import Refused

MANAGED = {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"}
CREATED = frozenset(
    {"name", "schema", "deployment", "read_capacity", "deletion_protection", "tags", "cmek_id"}
)
CONFIGURED = frozenset({"schema", "deployment", "read_capacity", "deletion_protection", "tags"})
MAX_TAGS = 20
TAG_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
MAX_TAG_VALUE = 120
NOT_UNDERSTOOD = 422
"""The status of a body that is no such message."""


def at_creation(body: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a new index. Raises Refused for what is unknown, and for deployments that are not managed."""
    refuse_unknown(body, CREATED)
    deployment = {**MANAGED, **check.mapping(body.get("deployment") or {}, "deployment")}
    if deployment["deployment_type"] != "managed":
        raise Refused(f"the emulator has no deployments of type {deployment['deployment_type']!r}")
    refuse_unknown(deployment, MANAGED.keys())
    settings = {"deployment": deployment, **_common(body)}
    settings["tags"] = _merged({}, body.get("tags"))
    return settings


def to_configure(body: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """What changes of an index with these settings. Tags are merged; an empty value deletes one."""
    refuse_unknown(body, CONFIGURED)
    if body.get("schema") is not None:
        raise Refused("The schema of an index cannot be changed", NOT_UNDERSTOOD)
    if body.get("deployment") is not None:
        raise Refused("Only the replicas and the pod type of a pod-based index can be changed")
    settings = _common(body)
    if "tags" in body:
        settings["tags"] = _merged(held.get("tags") or {}, body["tags"])
    return settings


def refuse_unknown(given: Mapping[str, Any], known: Set[str], where: str = "") -> None:
    """Raises Refused naming a key that is not known."""
    for key in given:
        if key not in known:
            expected = ", ".join(f"`{name}`" for name in sorted(known))
            raise Refused(
                f"Invalid request: {where}unknown field `{key}`, expected one of {expected}", NOT_UNDERSTOOD
            )


def _common(body: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if (protection := body.get("deletion_protection")) is not None:
        if protection not in ("enabled", "disabled"):
            raise Refused(f"deletion_protection must be enabled or disabled, got {protection!r}")
        settings["deletion_protection"] = protection
    if (capacity := body.get("read_capacity")) is not None:
        given = check.mapping(capacity, "read_capacity")
        refuse_unknown(given, {"mode", "dedicated"}, "read_capacity: ")
        settings["read_capacity"] = {**given, "status": {"state": "Ready"}}
    if "cmek_id" in body:
        settings["cmek_id"] = body["cmek_id"]
    return settings


def _merged(held: Mapping[str, str], given: Any) -> dict[str, str] | None:
    """Without any, None: so the service answers."""
    changes = check.mapping(given or {}, "tags")
    for key, value in changes.items():
        if not TAG_KEY.fullmatch(key) or not isinstance(value, str) or len(value) > MAX_TAG_VALUE:
            raise Refused(
                f"tag {key!r} is not one: 1-80 of A-Z a-z 0-9 _ -, and a text of {MAX_TAG_VALUE} at most"
            )
    merged = {key: value for key, value in {**held, **changes}.items() if value}
    if len(merged) > MAX_TAGS:
        raise Refused(f"An index has {MAX_TAGS} tags at most, got {len(merged)}")
    return merged or None
