"""Our status into the one that is there: foreign conditions and other controllers' entries stay as they are.

Pure. Rules:
- `lastTransitionTime` changes only with `status` of its condition (`metav1.Condition`).
- A result that says the same as what is there is what is there, so that nothing is written without a semantic change.
- What was made of an older generation than what is there says is not written (Gateway API: implementations MUST NOT set
  an older `observedGeneration`); the newer translation is on its way.
- An empty list is not written: one that is there goes.
- Conditions and entries that are there keep their places; new ones come last.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import msgspec

from ..translate import Status, to_document
from ..translate.conditions import DOMAIN, ConditionType

Document = dict[str, Any]

#: `PolicyStatus.ancestors` and `RouteStatus.parents` take no more.
MAX_ANCESTORS = 16
MAX_PARENTS = 32


def merged_status(
    live: Document | None, status: Status | None, controller_name: str, now: str, generation: int | None = None
) -> Document | None:
    """Put our part into a status.

    Args:
        live: what the API has.
        status: what we have to say; None: nothing any more (our entries go, the rest stays).
        controller_name: whose entries of `parents` and `ancestors` are ours.
        now: RFC 3339, for conditions that change.
        generation: of the object, where known; a live status that claims to be of a later one is of another object (a
            backup, say) and does not count.

    Returns:
        The whole status; None where the one that is there says it already, or is of a newer generation.
    """
    before = live or {}
    wanted = to_document(status) if status is not None else {}
    told, ours = _generation(before, controller_name), _generation(wanted, controller_name)
    if ours and ours < (told if generation is None else min(told, generation)):
        return None
    optional = _optional(type(status)) if status is not None else frozenset()
    after = {**{name: value for name, value in before.items() if name not in optional}, **wanted}
    if "conditions" in wanted:
        after["conditions"] = _conditions(before.get("conditions") or (), wanted["conditions"], now)
    if "listeners" in wanted:
        after["listeners"] = _listeners(before.get("listeners") or (), wanted["listeners"], now)
    for name, reference, limit in (("parents", "parentRef", MAX_PARENTS), ("ancestors", "ancestorRef", MAX_ANCESTORS)):
        if name in wanted or (status is None and before.get(name)):
            ours = wanted.get(name, ())
            after[name] = _entries(before.get(name) or (), ours, reference, controller_name, now)[:limit]
    emptied = any(before.get(name) == [] for name in optional - after.keys())
    return None if _same(before, after) and not emptied else after


@functools.cache
def _optional(kind: type[Status]) -> frozenset[str]:
    """Fields of a status that we leave out where there is nothing to say: they must not stay then."""
    return frozenset(item.encode_name for item in msgspec.structs.fields(kind) if not item.required)


def _generation(status: Document, controller_name: str) -> int:
    """The newest generation of conditions: the object's, its listeners', our parents' and ancestors'; 0: unknown."""
    entries = (*(status.get("parents") or ()), *(status.get("ancestors") or ()))
    ours = (item for item in entries if item.get("controllerName") == controller_name)
    holders = (status, *(status.get("listeners") or ()), *ours)
    return max((item.get("observedGeneration") or 0 for each in holders for item in _conditions_of(each)), default=0)


def _conditions(before: Iterable[Document], wanted: Iterable[Document], now: str) -> list[Document]:
    """Ours by type in place of those that were there; what was there of other types stays, ours that are gone go."""
    ours = {item["type"]: item for item in wanted}
    kept = {item["type"]: item for item in before if item["type"] in ours or not _may_go(item["type"])}
    return [_dated(ours[kind], kept.get(kind), now) if kind in ours else kept[kind] for kind in {**kept, **ours}]


#: Types that we write only sometimes: where we do not, they must not stay.
OPTIONAL_TYPES = frozenset(
    {
        ConditionType.OVERLAPPING_TLS_CONFIG,
        ConditionType.INSECURE_FRONTEND_VALIDATION_MODE,
        ConditionType.PARTIALLY_INVALID,
        # Of policies that are not accepted.
        ConditionType.PROGRAMMED,
        ConditionType.SUPPORTED_VERSION,
    }
)


def _may_go(kind: str) -> bool:
    """Whether a condition of this type is ours, and must not stay where we do not write it."""
    return kind in OPTIONAL_TYPES or kind.startswith(f"{DOMAIN}/")


def _dated(item: Document, before: Document | None, now: str) -> Document:
    unchanged = before is not None and before.get("status") == item["status"]
    stamp = before.get("lastTransitionTime") if before is not None and unchanged else None
    return {**item, "lastTransitionTime": stamp or now}


def _listeners(before: Iterable[Document], wanted: Iterable[Document], now: str) -> list[Document]:
    known = {item["name"]: item for item in before}
    return [
        {**item, "conditions": _conditions(_conditions_of(known.get(item["name"])), item["conditions"], now)}
        for item in wanted
    ]


def _conditions_of(item: Document | None) -> Iterable[Document]:
    return (item or {}).get("conditions") or ()


def _entries(
    before: Iterable[Document], wanted: Iterable[Document], reference: str, controller_name: str, now: str
) -> list[Document]:
    ours = {_identity(item[reference]): item for item in wanted}
    result = []
    for item in before:
        if item.get("controllerName") != controller_name:
            result.append(item)
        elif (mine := ours.pop(_identity(item[reference]), None)) is not None:
            result.append({**mine, "conditions": _conditions(_conditions_of(item), mine["conditions"], now)})
    return result + [{**item, "conditions": _conditions((), item["conditions"], now)} for item in ours.values()]


def _identity(reference: Document) -> tuple[object, ...]:
    names = ("group", "kind", "namespace", "name", "sectionName", "port")
    return tuple(reference.get(name) for name in names)


def _same(before: Document, after: Document) -> bool:
    return before == after or bool(_canonical(before) == _canonical(after))


def _canonical(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Without order where the API has none (conditions by type), without empty values."""
    if isinstance(value, dict):
        found = {key: _canonical(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in (None, [], {})}
    if isinstance(value, (list, tuple)):
        items = [_canonical(item) for item in value]
        if items and all(isinstance(item, dict) and "type" in item and "status" in item for item in items):
            items.sort(key=lambda item: str(item["type"]))
        return items
    return value
