"""What a facade does not cover, said by name: an attribute of the vendor's client, or an argument of a method."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ..errors import NotCovered


class AttributeNotCovered(NotCovered, AttributeError):
    """The same of a whole method, so that `hasattr` says no."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of which client a facade is, and which arguments its owner said may be let go of."""

    facade: str
    client: type
    ignored: Collection[str] = field(default=())

    def missing(self, name: str) -> AttributeError:
        """For `__getattr__`: the client has it and the facade does not, or neither has."""
        if hasattr(self.client, name):
            return AttributeNotCovered(
                f"{self.client.__name__}.{name} is not covered by {self.facade}; docs/facades.md lists what is"
            )
        return AttributeError(f"{self.facade!r} object has no attribute {name!r}")

    def refuse(self, call: str, **given: object) -> None:
        """Raises NotCovered for arguments that are given (not None) and may not be let go of."""
        for name, value in given.items():
            if value is not None and name not in self.ignored:
                raise self.not_covered(
                    f"{call}({name}=…)", f"leave it out, or say ignored=[{name!r}] where the facade is made"
                )

    def not_covered(self, call: str, instead: str) -> NotCovered:
        """The error for a call that the client takes and the facade does not."""
        return NotCovered(f"{self.client.__name__}.{call} is not covered by {self.facade}: {instead}")
