"""The status of one policy: which of its targets are there, which it lost, how much of it holds, for which Gateways.

Rules (GEP-713):
- Ancestors are the Gateways that the target leads to, at most 16; what is beyond is told. One target that is not there,
  or that belongs to an older policy, shows in each ancestor that it has.
- A policy is `Conflicted` at a target where none of its stanzas holds there because of older ones.
- `Programmed` is only of accepted inherited ones: as far as its stanzas hold in the places that the target names. What
  a route sets for itself in place of a default takes nothing away from that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Protocol

from sluicegate.ir.policies.base import Trait
from sluicegate.words import listed, with_article

from ...api import Diagnostic, Diagnostics, Gateway, ObjectKey, RefusedPolicy, readable
from ..conditions import ConditionType, Reason
from ..status import PolicyAncestorStatus, PolicyStatus, Reference, Verdict
from ..topology import Read
from .attach import section_word
from .effective import OVERRIDING, Place, Provenance, Target
from .judged import Attachment, Judged
from .moot import Moot
from .ports import Disagreement
from .registry import PolicyKind

#: `PolicyStatus.ancestors` takes no more.
MAX_ANCESTORS = 16


class Looks(Protocol):
    """What the status of a policy looks at; every look is noted."""

    @property
    def noted(self) -> Iterable[Read]:
        """All looks."""

    def missing(self, target: Target) -> str:
        """Why a target is not there; empty: it is."""

    def places(self, target: Target, *, whole: bool) -> Iterable[tuple[ObjectKey, Place]]:
        """Where a target has an effect, with the Gateway of each place; `whole`: whatever its section."""

    def disagreements(self, policy: ObjectKey) -> Iterable[tuple[ObjectKey, Disagreement]]:
        """Stanzas of a policy that cannot hold at listeners, with the Gateway of each."""

    def merged(self, place: Place) -> Mapping[str, Provenance]:
        """Where each stanza of the policies of the kind comes from at a place."""

    def anonymous(self, place: Place) -> str:
        """The listener of a place, where connections come to it and no certificate is validated; empty: another one."""

    def of_connections(self, place: Place) -> str:
        """The listener of a place, where its routes take connections or datagrams; empty: another one."""

    def of_datagrams(self, place: Place) -> bool:
        """Whether datagrams come to the listener of a place, and nothing else."""

    def proofs(self, place: Place, *, above: bool, spared: bool = False) -> tuple[str, Set[str]]:
        """The listener of a place to which requests come (empty: another one), and how these can prove who asks."""

    def traits(self, place: Place) -> tuple[str, Set[Trait]]:
        """The listener or Service of a place (empty: another one), and what it has that parts of policies go by."""

    def gateway(self, key: ObjectKey) -> Gateway | None:
        """A Gateway of ours."""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What becomes of one policy.

    Attributes:
        status: an entry for each Gateway.
        diagnostics: all that is told about it.
        beyond: Gateways that found no place in the status.
        reads: what this depends on.
    """

    status: PolicyStatus
    diagnostics: tuple[Diagnostic, ...]
    beyond: tuple[ObjectKey, ...]
    reads: frozenset[Read]


@dataclass(slots=True)
class _Ancestor:
    """One Gateway: the first verdict that is not good, and of each stanza where it holds and where another one does."""

    accepted: Verdict
    holds: set[str]
    lost: dict[str, dict[ObjectKey, None]]


def policy_facts(kind: PolicyKind, judged: Judged, looks: Looks, controller_name: str) -> PolicyFacts:
    """Say what becomes of a policy."""
    told = Diagnostics(judged.policy.key)
    ancestors: dict[ObjectKey, _Ancestor] = {}
    moot = Moot(judged, looks)
    any_there = False
    for attachment in judged.attachments:
        target = attachment.target
        missing = attachment.error or looks.missing(target)
        if missing and not isinstance(judged.policy, RefusedPolicy):
            told.error(attachment.path, "target-not-found", missing, _another(kind, attachment))
            verdict = Verdict(False, Reason.TARGET_NOT_FOUND, missing)
        else:
            any_there = True
            verdict = judged.judgement.accepted
            # What cannot be read is told as that, whoever else is there.
            if not isinstance(judged.policy, RefusedPolicy):
                verdict = _conflict(kind, judged, attachment.path, target, looks, told) or verdict
        for owner, place in looks.places(target, whole=bool(missing)):
            known = ancestors.setdefault(owner, _Ancestor(verdict, set(), {}))
            if known.accepted.ok and not verdict.ok:
                known.accepted = verdict
            if verdict.ok:
                found = looks.merged(place)
                _note(judged, found, known)
                message = moot.at(found, place, above=target.kind in OVERRIDING)
                # Another target may not be there.
                if message and known.accepted.ok:
                    known.accepted = Verdict(True, Reason.ACCEPTED, f"{verdict.message}; {message}")
    moot.tell(told)
    for owner, item in looks.disagreements(judged.policy.key):
        stanza = item.policy.stanza
        message = f"{stanza} at {item.listener} is not that of {item.established}, which has the same port"
        told.error(f"spec.{stanza}", "policy-conflict", message, "attach it to all listeners of the port, or to none")
        if owner in ancestors:
            ancestors[owner].accepted = Verdict(False, Reason.CONFLICTED, message)
    if not ancestors and any_there and not isinstance(judged.policy, RefusedPolicy):
        leads = f"no {'Gateway' if kind.inherited or 'Gateway' in kind.targets else 'route'} leads to"
        message = f"{leads} it" if kind.itself else f"{leads} the target, so the policy has no effect"
        told.info("spec" if kind.itself else "spec.targetRefs", "unused-policy", message, kind.unused)
    ours = [(key, gateway) for key in sorted(ancestors) if (gateway := looks.gateway(key)) is not None]
    beyond = tuple(key for key, _ in ours[MAX_ANCESTORS:])
    if beyond:
        message = f"the status has room for {MAX_ANCESTORS} Gateways; the policy holds for {len(beyond)} more"
        told.warning("spec.targetRefs", "ancestor-limit", message, "split the policy")
    return PolicyFacts(
        status=PolicyStatus(
            ancestors=tuple(
                _entry(kind, judged, gateway, ancestors[key], controller_name) for key, gateway in ours[:MAX_ANCESTORS]
            )
        ),
        diagnostics=(*judged.diagnostics, *told.done()),
        beyond=beyond,
        reads=frozenset(looks.noted),
    )


def _another(kind: PolicyKind, attachment: Attachment) -> str:
    """What to name in place of a target that is none."""
    target = attachment.target
    if not attachment.error:
        section = f", and a {section_word(target.kind)} of it," if target.section else ""
        return f"name {with_article(target.kind)}{section} that exists"
    if target.section and target.kind in kind.targets - kind.sections:
        return "leave out sectionName"
    return f"attach it to one of these kinds: {listed(sorted(kind.targets))}"


def _conflict(
    kind: PolicyKind, judged: Judged, path: str, target: Target, looks: Looks, told: Diagnostics
) -> Verdict | None:
    """The verdict where nothing of the policy holds at a target because of older ones; None: something does."""
    key = judged.policy.key
    found = looks.merged((target,))
    lost = {name: item.conflicted[key] for name, item in found.items() if key in item.conflicted}
    if not lost:
        return None
    owners = _named(lost.values(), kind.kind)
    if len(lost) < len(judged.source.stanzas):
        message = f"{target.kind} {target.name} has {', '.join(sorted(lost))} of {owners} already"
    else:
        message = f"{target.kind} {target.name} is the target of {owners} already"
    word = section_word(target.kind)
    of_it = f", or {word} of it" if target.kind in kind.sections else ""
    each = f"{word} of {with_article(target.kind)}" if target.section else f"{target.kind}{of_it}"
    remedy = f"keep one policy for each {each}"
    told.error(path, "policy-conflict", message, remedy)
    return Verdict(False, Reason.CONFLICTED, message) if len(lost) == len(judged.source.stanzas) else None


def _note(judged: Judged, found: Mapping[str, Provenance], ancestor: _Ancestor) -> None:
    """Note which stanzas of a policy hold at a place, and by which policies the others are replaced."""
    key = judged.policy.key
    for name, item in found.items():
        if key in item.holds:
            ancestor.holds.add(name)
        elif (by := item.replaced.get(key) or item.conflicted.get(key)) is not None:
            ancestor.lost.setdefault(name, {})[by] = None


def _entry(
    kind: PolicyKind, judged: Judged, gateway: Gateway, ancestor: _Ancestor, controller_name: str
) -> PolicyAncestorStatus:
    generation = judged.policy.metadata.generation
    conditions = [
        ancestor.accepted.condition(ConditionType.ACCEPTED, generation),
        judged.judgement.resolved.condition(ConditionType.RESOLVED_REFS, generation),
    ]
    if kind.inherited and ancestor.accepted.ok:
        conditions.append(_programmed(kind, ancestor).condition(ConditionType.PROGRAMMED, generation))
    return PolicyAncestorStatus(
        ancestor_ref=Reference.of_gateway(gateway), controller_name=controller_name, conditions=tuple(conditions)
    )


def _programmed(kind: PolicyKind, ancestor: _Ancestor) -> Verdict:
    if not ancestor.lost:
        return Verdict(True, Reason.PROGRAMMED, "The policy is programmed")
    lost = "; ".join(f"{name} <- {_named(by, kind.kind)}" for name, by in sorted(ancestor.lost.items()))
    if ancestor.holds:
        return Verdict(True, Reason.PARTIALLY_PROGRAMMED, f"Not everywhere: {lost}")
    return Verdict(False, Reason.OVERRIDDEN, f"Other policies hold: {lost}")


def _named(policies: Iterable[ObjectKey], kind: str) -> str:
    """Names of policies of one kind in the namespace of an object, for people."""
    return f"{kind} {listed(readable(item.name) for item in sorted(dict.fromkeys(policies)))}"
