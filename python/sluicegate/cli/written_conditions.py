"""Conditions of a status as the API has it, each with what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sluicegate.controller.translate.conditions import Reason

#: Reasons of conditions that only what runs can change: they say nothing about manifests.
_OF_WHAT_RUNS = frozenset({Reason.PENDING.value, Reason.ADDRESS_NOT_ASSIGNED.value})


def without_what_runs(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    """A status without the conditions that say nothing about manifests."""
    if isinstance(value, Mapping):
        return {
            key: [without_what_runs(part) for part in item if part.get("reason") not in _OF_WHAT_RUNS]
            if key == "conditions"
            else without_what_runs(item)
            for key, item in value.items()
        }
    return [without_what_runs(item) for item in value] if isinstance(value, (list, tuple)) else value


def conditions_of(status: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All conditions; before each what it is about, such as `listener http`, empty for the object itself."""
    for condition in status.get("conditions", ()):
        yield "", condition
    for listener in status.get("listeners", ()):
        for condition in listener["conditions"]:
            yield f"listener {listener['name']}", condition
    for entry in status.get("parents", ()):
        for condition in entry["conditions"]:
            yield _reference(entry["parentRef"]), condition
    for entry in status.get("ancestors", ()):
        for condition in entry["conditions"]:
            yield _reference(entry["ancestorRef"]), condition


def _reference(reference: dict[str, Any]) -> str:
    section = f"/{reference['sectionName']}" if reference.get("sectionName") else ""
    return f"{reference['kind']} {reference['name']}{section}"
