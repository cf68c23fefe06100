"""What was meant by a kind, a group or a version that is not known: most likely a typing mistake.

Kinds of other groups are other people's business, unless their name is one of ours and their group is nearly ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Set
from typing import Any

from sluicegate.controller.api import Code, Diagnostic
from sluicegate.controller.api.kinds import TABLE
from sluicegate.words import shown

from .catalog import catalog
from .structure import violation

#: Kinds of the core group of Kubernetes, whether they have a schema here or not.
_CORE_KINDS = frozenset(
    {
        "Binding",
        "ComponentStatus",
        "Endpoints",
        "Event",
        "LimitRange",
        "List",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "PodTemplate",
        "ReplicationController",
        "ResourceQuota",
    }
) | {kind.name for kind in TABLE if kind.group == ""}
#: End of the groups of experiments; their kinds begin with X.
_EXPERIMENTAL = ".x-k8s.io"
#: How much two names have to be alike (`difflib`): in a group that is ours, and where others have kinds too.
_LIKE, _VERY_LIKE = 0.6, 0.8


def untyped(document: dict[str, Any]) -> Iterator[Diagnostic]:
    """Say what an object without kind or apiVersion lacks."""
    for name in ("apiVersion", "kind"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            yield violation(name, "schema", f"{shown(value)} is no text", f"write {name} as text, without brackets")
        elif value is None:
            near = [key for key in document if isinstance(key, str) and key.casefold() == name.casefold()]
            remedy = f"write {name}, not {near[0]}" if near else "an object begins with apiVersion and kind"
            yield violation(name, "schema", "required", remedy)


def unknown(version: str, kind: str) -> Iterator[Diagnostic]:
    """Say what is near a kind that has no schema here; nothing where it is no mistake."""
    found = _mistake(version, kind)
    if found is not None:
        yield violation(*found[:4])


def meant_kind(version: str, kind: str) -> str:
    """The kind that was most likely meant by one that is not known; empty where nobody can say."""
    found = _mistake(version, kind)
    return found[4] if found is not None else ""


def _mistake(version: str, kind: str) -> tuple[str, Code, str, str, str] | None:
    """Field, code, message and remedy of a mistake, and the kind that was meant."""
    group = version.rpartition("/")[0]
    groups = {_group(entry.version) for entry in catalog().values()} - {""}
    if version in groups:
        found = _versions(kind, version) or [f"{version}/v1"]
        return "apiVersion", "unknown-version", f"{version} is a group and lacks a version", _write(found), kind
    same = _versions(kind, group)
    if same:
        return "apiVersion", "unknown-version", f"{kind} has no version {version}", _write(same), kind
    if group.endswith(_EXPERIMENTAL) and _versions(kind.removeprefix("X"), None):
        return None  # no longer an experiment: `sources.files.unread` says what to write
    if group in groups:
        near = _near(kind, _kinds(group), _LIKE)
        remedy = f"did you mean {near}?" if near else f"it has {', '.join(_kinds(group))}"
        return "kind", "unknown-kind", f"the group {group} has no kind {kind}", remedy, near
    near = _near(kind, _kinds(""), _VERY_LIKE) if group == "" and kind not in _CORE_KINDS else ""
    if near:
        return "kind", "unknown-kind", f"Kubernetes has no kind {kind} in {version}", f"did you mean {near}?", near
    meant = next((item for item in _kinds(None) if item.casefold() == kind.casefold()), "")
    if meant and _is_near(group, {_group(item) for item in _versions(meant, None)}):
        remedy = f"write apiVersion: {' or '.join(_versions(meant, None))}"
        remedy += "" if meant == kind else f" and kind: {meant}"
        return "apiVersion", "unknown-kind", f"{version} has no kind {kind}", remedy, meant
    return None


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def _versions(kind: str, group: str | None) -> list[str]:
    """Served versions of a kind, in one group or in all."""
    return sorted(
        entry.version
        for entry in catalog().values()
        if entry.kind == kind and entry.served and group in {None, _group(entry.version)}
    )


def _kinds(group: str | None) -> list[str]:
    return sorted({entry.kind for entry in catalog().values() if group in {None, _group(entry.version)}})


def _near(kind: str, kinds: Iterable[str], cutoff: float) -> str:
    """The kind that is most like another one, whatever the case of its letters; empty where none is."""
    folded = {item.casefold(): item for item in kinds}
    found = difflib.get_close_matches(kind.casefold(), folded, 1, cutoff)
    return folded[found[0]] if found else ""


def _is_near(group: str, groups: Set[str]) -> bool:
    """Whether a group is of Kubernetes, or nearly one of these: others may have kinds of the same name."""
    if "." not in group or group.endswith(".k8s.io"):
        return True
    return group.partition("/")[0] in groups or bool(difflib.get_close_matches(group, groups, 1, _VERY_LIKE))


def _write(versions: Iterable[str]) -> str:
    return f"write {' or '.join(versions)}"
