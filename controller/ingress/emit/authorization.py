"""Who is refused and who may, as the rules of one part of an AccessPolicy: several features have a say in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..expressions import quoted
from ..features import Addresses, ClientCertificates, Features, Refusals
from ..hosts import Host
from ..losses import Cause
from .manifest import unique
from .output import Output

#: What a part has room for: blocks of a rule, rules.
MAX_BLOCKS, MAX_RULES = 256, 64


def authorization(
    features: Features, clients: ClientCertificates | None
) -> tuple[dict[str, Any], tuple[Cause, ...]] | None:
    """The part, and where it comes from; None: everybody may.

    Args:
        features: of the Ingress.
        clients: which certificates clients of the host show; None: none.
    """
    addresses, refusals = features.get(Addresses), features.get(Refusals)
    pattern = clients.pattern if clients is not None else ""
    causes: tuple[Cause, ...] = clients.causes if clients is not None and pattern else ()
    rules: list[dict[str, Any]] = []
    if refusals is not None:
        causes += refusals.causes
        rules += [{"action": "Deny", "when": condition} for condition in refusals.conditions]
    allowed: Sequence[str] = ()
    if addresses is not None:
        causes += addresses.causes
        rules += [{"action": "Deny", "clients": some} for some in _pieces(addresses.denied)]
        # Whoever is spared a password by its address is not the only one who may: the others have one.
        allowed = () if addresses.suffices else addresses.allowed
    when = {"when": f"identity.user.matches({quoted(pattern)})"} if pattern else {}
    if allowed:
        rules += [{"clients": some, **when} for some in _pieces(allowed)]
    elif when:
        rules.append(when)
    if not rules:
        return None
    default = {} if allowed or when else {"default": "Allow"}
    return {**default, "rules": rules}, unique(causes)


def too_many_rules(features: Features, host: Host, output: Output) -> tuple[Cause, ...]:
    """Why nobody may be let in: there are more rules than a part has room for, which is told; empty: there are not."""
    found = authorization(features, host.clients)
    if found is None or len(found[0]["rules"]) <= MAX_RULES:
        return ()
    rules, causes = found
    message = f"{len(rules['rules'])} rules of who may, and there is room for {MAX_RULES}: requests are answered 500"
    remedy = "write wider blocks, or several expressions as one"
    output.ledger.tell(causes[0], "no-equivalent", message, remedy, host=host.name)
    return causes


def _pieces(blocks: Sequence[str]) -> list[list[str]]:
    """Blocks in pieces that a rule has room for."""
    return [list(blocks[start : start + MAX_BLOCKS]) for start in range(0, len(blocks), MAX_BLOCKS)]
