"""Objects over which the translation stumbles, or that the engine refuses, are held at their last good version.

Everything else goes on. An exception of a translation is a fault of ours, most likely met by one odd object. Trying
shows which one it is: what changed since the last translation that came to its end is put back, and let in again by
halves: classes first, then Gateways, then all others by kind and namespace. So where many objects raise, and there is
no time to find each, those of one kind in one namespace are held together, and what all stand on is held last. What is
held stays so until it changes. An object that never was good is left out, but a policy is closed: nothing that it holds
for goes on without it.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from .. import caught
from ..api import POLICY_KINDS, Diagnostic, Object, ObjectKey, RefusedPolicy, closed_policy
from ..store.snapshot import Snapshot
from .translation import Translation

#: Translations tried for one change, and for the objects of one kind in one namespace: one among 10,000 takes 28. What
#: is left then is held together.
MAX_TRIES, MAX_FAMILY_TRIES = 128, 28
#: What much else stands on, in the order in which it is let in; all other kinds come behind.
FIRST_KINDS = ("GatewayClass", "GatewayParameters", "Gateway")

Attempt = Callable[[Snapshot], Translation]
#: Objects of one kind in one namespace.
_Family = tuple[str, str]
#: In place of a family, for groups of several.
_SEVERAL = ("", "")


class _Held(NamedTuple):
    """An object that is held.

    Attributes:
        bad: as it is; None where its end is what cannot be translated.
        good: as it counts instead, its last good version or, of a policy, that it is closed; None: it is left out.
        reason: what came of it.
    """

    bad: Object | None
    good: Object | None
    reason: str


class Quarantine:
    """Stands between snapshots and a translator; not thread-safe."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._held: dict[ObjectKey, _Held] = {}
        self._good: Snapshot | None = None
        self._last: tuple[Snapshot, Snapshot] | None = None
        self._told: tuple[Translation, Translation] | None = None

    @property
    def held(self) -> Mapping[ObjectKey, str]:
        """What is held, and why."""
        return {key: item.reason for key, item in self._held.items()}

    def translate(self, snapshot: Snapshot, attempt: Attempt) -> Translation:
        """Translate what can be.

        Args:
            snapshot: what is there.
            attempt: translates a snapshot.

        Raises:
            Exception: of `attempt`, where no object that changed explains it.
        """
        view = self._view(snapshot)
        try:
            translation = attempt(view)
        except Exception as error:
            view, translation = self._isolate(view, attempt, error)
            self._last = (snapshot, view)
        self._good = view
        return self._with_diagnostics(translation)

    def _view(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the good versions of what is held and did not change; the same one for the same one."""
        if self._last is None or self._last[0] is not snapshot:
            self._held = {key: item for key, item in self._held.items() if snapshot.get(key) is item.bad}
            good = {key: item.good for key, item in self._held.items()}
            self._last = (snapshot, _with(snapshot, good) if good else snapshot)
        return self._last[1]

    def _isolate(self, view: Snapshot, attempt: Attempt, error: Exception) -> tuple[Snapshot, Translation]:
        good = self._good if self._good is not None else _with(view, {}, empty=True)
        changes = view.changes_since(good)
        suspects = sorted((ObjectKey(kind, *pair) for kind in changes for pair in changes[kind]), key=_turn)
        if not suspects:
            raise error
        back = {key: _instead(good.get(key), view.get(key), error) for key in suspects}
        best = _with(view, back)
        translation = attempt(best)
        groups = [(suspects, error)]
        tries: Counter[_Family] = Counter()
        while groups:
            group, failure = groups.pop()
            family = _family(group[0]) if _family(group[0]) == _family(group[-1]) else None
            spent = tries.total() >= MAX_TRIES or (family is not None and tries[family] >= MAX_FAMILY_TRIES)
            if len(group) == 1 or spent:
                reason = caught.note("translate", failure)
                self._held.update({key: _Held(view.get(key), back[key], reason) for key in group})
                continue
            left: list[tuple[list[ObjectKey], Exception]] = []
            for part in _parts(group):
                let_in = set(part)
                without = {key: item for key, item in back.items() if key not in let_in}
                tries[family if family is not None else _SEVERAL] += 1
                trial = _with(view, without)
                try:
                    translation = attempt(trial)
                except Exception as again:
                    left.append((part, again))
                else:
                    best, back = trial, without
            groups.extend(reversed(left))  # what comes first is looked at first
        return best, translation

    def _with_diagnostics(self, translation: Translation) -> Translation:
        if not self._held:
            return translation
        if self._told is None or self._told[0] is not translation:
            found = {key: (_diagnostic(key, item),) for key, item in self._held.items()}
            self._told = (translation, replace(translation, noted=(*translation.noted, found)))
        return self._told[1]


def _instead(good: Object | None, item: Object | None, error: Exception) -> Object | None:
    """What counts of an object until it is let in; None: nothing."""
    never_good = good is None or isinstance(good, RefusedPolicy)
    if item is None or not never_good or item.key.kind not in POLICY_KINDS:
        return good
    if isinstance(item, RefusedPolicy):
        return item
    return closed_policy(item, f"{type(error).__name__} while it was translated")


def _turn(key: ObjectKey) -> tuple[int, str, str, str]:
    """When an object is let in: sort key."""
    first = FIRST_KINDS.index(key.kind) if key.kind in FIRST_KINDS else len(FIRST_KINDS)
    return (first, *key)


def _family(key: ObjectKey) -> _Family:
    return key.kind, key.namespace


def _parts(group: list[ObjectKey]) -> list[list[ObjectKey]]:
    """Two parts of a group in the order of `_turn`: apart at a kind of `FIRST_KINDS`, at a family, or in the middle."""
    turns = [_turn(key)[0] for key in group]
    if turns[0] != turns[-1]:
        at = bisect.bisect_right(turns, turns[0])
    else:
        middle = len(group) // 2
        families = [at for at in range(1, len(group)) if _family(group[at - 1]) != _family(group[at])]
        at = min(families, key=lambda found: abs(found - middle), default=middle)
    return [group[:at], group[at:]]


def _with(snapshot: Snapshot, objects: Mapping[ObjectKey, Object | None], *, empty: bool = False) -> Snapshot:
    """The snapshot with some objects replaced, or without any; places stay those of what is there."""
    tables = {} if empty else dict(snapshot.tables)
    changed = {kind: dict(snapshot.table(kind)) for kind in {key.kind for key in objects}}
    moved = dict(snapshot.moved)
    for key, item in objects.items():
        place = snapshot.origin(key)
        if place is not None:
            moved[key] = place
        pair = (key.namespace, key.name)
        if item is None:
            changed[key.kind].pop(pair, None)
        else:
            changed[key.kind][pair] = item
    # A store of its own: what differs from any other snapshot is found by comparing.
    return Snapshot(tables={**tables, **changed}, moved=moved, store=object(), serial=0, base=0, changes={})


def _diagnostic(key: ObjectKey, item: _Held) -> Diagnostic:
    outcome = "its last good version goes on" if item.good is not None else "it is left out"
    if isinstance(item.good, RefusedPolicy):
        outcome = "what it holds for is closed"
    message = f"{item.reason}; until it changes {outcome}"
    remedy = "write it another way, and see that the rest of it is as it should be"
    return Diagnostic(severity="error", object=str(key), code="held", message=message, remedy=remedy)
