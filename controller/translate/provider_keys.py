"""Identity providers whose keys data planes cannot fetch, in the statuses of the policies that name them.

Keys are fetched by the data planes, so they alone know. Their pods report what is away; what is well is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from sluicegate import ir

from ..api import ObjectKey
from .apply_report import KeysAway
from .conditions import ConditionType, Reason
from .infrastructure.plane import DataPlane
from .status import PolicyAncestorStatus, PolicyStatus, Status, Verdict

#: What is away, by the policies that name it.
Away = Mapping[ObjectKey, tuple[KeysAway, ...]]


def away_by_policy(policies: Iterable[ir.PolicyBase], away: Iterable[KeysAway]) -> Away:
    """Which policies name a provider that is away.

    Args:
        policies: of the IR.
        away: as data planes say.
    """
    by_source: dict[str, list[KeysAway]] = {}
    for item in away:
        by_source.setdefault(item.source, []).append(item)
    found: dict[ObjectKey, tuple[KeysAway, ...]] = {}
    for policy in policies if by_source else ():
        if isinstance(policy, ir.AccessJwt):
            remote = [item.remote for item in policy.providers if item.remote is not None]
            named = [item for keys in remote for item in by_source.get(f"{keys.backend}{keys.path}", ())]
            if named:
                found[ObjectKey.parse(policy.policy)] = tuple(dict.fromkeys(named))
    return found


def told_away(
    statuses: Mapping[ObjectKey, Status], away: Away, planes: Mapping[str, DataPlane]
) -> Iterator[tuple[ObjectKey, Status]]:
    """The statuses of policies some of whose providers are away.

    Args:
        statuses: of all objects, without that.
        away: by policy.
        planes: data planes by `namespace/name`.
    """
    for key, items in away.items():
        status = statuses.get(key)
        if isinstance(status, PolicyStatus):
            yield key, _without_keys(status, items, planes)


def _without_keys(status: PolicyStatus, away: Iterable[KeysAway], planes: Mapping[str, DataPlane]) -> PolicyStatus:
    def told(entry: PolicyAncestorStatus) -> PolicyAncestorStatus:
        reference = entry.ancestor_ref
        gateway = ObjectKey("Gateway", reference.namespace or "", reference.name)
        own = [item for item in away if not item.plane or _serves(planes.get(item.plane), gateway)]
        if not own:
            return entry
        generation = entry.conditions[0].observed_generation
        condition = _verdict(own).condition(ConditionType.PROVIDER_KEYS_UNAVAILABLE, generation)
        return msgspec.structs.replace(entry, conditions=(*entry.conditions, condition))

    return PolicyStatus(ancestors=tuple(map(told, status.ancestors)))


def _serves(plane: DataPlane | None, gateway: ObjectKey) -> bool:
    return plane is not None and gateway in plane.gateways


def _verdict(away: Iterable[KeysAway]) -> Verdict:
    """The gravest first: tokens that nobody verifies."""
    ordered = sorted(away, key=lambda item: (item.verify, item.source, item.pod))
    texts = [_text(item) for item in ordered]
    reason = Reason.KEYS_OUT_OF_DATE if ordered[0].verify else Reason.NO_KEYS
    return Verdict(True, reason, "; ".join(texts))


def _text(item: KeysAway) -> str:
    what = (
        "does not answer; the keys that it gave before verify on, for a day at most"
        if item.verify
        else "has given no keys that are younger than a day; tokens of it are answered 503"
    )
    return f"{item.source} {what}{f' (pod {item.pod}, whose log says why)' if item.pod else ''}"
