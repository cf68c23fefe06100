"""What all features are, and those of one Ingress together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ..losses import Cause

#: Name and value of a header field.
Field = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Base of all.

    Attributes:
        causes: where it comes from; never empty.
    """

    causes: tuple[Cause, ...]

    @property
    def cause(self) -> Cause:
        """The one that switches it on."""
        return self.causes[0]

    def cause_of(self, word: str) -> Cause:
        """The one whose annotation or key has a word in its name; else the one that switches the feature on."""
        return next((item for item in self.causes if word in item.subject), self.cause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Feature):
    """Its requests are refused: what protects it cannot be read, and nothing must go on without it.

    Attributes:
        reason: what is wrong.
        there: the source's controller refused them too, whatever came.
    """

    reason: str
    there: bool = False


_F = TypeVar("_F", bound=Feature)


class Features:
    """The features of one Ingress, each kind once."""

    def __init__(self, found: Iterable[Feature] = ()) -> None:
        """Take features; of two of a kind the first stays."""
        self._by_kind: dict[type[Feature], Feature] = {}
        for item in found:
            self._by_kind.setdefault(type(item), item)

    def get(self, kind: type[_F]) -> _F | None:
        """The feature of a kind; None: it has none."""
        found: _F | None = self._by_kind.get(kind)  # type: ignore[assignment]  # it is of its kind
        return found

    def without(self, kinds: tuple[type[Feature], ...]) -> Features:
        """The same without features of some kinds."""
        return Features(item for item in self if not isinstance(item, kinds))

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._by_kind.values())
