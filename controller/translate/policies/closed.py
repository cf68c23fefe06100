"""A policy that cannot be read is closed: all of its parts refuse, whatever is set lower.

What it asks for is not known. So what it holds for, as far as that can be read, is answered 500 rather than served
without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sluicegate import ir
from sluicegate.words import listed

from ...api import CLUSTER, Diagnostics, RefusedPolicy
from ...api.refused import RefusedTarget
from ..conditions import Reason
from ..status import Verdict
from .effective import Source, Stanza, Target
from .flows import refused_at
from .judged import Attachment, Judged, Judgement
from .registry import PolicyKind

RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "Nothing that it refers to is looked at")


def judge_closed(kind: PolicyKind, policy: RefusedPolicy, *, is_read: bool = False) -> Judged:
    """Judge a policy that cannot be used; `is_read`: what is written could be read, so that nobody else tells why."""
    diagnostics = Diagnostics(policy.key)
    message = f"it cannot be used as it is written: {policy.reason}"
    # Who reads files tells the reason, with its line.
    told = message if is_read or policy.origin == CLUSTER else "it cannot be used as it is written"
    named = listed(_named(kind, item) for item in policy.targets)
    kinds = {target.kind for item in policy.targets for target in _targets(kind, item)}
    outcome = kind.harmless or refused_at(kinds, named)
    diagnostics.error("", "invalid-policy", f"{told}; {outcome}", "correct the policy, or remove it")
    parts = _parts(kind, policy)
    targets = tuple(dict.fromkeys(target for item in policy.targets for target in _targets(kind, item)))
    return Judged(
        policy=policy,
        judgement=Judgement(Verdict(False, Reason.INVALID, message), RESOLVED, parts, overrides=True),
        attachments=tuple(_attachments(kind, policy)),
        source=Source(
            key=policy.key,
            created=policy.metadata.created,
            targets=targets,
            stanzas={name: Stanza(item.id, acts_on=item.acts_on) for name, item in parts.items()},
            overrides=True,
            wide=any(target.is_wide for target in targets),
        ),
        resources={item.id: item for item in parts.values()},
        diagnostics=diagnostics.done(),
    )


def _parts(kind: PolicyKind, policy: RefusedPolicy) -> Mapping[str, ir.PolicyBase]:
    """The IR of all parts of a kind, none of which can be honoured."""
    if kind.closed is not None:
        return {"": kind.closed(str(policy.key))}
    known = {part.stanza: part for part in ir.RANKS if issubclass(part, ir.StanzaBase) and part.kind == kind.kind}
    return {name: known[name](id=f"{policy.key}/{name}", overrides=True, invalid=True) for name in kind.stanzas}


def _targets(kind: PolicyKind, named: RefusedTarget) -> Iterator[Target]:
    """What is closed; a kind that such a policy may not name is none that can be read."""
    if named.kind in kind.targets:
        section = named.section if named.kind in kind.sections else ""
        yield Target(named.kind, named.namespace, named.name, section if named.name and named.namespace else "")
        return
    for each in sorted(kind.targets):
        yield Target(each, named.namespace, named.name)


def _attachments(kind: PolicyKind, policy: RefusedPolicy) -> Iterator[Attachment]:
    """The targets that can be read whole: these have a say in the status."""
    for index, named in enumerate(policy.targets):
        if named.kind in kind.targets and named.namespace and named.name:
            yield Attachment(f"spec.targetRefs[{index}]", next(_targets(kind, named)))


def _named(kind: PolicyKind, named: RefusedTarget) -> str:
    """A target for people."""
    kinds = [named.kind] if named.kind in kind.targets else sorted(kind.targets)
    if named.namespace and named.name:
        return " or ".join(f"{item} {named.namespace}/{named.name}" for item in kinds)
    where = f" of namespace {named.namespace}" if named.namespace else ""
    which = f" named {named.name}" if named.name else ""
    return f"each {' or '.join(kinds)}{which}{where}"
