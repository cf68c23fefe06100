"""What holds for a rule at a listener: the policies that both name, joined by stanza.

A listener names what holds for its Gateway, its ListenerSet and itself, a rule what holds for its route and itself.
Each is merged already (`controller.translate.policies.effective`, which says the rules); left is one step of it, which
the engine takes by `table/join.rs`. The page says by it what holds, and the reference router decides by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .policies import RANKS, PolicyBase, StanzaBase


def join(listener: Iterable[PolicyBase], rule: Iterable[PolicyBase]) -> tuple[StanzaBase, ...]:
    """Join what a listener and a rule name.

    A stanza of the rule replaces the listener's, whole; one of the listener that overrides holds in its place; of one
    that can only be tightened both do. What is off then is gone.

    Returns:
        What holds, in the order in which it acts; never more than one of a stanza, but for those that tighten.
    """
    above, below = _stanzas(listener), _stanzas(rule)
    found: list[StanzaBase] = []
    for key in dict.fromkeys((*above, *below)):
        found += _join_stanza(above.get(key, []), below.get(key, []))
    return tuple(sorted(found, key=lambda policy: RANKS[type(policy)]))


def _stanzas(policies: Iterable[PolicyBase]) -> Mapping[tuple[str, str], list[StanzaBase]]:
    found: dict[tuple[str, str], list[StanzaBase]] = {}
    for policy in policies:
        if isinstance(policy, StanzaBase):
            found.setdefault((policy.kind, policy.stanza), []).append(policy)
    return found


def _join_stanza(above: list[StanzaBase], below: list[StanzaBase]) -> list[StanzaBase]:
    overriding = [policy for policy in above if policy.overrides]
    lower = below or [policy for policy in above if not policy.overrides]
    if not overriding:
        holding = lower
    elif overriding[0].tightens:
        holding = [*overriding, *lower]
    else:
        holding = overriding[:1]
    return list({policy.id: policy for policy in holding if not policy.off}.values())
