"""What several stanzas of a ClientPolicy have in common."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from ...values import parse_duration
from ..draft import Draft
from ..quantity import octets

#: Kinds that have listeners.
LISTENERS = frozenset({"Gateway", "ListenerSet"})
#: Milliseconds: longer than any connection or request.
MAX_DURATION = 30 * 86_400_000
MAX_COUNT = 2**31 - 1

_Word = TypeVar("_Word", bound=Enum)


def for_listeners_only(draft: Draft, stanza: str) -> None:
    """Refuse a stanza that means nothing below a listener, where a target is below one."""
    for index, target in enumerate(draft.spec.target_refs):
        if target.kind not in LISTENERS:
            message = f"{stanza} is for Gateways and ListenerSets, and listeners of them, not for {target.kind}"
            draft.refuse(f"targetRefs[{index}]", message, "attach it to the Gateway, in a policy of its own")


def milliseconds(draft: Draft, value: str | None, path: str) -> int:
    """A duration above 0; 0: it is not set, or was told to be none."""
    if value is None:
        return 0
    found = parse_duration(value)
    if not found or found > MAX_DURATION:
        draft.refuse(path, f"{value!r} is no duration above 0 and up to 720h", "write it as 500ms, 30s or 1h")
        return 0
    return found


def size(draft: Draft, value: str | int | None, path: str) -> int:
    """Octets; 0: it is not set, or was told to be none."""
    if value is None:
        return 0
    found = octets(value)
    if found is None:
        draft.refuse(path, f"{value!r} is no size", "write octets, such as 1048576, or 512Ki, 10Mi, 1Gi, 10M")
    return found or 0


def count(draft: Draft, value: int | None, path: str) -> int:
    """A number above 0; 0: it is not set, or was told to be none."""
    if value is None or 0 < value <= MAX_COUNT:
        return value or 0
    draft.refuse(path, f"{value} is no number from 1 to {MAX_COUNT}", "correct it, or leave it out")
    return 0


def word(draft: Draft, kind: type[_Word], value: str, path: str, default: _Word) -> _Word:
    """One of several words."""
    known = {str(item.value): item for item in kind}
    if value not in known:
        draft.refuse(path, f"{value!r} is not known", f"use one of {', '.join(known)}")
    return known.get(value, default)
