"""What the statuses of one round have in common: what holds at a place, and who speaks to a Service.

Each is found out once, however many policies ask: a thousand policies on one target cost a thousand looks, not a
thousand merges of a thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sluicegate.ir.policies.base import PROOFS

from ...api import ObjectKey
from .attach import Attached
from .effective import Place, Provenance, merge
from .registry import PolicyKind

#: A port of a Service that the gateway leads to: the name of the port, and the Gateways.
Ports = tuple[tuple[str, tuple[ObjectKey, ...]], ...]


class Merges:
    """Remembers for one round; what policies are attached to must not change meanwhile."""

    def __init__(self, policies: Attached) -> None:
        """Begin with nothing."""
        self._policies = policies
        self._places: dict[tuple[str, Place], Mapping[str, Provenance]] = {}
        self._proofs: dict[tuple[bool, Place], frozenset[str]] = {}
        self._ports: dict[tuple[bool, ObjectKey], Ports] = {}

    def at(self, kind: PolicyKind, place: Place) -> Mapping[str, Provenance]:
        """Where each stanza of the policies of a kind comes from at a place."""
        known = self._places.get((kind.kind, place))
        if known is None:
            known = merge([self._policies.level(kind.kind, target) for target in place], kind.tightens)[1]
            self._places[kind.kind, place] = known
        return known

    def has(self, kind: str, place: Place) -> bool:
        """Whether a policy of a kind is attached to a level of a place."""
        return any(self._policies.level(kind, target).first for target in place)

    def proofs(self, levels: Place, *, spared: bool = False) -> frozenset[str]:
        """Stanzas of credentials that policies have at the objects of some levels, or at any section of them.

        Args:
            levels: the objects.
            spared: those alone of which another policy may spare somebody: not of one that overrides.
        """
        known = self._proofs.get((spared, levels))
        if known is None:
            sources = [it for it in self._policies.at("AccessPolicy", levels) if not (spared and it.overrides)]
            stanzas = (item for source in sources for item in source.stanzas.items())
            known = frozenset(name for name, stanza in stanzas if name in PROOFS and not stanza.off)
            self._proofs[spared, levels] = known
        return known

    def ports(self, kind: PolicyKind, service: ObjectKey, find: Callable[[], Ports]) -> Ports:
        """Ports of a Service that Gateways lead to, as far as they are something for a kind."""
        known = self._ports.get((kind.spoken, service))
        if known is None:
            known = self._ports[kind.spoken, service] = find()
        return known
