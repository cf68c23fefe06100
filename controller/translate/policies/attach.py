"""Where policies are attached: their `targetRefs`, and an index of who is attached to what.

The index holds policies as far as merging goes; what names policies (listeners, rules, backends) asks it for the ids
that hold at its place. Who asks notes `attached_read`, so a policy that comes, goes or moves costs what it touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

from sluicegate.words import listed, with_article

from ...api import EXPERIMENTAL_GROUP, GATEWAY_GROUP, Diagnostics, Object, RefusedPolicy
from ...api.refused import RefusedTarget
from ..secrets import Material
from ..topology import Read
from .closed import judge_closed
from .effective import Level, Place, Source, Stanza, Target, level_of, names
from .flows import CONNECTION_ROUTES, flows_of, has_datagrams, remedy_for, way_out
from .judged import Attachment, Judged, Judgement, Needed
from .registry import PolicyKind

#: Groups of the kinds that policies may be attached to.
GROUPS = {"Service": frozenset({"", "core"}), "XBackend": frozenset({EXPERIMENTAL_GROUP})}
#: Where there is no policy.
EMPTY = Level(Target("", "", ""), {}, {})
#: What a section of a target is, for people.
SECTIONS = {"Service": "port", "Gateway": "listener", "ListenerSet": "listener"}


def section_word(kind: str) -> str:
    """What a section of an object of this kind is called."""
    return SECTIONS.get(kind, "rule")


def attached_read(target: Target) -> Read:
    """What is noted by whoever asks which policies are attached to an object or its sections."""
    return (f"{target.kind} policies", target.namespace, target.name)


def whole_of(read: Read) -> Target | None:
    """The object of an `attached_read`; None: the read is another one."""
    kind, _, rest = read[0].partition(" ")
    return Target(kind, read[1], read[2]) if rest == "policies" else None


def judge_policy(kind: PolicyKind, policy: Object, material: Material) -> Judged:
    """Judge a policy by itself; `material` notes what it refers to."""
    diagnostics = Diagnostics(policy.key)
    judgement = kind.judge(policy, material, diagnostics)
    attachments = tuple(_attachments(kind, policy))
    if _guards_nothing(kind, judgement, attachments):
        return judge_closed(kind, _refused(policy, judgement, attachments), is_read=True)
    _tell_unused_parts(kind, judgement, attachments, diagnostics)
    found = tuple(dict.fromkeys(item.target for item in attachments if not item.error))
    return Judged(
        policy=policy,
        judgement=judgement,
        attachments=attachments,
        source=Source(
            key=policy.key,
            created=policy.metadata.created,
            targets=found,
            stanzas={
                name: Stanza(item.id, name in judgement.off, item.acts_on) for name, item in judgement.stanzas.items()
            },
            overrides=judgement.overrides,
        ),
        resources={item.id: item for item in judgement.stanzas.values()},
        material=_needed(judgement, material),
        diagnostics=diagnostics.done(),
        reads=frozenset(material.reads),
    )


def _needed(judgement: Judgement, material: Material) -> Needed:
    """What the stanzas of a policy need besides themselves."""
    needs = {need for item in judgement.stanzas.values() for need in item.needs()}
    return Needed(
        trust={name: material.trust[name] for section, name in needs if section == "trust"},
        certificates={name: material.certificates[name] for section, name in needs if section == "certificates"},
        secrets={name: judgement.secrets[name] for section, name in needs if section == "policy_secrets"},
        backends=frozenset(name for section, name in needs if section == "backends"),
    )


def _guards_nothing(kind: PolicyKind, judgement: Judgement, attachments: Sequence[Attachment]) -> bool:
    """Whether a policy that lets some in and others not is for connections alone, and none of it asks about these."""
    targets = [item.target.kind for item in attachments if not item.error]
    if kind.kind != "AccessPolicy" or not targets or not CONNECTION_ROUTES.issuperset(targets):
        return False
    parts = [part for name, part in judgement.stanzas.items() if name not in judgement.off]
    return bool(parts) and all("l4_rule" not in part.acts_on for part in parts)


def _refused(policy: Object, judgement: Judgement, attachments: Sequence[Attachment]) -> RefusedPolicy:
    """The policy as one that cannot be used: whoever wrote it wants to know who connects."""
    targets = [item.target for item in attachments if not item.error]
    kinds = {target.kind for target in targets}
    return RefusedPolicy(
        metadata=policy.metadata,
        key=policy.key,
        origin=policy.origin,
        targets=tuple(RefusedTarget(item.kind, item.namespace, item.name, item.section) for item in targets),
        reason=(
            f"{listed(sorted(judgement.stanzas))} cannot be asked of {flows_of(kinds)}: they would pass without it;"
            f" {way_out('AccessPolicy', kinds)}"
        ),
    )


def _tell_unused_parts(
    kind: PolicyKind, judgement: Judgement, attachments: Iterable[Attachment], diagnostics: Diagnostics
) -> None:
    """Tell which stanzas, and parts of them, mean nothing for a route that carries connections or datagrams."""
    for item in attachments:
        if item.error or item.target.kind not in CONNECTION_ROUTES:
            continue
        kinds = {item.target.kind}
        flows = flows_of(kinds)
        unused = sorted(name for name, part in judgement.stanzas.items() if "l4_rule" not in part.acts_on)
        if unused:
            message = f"{listed(unused)} of a policy means nothing for {flows}"
            diagnostics.warning(item.path, "policy-part-unused", message, remedy_for(kind.kind, kinds))
        for name, part in sorted(judgement.stanzas.items()):
            if "l4_rule" not in part.acts_on:
                continue
            for place, what in part.of_requests():
                message = f"{name}.{place} holds for none of {flows}: it goes by {what}"
                remedy = remedy_for(kind.kind, kinds, "take that out of it")
                diagnostics.warning(item.path, "policy-part-unused", message, remedy)
            for place, outcome in part.of_hosts() if has_datagrams(kinds) else ():
                message = f"{name}.{place} goes by a host, and there is none in {flows}: {outcome}"
                diagnostics.warning(item.path, "policy-part-unused", message, way_out(kind.kind, kinds))


def _attachments(kind: PolicyKind, policy: Object) -> Iterable[Attachment]:
    if kind.itself:
        yield Attachment("spec", Target(*policy.key))
        return
    spec: Any = getattr(policy, "spec")  # noqa: B009 (every kind has one, of its own type)
    for index, reference in enumerate(spec.target_refs):
        section = reference.section_name or ""
        target = Target(reference.kind, policy.namespace, reference.name, section)
        groups = GROUPS.get(reference.kind, frozenset({GATEWAY_GROUP}))
        error = ""
        if reference.kind not in kind.targets or reference.group not in groups:
            error = f"targets of kind {reference.group or 'core'}/{reference.kind} are not supported"
        elif section and reference.kind not in kind.sections:
            part = f"a {section_word(reference.kind)} of {with_article(reference.kind)}"
            error = f"{part} is no target of {with_article(kind.kind)}"
        yield Attachment(f"spec.targetRefs[{index}]", target, error)


class Attached:
    """Policies by what they are attached to."""

    def __init__(self, kinds: Sequence[PolicyKind]) -> None:
        """Begin without policies.

        Args:
            kinds: in the order in which they act.
        """
        self._kinds = kinds
        #: By kind of policy, of which there are some, and object.
        self._sources: dict[str, dict[Target, dict[Any, Source]]] = {}
        #: Policies with targets that stand for several objects: of these nearly always there is none.
        self._wide = 0
        self._levels: dict[tuple[str, Target], dict[Target, Level]] = {}

    def replace(self, old: Source | None, new: Source | None) -> set[Read]:
        """Take out what a policy was and put in what it is; returns what is dirty by that."""
        if old == new:
            return set()
        for source in (old,) if old is not None else ():
            self._wide -= source.wide
            for target in source.targets:
                of_kind = self._sources.get(source.key.kind, {})
                found = of_kind.get(target.whole, {})
                found.pop(source.key, None)
                if not found:
                    of_kind.pop(target.whole, None)
                if not of_kind:
                    self._sources.pop(source.key.kind, None)
        for source in (new,) if new is not None else ():
            self._wide += source.wide
            for target in source.targets:
                self._sources.setdefault(source.key.kind, {}).setdefault(target.whole, {})[source.key] = source
        touched = [item for item in (old, new) if item is not None]
        if any(item.wide for item in touched):
            self._levels.clear()
        for item in touched:
            for target in item.targets:
                self._levels.pop((item.key.kind, target.whole), None)
        return {attached_read(target) for item in touched for target in item.targets}

    def at(self, kind: str, place: Place) -> list[Source]:
        """Policies of a kind that are attached to the objects of a place, or to any of their sections."""
        of_kind = self._sources.get(kind)
        if of_kind is None:
            return []  # of most kinds there is none, and every route asks for all of them
        wholes = dict.fromkeys(level.whole for level in place)
        if self._wide:
            wholes.update(dict.fromkeys(wide for whole in tuple(wholes) for wide in whole.wider()))
        found = {key: item for whole in wholes for key, item in of_kind.get(whole, {}).items()}
        return list(found.values())

    def level(self, kind: str, target: Target) -> Level:
        """What the policies of a kind come to at one level of a place; found out once until one of them changes."""
        known = self._levels.get((kind, target.whole), {}).get(target)
        if known is not None:
            return known
        sources = self.at(kind, (target,))
        if not sources:  # most objects have none, and there are many: nothing is kept of them
            return EMPTY
        found = self._levels.setdefault((kind, target.whole), {})[target] = level_of(sources, target)
        return found

    def names(self, place: Place, *, spoken: bool = True, on: str = "") -> tuple[str, ...]:
        """Ids of the policies of all kinds that hold at a place, in the order in which they act.

        Args:
            place: its levels.
            spoken: of a backend, whether the gateway itself speaks to it anywhere.
            on: what names them in the IR, where not all of them may be named.
        """
        found: list[str] = []
        for kind in self._kinds:
            if kind.kind in self._sources and (spoken or not kind.spoken):
                levels = [level for target in place if (level := self.level(kind.kind, target)).first]
                found += names(levels, kind.stanzas, kind.tightens, on) if levels else ()
        return tuple(found)

    def is_any(self, kind: str) -> bool:
        """Whether there is a policy of a kind that is attached to anything."""
        return kind in self._sources

    def by_section(self, whole: Target) -> dict[str, dict[str, list[Source]]]:
        """Policies that are attached to an object: by section, of which the empty one is the object, and kind."""
        result: dict[str, dict[str, list[Source]]] = {}
        for kind in self._kinds:
            for item in sorted(self.at(kind.kind, (whole,)), key=lambda item: item.precedence):
                sections = {target.section for target in item.targets if target.whole == whole}
                for section in sections or {""}:
                    result.setdefault(section, {}).setdefault(kind.kind, []).append(item)
        return result

    def affecting(self, whole: Target, sections: Set[str]) -> dict[str, list[Source]]:
        """Policies by kind that are attached to an object or to any of its sections.

        Args:
            whole: the object.
            sections: names of those that it has; what is attached to others is attached to nothing.
        """

        def is_attached(source: Source) -> bool:
            named = {target.section for target in source.targets if target.whole == whole}
            return not named or "" in named or not named.isdisjoint(sections)

        found = {
            kind.kind: [item for item in self.at(kind.kind, (whole,)) if is_attached(item)]
            for kind in self._kinds
            if kind.kind in self._sources
        }
        return {kind: sorted(of, key=lambda item: item.precedence) for kind, of in found.items() if of}
