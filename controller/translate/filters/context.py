"""What all filters share: where a list of them is written, what a type of filter is, what cannot be honoured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sluicegate import ir

from ...api import BackendReference, ConfigMap, Diagnostics, HTTPFilter, Secret
from ..conditions import Reason
from ..options import Checks
from ..unsupported import Unsupported

#: Resolves a backendRef at a path: the backend id, or None (already noted).
Resolve = Callable[[BackendReference, str], "str | None"]


@dataclass(frozen=True, slots=True)
class FilterContext:
    """Where a list of filters is written.

    Attributes:
        path: absolute field of the list's owner, for diagnostics.
        prefix_only: every match of the rule is a PathPrefix (what ReplacePrefixMatch needs).
        in_backend: the filters belong to a backendRef.
        in_listener: to a listener; `rule` is its IR id then.
        backend: place of the backendRef in its rule.
        owner: kind of the object that they are written in.
        resolve: resolves mirrors.
        diagnostics: takes warnings.
        moved_ports: ports of listeners that clients reach at another one, and that other one.
        rule: IR id of the rule.
        made: policies that filters come to, put here: who asks, waits or keeps a secret is no filter of the engine.
        secrets: what these know and nobody else may, by id.
        checks: look into values.
        at: where in it an HTTPFilter is referred to; empty: it is not in one.
        find, config_map, secret: look up what stands beside the owner by its name.
    """

    path: str
    prefix_only: bool
    in_backend: bool
    owner: str
    resolve: Resolve
    diagnostics: Diagnostics
    moved_ports: Mapping[int, int] = field(default_factory=dict)
    rule: str = ""
    made: list[ir.StanzaBase] = field(default_factory=list)
    secrets: dict[str, ir.PolicySecret] = field(default_factory=dict)
    checks: Checks = field(default_factory=Checks)
    at: str = ""
    in_listener: bool = False
    backend: int | None = None
    find: Callable[[str], HTTPFilter | None] = lambda _name: None
    config_map: Callable[[str], ConfigMap | None] = lambda _name: None
    secret: Callable[[str], Secret | None] = lambda _name: None

    def place(self, field: str) -> str:
        """Absolute field of the owner for a field of a filter."""
        return f"{self.path}.{self.at or field}"

    def policy_id(self, kind: type[ir.StanzaBase]) -> str:
        """Id of what a filter of this rule, backendRef or listener comes to."""
        owner = self.rule if self.backend is None else f"{self.rule}/backendRefs/{self.backend}"
        return f"{owner}/{kind.stanza}"

    @property
    def word(self) -> str:
        """What has the list of filters, for people."""
        return "listener" if self.in_listener else "backendRef" if self.in_backend else "rule"


def add_policy(policy: ir.StanzaBase, context: FilterContext) -> tuple[ir.Filter, ...]:
    """Put a policy to those of the rule or listener: it is no filter.

    Raises:
        Unsupported: there is one of the kind already.
    """
    if any(item.id == policy.id for item in context.made):
        message = f"the {context.word} has more than one filter with {policy.stanza}"
        raise Unsupported(f"spec.{policy.stanza}", message, "say it all in one filter", Reason.INCOMPATIBLE_FILTERS)
    context.made.append(policy)
    return ()


@dataclass(frozen=True, slots=True)
class FilterKind:
    """A type of filter.

    Attributes:
        content: attribute of `RouteFilter` that has its content.
        field: the same in the API.
        translate: makes IR of the content at a field; nothing where the filter has no effect.
        owners: kinds of objects whose rules and backendRefs may have it.
        in_backends: it may stand in a backendRef.
        in_listeners: it may stand in a listener, as a part of an HTTPFilter.
        several: a list may have more than one.
        answers: it answers in place of a backend.
    """

    content: str
    field: str
    translate: Callable[[Any, str, FilterContext], tuple[ir.Filter, ...]]
    owners: frozenset[str] = frozenset({"HTTPRoute", "GRPCRoute"})
    in_backends: bool = True
    in_listeners: bool = False
    several: bool = False
    answers: bool = False


#: Owners of filters that act on requests of HTTP alone.
OF_HTTP = frozenset({"HTTPRoute"})
