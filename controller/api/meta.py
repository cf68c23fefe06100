"""What every object has: metadata, a key, and the place that it came from.

Rules of the model:
- An object is immutable and holds only what the gateway reads: `status`, `resourceVersion` and managed fields are
  dropped on purpose, so that a write of our own status is no change.
- The API's defaults are the defaults of the structs; unknown fields are ignored (validation is the work of
  `sluicegate.schema`).
- Enumerations stay strings: the API says that an unknown value must give a condition, never a crash.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

import msgspec

GATEWAY_GROUP = "gateway.networking.k8s.io"
#: Group of the Gateway API's kinds that are experiments as a whole.
EXPERIMENTAL_GROUP = "gateway.networking.x-k8s.io"
#: Group of our own kinds.
OWN_GROUP = "sluicegate.dev"


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of every part of an object: frozen, named as in the API, lenient to unknown fields."""


class Origin(NamedTuple):
    """Where an object came from.

    Attributes:
        path: a file path, `-` for standard input, or `cluster`.
        line: 1-based line of the document in that file; 0 where there is none.
    """

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


CLUSTER = Origin("cluster")


class ObjectKey(NamedTuple):
    """Names one object among all; `namespace` is empty for kinds without namespaces."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """The key that `str` made a text of."""
        kind, _, rest = text.partition("/")
        namespace, _, name = rest.rpartition("/")
        return cls(kind, namespace, name)


class ObjectMeta(Model, frozen=True, kw_only=True):
    """`metadata`, as far as it is read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    generation: int = 0
    creation_timestamp: datetime.datetime | None = None
    deletion_timestamp: datetime.datetime | None = None

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted, and only waits for what belongs to it (foreground deletion, finalizers)."""
        return self.deletion_timestamp is not None

    @property
    def created(self) -> int:
        """Seconds since 1970, 0 where unknown: the age that precedence goes by."""
        stamp = self.creation_timestamp
        if stamp is None:
            return 0
        if stamp.tzinfo is None:  # YAML 1.1 timestamps without a zone are UTC
            stamp = stamp.replace(tzinfo=datetime.UTC)
        return int(stamp.timestamp())


class Object(Model, frozen=True, kw_only=True):
    """Base of every kind. `key` and `origin` are set by `decode`, never read from the document."""

    metadata: ObjectMeta
    key: ObjectKey = msgspec.field(name="sluicegate.dev/key", default=ObjectKey("", "", ""))
    origin: Origin = msgspec.field(name="sluicegate.dev/origin", default=CLUSTER)

    @property
    def namespace(self) -> str:
        """Namespace of the object, empty for kinds without one."""
        return self.key.namespace

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.key.name

    def same_content(self, other: Object) -> bool:
        """Whether both say the same; the place that they came from does not count."""
        if type(self) is not type(other):
            return False
        return all(
            getattr(self, field) == getattr(other, field) for field in self.__struct_fields__ if field != "origin"
        )


class LabelSelectorRequirement(Model, frozen=True, kw_only=True):
    """One of `matchExpressions[]`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether the labels fulfil this requirement; an unknown operator never holds.

        Source: LabelSelectorRequirement of k8s.io/apimachinery.
        """
        value = labels.get(self.key)
        if self.operator == "In":
            return value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        if self.operator == "Exists":
            return value is not None
        return self.operator == "DoesNotExist" and value is None


class LabelSelector(Model, frozen=True, kw_only=True):
    """All parts must hold; an empty selector selects everything."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether the labels are selected."""
        return all(labels.get(name) == value for name, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )
