"""Listeners against listeners: conflicts and overlapping TLS (`GatewaySpec.listeners`, "Distinct Listeners").

Rules:
- Listeners of one port are told apart by hostname: HTTP among themselves, HTTPS and TLS together, by SNI. A TCP port or
  a UDP port has one listener. UDP ports are others than TCP ports.
- Between the Gateway and its ListenerSets the order of precedence decides: the Gateway, then the sets, oldest first
  (GEP-1713). What loses to an object of higher precedence is out of the question for its neighbours.
- Within one Gateway, and within one ListenerSet, no conflicting listener wins: all of them are conflicted.
- Gateways that share sockets are merged by hostname; what is exactly the same belongs to the older Gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api import Diagnostics, ObjectKey
from .conditions import Reason
from .listeners import WITHOUT_HOSTNAME, Draft
from .status import Verdict
from .values import covering_wildcards


@dataclass(slots=True)
class Claim:
    """Who has a port: one protocol, or several that share it, and one owner for each hostname."""

    protocol: str
    owners: dict[str, str] = field(default_factory=dict)


#: Claims by transport and port, or by transport, address and bound port.
Claims = dict[Any, Claim]


def _transport(draft: Draft) -> str:
    return "UDP" if draft.spec.protocol == "UDP" else "TCP"


def _sharing(draft: Draft) -> str:
    """Protocols of one name share a port."""
    return "TLS" if draft.spec.protocol == "HTTPS" else draft.spec.protocol


def conflicts_within(drafts: Sequence[Draft], diagnostics: Diagnostics) -> None:
    """Mark listeners of one object that cannot be told apart."""
    by_port: dict[tuple[str, int], list[Draft]] = {}
    names: set[str] = set()
    for draft in drafts:
        if draft.spec.name in names:  # names are keys of the list, so the first one has it
            message = f"the name {draft.spec.name} is used twice"
            draft.reject(Reason.UNSUPPORTED_VALUE, message)
            diagnostics.error(f"{draft.path}.name", "duplicate-name", message, "give each listener a name of its own")
            continue
        names.add(draft.spec.name)
        if draft.supported and not draft.conflicted.ok:
            by_port.setdefault((_transport(draft), draft.spec.port), []).append(draft)
    for (_, port), group in by_port.items():
        protocols = {_sharing(draft) for draft in group}
        for draft in group:
            same = [other.spec.name for other in group if other is not draft and other.hostname == draft.hostname]
            if len(protocols) > 1:
                others = ", ".join(other.spec.name for other in group if _sharing(other) != _sharing(draft))
                _mark(
                    draft,
                    Reason.PROTOCOL_CONFLICT,
                    f"port {port} is used with another protocol by {others}",
                    diagnostics,
                )
            elif same and draft.spec.protocol in WITHOUT_HOSTNAME:
                message = f"port {port} is used by {', '.join(same)} too, and {draft.spec.protocol} has no hostnames"
                _mark(draft, Reason.PROTOCOL_CONFLICT, message, diagnostics)
            elif same:
                host = draft.hostname or "any hostname"
                message = f"port {port} with {host} is used by {', '.join(same)} too"
                _mark(draft, Reason.HOSTNAME_CONFLICT, message, diagnostics)


def conflicts_between(drafts: Iterable[Draft], claims: Claims, diagnostics: Diagnostics) -> None:
    """Mark listeners whose place on the port belongs to an object of higher precedence."""
    for draft in drafts:
        _against(draft, claims.get((_transport(draft), draft.spec.port)), diagnostics)


def claim_ports(drafts: Iterable[Draft], claims: Claims) -> None:
    """Give the places on ports to the listeners that are without conflict."""
    for draft in drafts:
        _claim(draft, claims, (_transport(draft), draft.spec.port))


def conflicts_on_sockets(
    drafts: Iterable[Draft], addresses: Sequence[str], claims: Claims, diagnostics: Mapping[ObjectKey, Diagnostics]
) -> None:
    """Mark listeners whose place on a socket belongs to an older Gateway, then claim the rest."""
    drafts = [draft for draft in drafts if draft.usable]
    for draft in drafts:
        for address in addresses or ("",):
            _against(draft, claims.get((_transport(draft), address, draft.bind_port)), diagnostics[draft.owner])
    for draft in drafts:
        for address in addresses or ("",):
            _claim(draft, claims, (_transport(draft), address, draft.bind_port))


def _against(draft: Draft, claim: Claim | None, diagnostics: Diagnostics) -> None:
    if claim is None:
        return
    if claim.protocol != _sharing(draft):
        message = (
            f"port {draft.spec.port} is used with protocol {claim.protocol} by {next(iter(claim.owners.values()))}"
        )
        _mark(draft, Reason.PROTOCOL_CONFLICT, message, diagnostics)
    elif draft.spec.protocol in WITHOUT_HOSTNAME:
        message = f"port {draft.spec.port} belongs to {claim.owners['']}, and {draft.spec.protocol} has no hostnames"
        _mark(draft, Reason.PROTOCOL_CONFLICT, message, diagnostics)
    elif draft.hostname in claim.owners:
        host = draft.hostname or "any hostname"
        message = f"port {draft.spec.port} with {host} belongs to {claim.owners[draft.hostname]}"
        _mark(draft, Reason.HOSTNAME_CONFLICT, message, diagnostics)


def _claim(draft: Draft, claims: Claims, key: object) -> None:
    if draft.accepted.ok and not draft.conflicted.ok:
        claim = claims.setdefault(key, Claim(_sharing(draft)))
        claim.owners.setdefault(draft.hostname, f"{draft.owner}, listener {draft.spec.name}")


def _mark(draft: Draft, reason: Reason, message: str, diagnostics: Diagnostics) -> None:
    if draft.conflicted.ok:
        return
    draft.conflicted = Verdict(True, reason, message)
    draft.accepted = Verdict(False, reason, message)
    remedy = "give the listener a port or hostname of its own"
    diagnostics.error(draft.path, "listener-conflict", f"listener {draft.spec.name}: {message}", remedy)


def mark_overlaps(drafts: Iterable[Draft]) -> None:
    """Mark HTTPS listeners of one port whose hostnames overlap (`OverlappingTLSConfig`)."""
    by_port: dict[int, dict[str, list[Draft]]] = {}
    for draft in drafts:
        if draft.spec.protocol == "HTTPS" and draft.accepted.ok and not draft.conflicted.ok:
            by_port.setdefault(draft.spec.port, {}).setdefault(draft.hostname, []).append(draft)
    for hosts in by_port.values():
        for hostname, group in hosts.items():
            for wildcard in covering_wildcards(hostname):
                if wildcard in hosts:
                    for draft in [*group, *hosts[wildcard]]:
                        draft.overlapping = True
