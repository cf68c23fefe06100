"""What listeners of one port have to agree on: what holds for a connection before it is known for which of them it is.

- A PROXY header comes before anything else, so all listeners of a port of TCP want it alike.
- Without TLS requests tell the listeners apart, so connections are treated alike as well.
- The listeners of the older Gateway are established, before those of its ListenerSets, oldest first. What another one
  wants besides or otherwise is refused: what it holds for answers 500, and nobody else's connections change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sluicegate import ir

from ...api import ObjectKey
from ...store.snapshot import Snapshot
from .effective import Place

#: What is said of connections, by the kind of the IR.
KINDS: tuple[type[ir.StanzaBase], ...] = (ir.ClientAddress, ir.ClientConnections, ir.ClientTimeouts, ir.ClientHttp2)


class Said(NamedTuple):
    """A listener with what is said there of its connections, by stanza."""

    listener: ir.Listener
    stanzas: Mapping[str, ir.StanzaBase]


class Disagreement(NamedTuple):
    """A stanza that cannot hold at a listener, because of another listener that is established."""

    listener: str
    policy: ir.StanzaBase
    established: str

    @property
    def refused(self) -> ir.StanzaBase:
        """What the listener names in its place."""
        return type(self.policy)(id=f"{self.listener}/{self.policy.stanza}", invalid=True)


def precedence(snapshot: Snapshot, gateway: ObjectKey, place: Place) -> tuple[object, ...]:
    """Sort key of listeners: the established one goes first."""
    own = place[-1]

    def age(kind: str, namespace: str, name: str) -> tuple[int, str, str]:
        found = snapshot.get(ObjectKey(kind, namespace, name))
        return (found.metadata.created if found is not None else 0, namespace, name)

    return (*age(*gateway), own.kind != "Gateway", *age(*own[:3]), own.section)


def said_at(listener: ir.Listener, policies: Iterable[ir.PolicyBase]) -> Said:
    """What the policies that a listener names say of its connections."""
    stanzas = (item for item in policies if isinstance(item, KINDS) and not item.off and not item.invalid)
    return Said(listener, {item.stanza: item for item in stanzas if _is_of_port(listener, item)})


def _is_of_port(listener: ir.Listener, policy: ir.StanzaBase) -> bool:
    if isinstance(policy, ir.ClientAddress):
        is_asked = policy.proxy_protocol is not ir.AcceptProxy.OFF
        return is_asked and listener.protocol is not ir.ListenerProtocol.UDP
    if isinstance(policy, ir.ClientTimeouts) and not policy.head_ms and not policy.idle_ms:
        return False
    return listener.protocol is ir.ListenerProtocol.HTTP


def disagreements(listeners: Sequence[Said]) -> Iterator[Disagreement]:
    """Say which stanzas cannot hold; `listeners`: of one port of TCP, the established ones first."""
    for place, said in enumerate(listeners):
        for stanza, policy in said.stanzas.items():
            for other in listeners[:place]:
                if _share(said.listener, other.listener) and other.stanzas.get(stanza) != policy:
                    yield Disagreement(said.listener.id, policy, other.listener.id)
                    break


def _share(one: ir.Listener, two: ir.Listener) -> bool:
    """Whether two listeners of one port have a socket in common."""
    return not one.addresses or not two.addresses or bool({*one.addresses} & {*two.addresses})
