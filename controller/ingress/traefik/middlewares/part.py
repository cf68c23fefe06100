"""One Middleware, while it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....api.ingress import Middleware
from ...features import Closed
from ...losses import Cause, Fate
from ...reading import Reading

#: The annotation that names Middlewares.
NAME = "router.middlewares"

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One Middleware, while it is read.

    Attributes:
        reading: of the Ingress that names it.
        item: the Middleware.
        kind: the key of its spec.
        spec: what stands there.
    """

    reading: Reading
    item: Middleware
    kind: str
    spec: Spec

    @property
    def cause(self) -> Cause:
        """Where it is written."""
        return self.reading.inventory.cause(self.item, f"spec.{self.kind}")

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The same, after the annotation that names it."""
        return (self.cause, *self.reading.causes(NAME))

    def tell(self, fate: Fate, message: str, remedy: str = "") -> None:
        """Tell what became of it."""
        self.reading.ledger.tell(self.cause, fate, message, remedy)

    def closed(self, message: str, remedy: str) -> Closed:
        """Nobody may be let in without it."""
        self.tell("no-equivalent", f"{message}: its paths answer 500", remedy)
        return Closed(causes=self.causes, reason=message)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.spec.get(key)
        return tuple(map(str, found)) if isinstance(found, list) else ()

    def mapping(self, key: str) -> Spec:
        """What stands below a key."""
        found = self.spec.get(key)
        return found if isinstance(found, dict) else {}

    def number(self, key: str) -> int:
        """A whole number; 0: none."""
        found = self.spec.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
