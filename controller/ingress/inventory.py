"""What a conversion has in hand: the objects, and where each of their fields is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..api import Object, ObjectKey, Secret, Service
from ..api.ingress import Ingress, IngressClass, Middleware, TextMap
from .losses import Cause

#: Gives the 1-based line of each of the fields of an object; 0 where it is not known.
Lines = Callable[[ObjectKey, Sequence[str]], Sequence[int]]


def no_lines(_key: ObjectKey, fields: Sequence[str]) -> Sequence[int]:
    """Of objects that no file is known of."""
    return [0] * len(fields)


def annotation_field(name: str) -> str:
    """Path of an annotation in an object."""
    return f'metadata.annotations["{name}"]'


class Place(NamedTuple):
    """A listener that there is.

    Attributes:
        kind: of what it stands in: a Gateway or a ListenerSet.
        namespace: of that.
        name: of that.
        section: its own name.
    """

    kind: str
    namespace: str
    name: str
    section: str


@dataclass(frozen=True)
class Inventory:
    """Objects by namespace and name.

    Attributes:
        ingresses: in the order in which the source's controller takes them: the oldest first, then by name.
        classes: IngressClasses, by name.
        services: by namespace and name.
        secrets: by namespace and name.
        config_maps: by namespace and name.
        middlewares: of Traefik, by namespace and name.
        listeners: of the Gateway where it exists, by hostname and port: these are used, and no others made for them.
        lines: where fields are written.
        has_services: somebody gave Services, so that one which is not among them is missing.
    """

    ingresses: tuple[Ingress, ...] = ()
    classes: Mapping[str, IngressClass] = field(default_factory=dict)
    services: Mapping[tuple[str, str], Service] = field(default_factory=dict)
    secrets: Mapping[tuple[str, str], Secret] = field(default_factory=dict)
    config_maps: Mapping[tuple[str, str], TextMap] = field(default_factory=dict)
    middlewares: Mapping[tuple[str, str], Middleware] = field(default_factory=dict)
    listeners: Mapping[tuple[str, int], tuple[Place, ...]] = field(default_factory=dict)
    lines: Lines = no_lines
    has_services: bool = False
    _references: dict[str, Middleware] = field(default_factory=dict, repr=False, compare=False)
    _of_hosts: dict[str, list[Ingress]] = field(default_factory=dict, repr=False, compare=False)
    _known: dict[tuple[ObjectKey, str], int] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, objects: Iterable[Object], lines: Lines = no_lines) -> Inventory:
        """Sort objects into an inventory; kinds that no conversion reads are left out.

        Args:
            objects: each key once.
            lines: where their fields are written.
        """
        found = list(objects)
        ingresses = [item for item in found if isinstance(item, Ingress)]
        services = {item.key[1:]: item for item in found if isinstance(item, Service)}
        return cls(
            ingresses=tuple(sorted(ingresses, key=_age)),
            classes={item.name: item for item in found if isinstance(item, IngressClass)},
            services=services,
            secrets={item.key[1:]: item for item in found if isinstance(item, Secret)},
            config_maps={item.key[1:]: item for item in found if isinstance(item, TextMap)},
            middlewares={item.key[1:]: item for item in found if isinstance(item, Middleware)},
            lines=lines,
            has_services=bool(services),
        )

    def middleware(self, reference: str) -> Middleware | None:
        """A Middleware as annotations name it, such as `shop-strip@kubernetescrd`."""
        if not self._references:
            for (namespace, name), item in self.middlewares.items():
                self._references[f"{namespace}-{name}@kubernetescrd"] = item
        return self._references.get(reference)

    def others_of_hosts(self, item: Ingress) -> tuple[Ingress, ...]:
        """Other Ingresses that name a host of one, by name."""
        if not self._of_hosts:
            for each in self.ingresses:
                for host in dict.fromkeys(rule.host.lower() for rule in each.spec.rules):
                    self._of_hosts.setdefault(host, []).append(each)
        found = {other.key: other for rule in item.spec.rules for other in self._of_hosts.get(rule.host.lower(), ())}
        return tuple(other for key, other in sorted(found.items()) if key != item.key)

    def cause(self, item: Object, subject: str, value: str = "", *, at: str = "") -> Cause:
        """Where a field or annotation of an object is written.

        Args:
            item: the object.
            subject: what it is called: a field, an annotation.
            value: as it is written.
            at: its path, where that is not what it is called.
        """
        return Cause(str(item.key), item.origin.path, self._line(item, at or subject), subject, value)

    def of_annotation(self, item: Object, name: str) -> Cause:
        """Where an annotation is written."""
        return self.cause(item, name, item.metadata.annotations.get(name, ""), at=annotation_field(name))

    def of_key(self, item: TextMap, key: str) -> Cause:
        """Where a key of a ConfigMap is written."""
        return self.cause(item, key, str(item.data.get(key, "")), at=f'data["{key}"]')

    def _line(self, item: Object, path: str) -> int:
        """Lines of an object are looked up once, all that may be asked for: each look parses the text."""
        asked = item.key, path
        if asked not in self._known:
            fields = {path: None, **dict.fromkeys(_fields(item))}
            found = self.lines(item.key, list(fields))
            self._known.update({(item.key, name): line for name, line in zip(fields, found, strict=True)})
        return self._known[asked] or item.origin.line


def _age(item: Ingress) -> tuple[int, str, str]:
    return (item.metadata.created, item.namespace, item.name)


def _fields(item: Object) -> Iterable[str]:
    """Fields whose lines are likely to be asked for."""
    if not isinstance(item, Ingress):
        return
    yield from map(annotation_field, item.metadata.annotations)
    for number, rule in enumerate(item.spec.rules):
        yield f"spec.rules[{number}].host"
        for index in range(len(rule.http.paths) if rule.http is not None else 0):
            yield f"spec.rules[{number}].http.paths[{index}]"
    for number in range(len(item.spec.tls)):
        yield f"spec.tls[{number}]"
    yield "spec.defaultBackend"
