"""How the rules of a route name the listeners that it is attached to: each by itself, or many at once.

A route may be attached to 2,048 listeners (32 parents of 64), and have 16 rules. What is many is said once for each
Gateway, as an `ir.Attachment`; routes with the same listeners share it, since its id is made of what it says.
"""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate import ir

from ..api import ObjectKey

#: Listeners of a Gateway that rules name one by one: a usual route costs one resource for each rule.
NAMED_LISTENERS = 8
#: Bytes of the digest in an id.
DIGEST = 12


def attachments_of(
    listeners: Iterable[tuple[ObjectKey, str]],
) -> tuple[tuple[str, ...], tuple[ir.Attachment, ...]]:
    """Make what rules name of the listeners of a route.

    Args:
        listeners: ids with their Gateway, in any order, none twice.

    Returns:
        Ids to be named one by one, and attachments for all others.
    """
    by_gateway: dict[ObjectKey, list[str]] = {}
    for gateway, name in listeners:
        by_gateway.setdefault(gateway, []).append(name)
    named: list[str] = []
    attachments: list[ir.Attachment] = []
    for gateway, names in by_gateway.items():
        if len(names) <= NAMED_LISTENERS:
            named += names
            continue
        names.sort()
        from hashlib import blake2b  # it loads OpenSSL, which `serve` does without

        digest = blake2b("\n".join(names).encode(), digest_size=DIGEST).hexdigest()
        owner = f"{gateway.namespace}/{gateway.name}"
        attachments.append(ir.Attachment(id=f"{owner}/{digest}", gateway=owner, listeners=tuple(names)))
    return tuple(sorted(named)), tuple(sorted(attachments, key=lambda item: item.id))
