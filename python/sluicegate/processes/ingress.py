"""Ingresses that are served: from the store that keeps them apart to virtual objects in the store that is translated.

`update` for files, where everything is done on one thread. In a cluster the conversion is on a thread of its own:
`inputs` before it, `take` behind it, both on the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec

from sluicegate.checks import certificate_names, native_checks
from sluicegate.controller.api import Diagnostic, ObjectKey, Origin, placed_at
from sluicegate.controller.api.names import VIRTUAL, is_label, is_subdomain
from sluicegate.controller.ingress import PROVIDERS, Cause, Loss, Name, Options
from sluicegate.controller.ingress.inventory import Lines, no_lines
from sluicegate.controller.ingress.served import Inputs, Result, Served
from sluicegate.controller.store.snapshot import Snapshot, Table
from sluicegate.controller.store.store import Apply
from sluicegate.controller.store.with_ingress import StoreWithIngress

from .ingress_settings import Wanted

#: Fates that somebody should know of, though what was asked for works.
_LESS = frozenset({"converted-with-difference"})
#: Kinds of the store that Ingresses are served by.
_KINDS = ("Service", "Secret", "Gateway", "ListenerSet", "GatewayClass")
#: A virtual object as texts have it, with what comes behind it.
_VIRTUAL_LABEL = re.compile(
    rf"(?P<kind>[A-Z][A-Za-z]+)[/ ](?P<namespace>[-a-z0-9]+)/(?P<name>{VIRTUAL}[^\s,;/\])]*[^\s,;:/\])])"
)


def served_of(wanted: Wanted, controller_name: str) -> Served:
    """What serves them.

    Raises:
        ValueError: a name that is none.
    """
    if wanted.provider not in PROVIDERS:
        raise ValueError(f"--ingress-provider: {wanted.provider!r} is none of {', '.join(PROVIDERS)}")
    for name in wanted.classes:
        if not is_subdomain(name):
            raise ValueError(f"--ingress-class: {name!r} is not a name")
    checks = native_checks()
    options = Options(
        config_map=_name("--ingress-config-map", wanted.config_map),
        default_certificate=_name("--ingress-default-certificate", wanted.default_certificate),
        forwarding_headers=wanted.forwarding_headers,
        pattern_error=lambda pattern: checks.pattern(pattern).error,
        certificate_names=certificate_names,
    )
    if wanted.classes:
        first, *others = wanted.classes
        options = replace(options, ingress_class=first, other_classes=tuple(others))
    gateway = _name("--ingress-gateway", wanted.gateway)
    return Served(PROVIDERS[wanted.provider], options, controller_name, gateway)


def _name(option: str, text: str) -> Name | None:
    if not text:
        return None
    namespace, _, name = text.partition("/")
    if not (is_label(namespace) and is_subdomain(name)):
        raise ValueError(f"{option}: {text!r} is not a namespace and a name, such as sluicegate-system/ingress")
    return Name(namespace, name)


class Ingresses:
    """Keeps virtual objects in a store at what its Ingresses say.

    Attributes:
        result: what they came to last.
    """

    def __init__(
        self, served: Served, store: StoreWithIngress, texts: Callable[[], Table], lines: Lines = no_lines
    ) -> None:
        """Put it together.

        Args:
            served: converts.
            store: has the Ingresses, and takes what they come to.
            texts: gives ConfigMaps with all of their keys.
            lines: where fields of Ingresses are written.
        """
        self.served = served
        self._store = store
        self._texts = texts
        self._lines = lines
        self.result = Result()
        self._seen: tuple[Snapshot, Table, tuple[int, ...]] | None = None

    def is_current(self) -> bool:
        """Whether nothing that Ingresses are served by has changed since this was asked last."""
        now = (self._store.apart.snapshot(), self._texts(), self._store.versions(_KINDS))
        before, self._seen = self._seen, now
        return before is not None and before[0] is now[0] and before[1] is now[1] and before[2] == now[2]

    def forget(self) -> None:
        """Look at everything again, the next time."""
        self._seen = None

    def inputs(self) -> Inputs:
        """What there is now, to be converted on any thread."""
        store, apart = self._store, self._store.apart.snapshot()
        return Inputs(
            ingresses=apart.table("Ingress"),
            classes=apart.table("IngressClass"),
            middlewares=apart.table("Middleware"),
            config_maps=self._texts(),
            services=store.table("Service"),
            secrets=store.table("Secret"),
            gateways=store.table("Gateway"),
            listener_sets=store.table("ListenerSet"),
            gateway_classes=store.table("GatewayClass"),
            lines=self._lines,
        )

    def take(self, inputs: Inputs, result: Result) -> None:
        """Have the store hold what they came to."""
        for event in result.events:
            if isinstance(event, Apply) and not event.object.name.startswith(VIRTUAL):
                # The Gateway that is real may have changed meanwhile: then that change makes this again.
                key = event.object.key
                if self._store.get(key) is not inputs.gateways.get((key.namespace, key.name)):
                    continue
            self._store.handle(event)
        self.result = result

    def update(self) -> None:
        """Convert what has changed, here and now."""
        inputs = self.inputs()
        self.take(inputs, self.served.update(inputs))

    def owner(self, key: ObjectKey, at: str = "") -> Cause | None:
        """Where a part of a virtual object comes from; None: it is a real one."""
        if not key.name.startswith(VIRTUAL):
            return None
        return self.served.cause(key, at)

    def named(self, text: str) -> str:
        """A text with virtual objects called what people know: their Ingress, with its file and line where known."""
        return _VIRTUAL_LABEL.sub(self._named, text)

    def _named(self, found: re.Match[str]) -> str:
        cause = self.owner(ObjectKey(found["kind"], found["namespace"], found["name"]))
        if cause is None:
            return found[0]
        return f"{cause.object} ({cause.place})" if cause.line else cause.object

    def told(self, item: Diagnostic) -> Diagnostic | None:
        """The same as something that is wrong with an Ingress; None: it is about a real object."""
        cause = self.owner(ObjectKey.parse(item.object), item.field) if VIRTUAL in item.object else None
        if cause is None:
            return None
        named = msgspec.structs.replace(item, field=cause.subject, message=self.named(item.message))
        return placed_at(named, Origin(cause.path, cause.line), about=cause.object)

    def diagnostics(self) -> Iterator[Diagnostic]:
        """What Ingresses ask for and do not get, or get differently."""
        for losses in self.result.losses.values():
            yield from map(_diagnostic, losses)
        yield from map(_diagnostic, self.result.left_out)
        for key, reason in self.result.faults.items():
            message = f"{reason}; it goes on as it was, if it was served"
            yield Diagnostic(severity="error", object=str(key), code="fault", message=message)


def _diagnostic(loss: Loss) -> Diagnostic:
    about = f"{loss.host}: " if loss.host else ""
    return Diagnostic(
        path=loss.path,
        line=loss.line,
        severity="info" if loss.fate in _LESS else "warning",
        object=loss.object,
        field=loss.subject,
        code="ingress-difference" if loss.fate in _LESS else "ingress-loss",
        message=f"{about}{loss.message}",
        remedy=loss.remedy,
    )
