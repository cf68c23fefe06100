"""What `status` says: of each Gateway and route what is accepted and programmed, and in words why not.

Conditions are those that the controller wrote, or would write of manifests. Fields and remedies are those of a
translation of the same objects: a condition has room for one reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from sluicegate import __version__
from sluicegate.controller.api import ROUTE_KINDS, Diagnostic, ObjectKey, Origin
from sluicegate.controller.api.names import VIRTUAL
from sluicegate.controller.sources.files.judge import key_of
from sluicegate.controller.translate import to_document
from sluicegate.testing.offline import Offline

from .checked import nothing_in
from .written_conditions import conditions_of, without_what_runs

#: Kinds that are told of, in this order.
KINDS = ("GatewayClass", "Gateway", "ListenerSet", *ROUTE_KINDS)
#: Conditions that have to be true, and that may not.
_WANTED, _UNWANTED = (
    frozenset({"Accepted", "ResolvedRefs", "Programmed"}),
    frozenset({"Conflicted", "PartiallyInvalid"}),
)

_UNWRITTEN = "no controller has written its status: see whether the controller runs, and why not"
_OUTDATED = "the controller has not seen its last change: its status is of generation {told}, it is at {now}"


class StatusCondition(msgspec.Struct, frozen=True, kw_only=True):
    """A condition of an object.

    Attributes:
        of: what it is about, such as `listener http` or `Gateway shop/http`; empty: the object itself.
        type: such as `Accepted`.
        status: `True`, `False` or `Unknown`.
        reason: in a word for programs.
        message: for people.
        good: whether it is as one wants it.
    """

    of: str
    type: str
    status: str
    reason: str
    message: str
    good: bool


class ObjectStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One Gateway, route or the like.

    Attributes:
        object: such as `HTTPRoute/default/shop`.
        path: of its file; `cluster`: a cluster has it.
        line: where it begins; 0: a cluster has it.
        good: all of it is accepted, programmed as far as that is known, and no error is told of it.
        addresses: of a Gateway.
        routes: attached to each listener, by its name.
        conditions: its own, and those of its listeners or parents.
        note: why the conditions may not be those of the object as it is; empty: they are.
        problems: what is wrong with it, with fields and remedies.
    """

    object: str
    path: str
    line: int
    good: bool
    addresses: tuple[str, ...]
    routes: dict[str, int]
    conditions: tuple[StatusCondition, ...]
    note: str
    problems: tuple[Diagnostic, ...]


class StatusReport(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/status-report/v1"
):
    """What `--output json` writes.

    Attributes:
        version: of the program.
        source: where the objects are. `cluster`: the conditions are those that are written there; `files`: those that
            the controller would write, without what only running gateways can say.
        objects: by kind and name.
        unread: what could not be read, or has nothing.
        failed: whether the exit status is 1.
    """

    version: str
    source: Literal["cluster", "files"]
    objects: tuple[ObjectStatus, ...]
    unread: tuple[Diagnostic, ...]
    failed: bool


def report_of(offline: Offline, controller_name: str, paths: Sequence[str] = ()) -> StatusReport:
    """Put a report together.

    Args:
        offline: the objects, translated.
        controller_name: whose conditions are meant.
        paths: that were given.
    """
    problems: dict[str, list[Diagnostic]] = defaultdict(list)
    for item in offline.diagnostics():
        if item.severity != "info":
            problems[item.object].append(item)
    written = _written(offline) if offline.from_cluster else {}
    ours = {key for key in offline.translation.statuses if key.kind in KINDS and not key.name.startswith(VIRTUAL)}
    told = {ObjectKey.parse(name) for name in problems if name.partition("/")[0] in KINDS}
    keys = sorted(ours | told, key=lambda key: (KINDS.index(key.kind), key))
    objects = tuple(_object(offline, key, written, problems[str(key)], controller_name) for key in keys)
    found = [item for name, items in problems.items() for item in items if not name or item.code == "unreadable"]
    unread = (*found, *nothing_in(offline, paths))
    return StatusReport(
        version=__version__,
        source="cluster" if offline.from_cluster else "files",
        objects=objects,
        unread=unread,
        failed=any(item.severity == "error" for item in unread) or not all(item.good for item in objects),
    )


def _written(offline: Offline) -> dict[ObjectKey, dict[str, Any]]:
    """The objects of a cluster as it has them."""
    found = {}
    for document in offline.source.documents():
        key = key_of(document.data)
        if key is not None and key.kind in KINDS:
            found[key] = document.data
    return found


def _object(
    offline: Offline,
    key: ObjectKey,
    written: Mapping[ObjectKey, dict[str, Any]],
    problems: list[Diagnostic],
    controller_name: str,
) -> ObjectStatus:
    made = offline.translation.statuses.get(key)
    status: dict[str, Any] = without_what_runs(to_document(made)) if made is not None else {}
    note = ""
    if offline.from_cluster and made is not None:
        document = written.get(key, {})
        status = _of_ours(document.get("status") or {}, controller_name)
        note = _note(status, document)
    return object_status(key, status, problems, offline.translation.snapshot.origin(key), note)


def object_status(
    key: ObjectKey,
    status: Mapping[str, Any],
    problems: Sequence[Diagnostic],
    origin: Origin | None,
    note: str = "",
) -> ObjectStatus:
    """What is said of one object.

    Args:
        key: of it.
        status: as the API has it.
        problems: what is wrong with it.
        origin: where it comes from; None: where its problems are.
        note: why the status may not be that of the object as it is.
    """
    conditions = tuple(_condition(of, item) for of, item in conditions_of(status))
    listeners = status.get("listeners") or ()
    place = origin if origin is not None else next(((item.path, item.line) for item in problems), ("", 0))
    return ObjectStatus(
        object=str(key),
        path=place[0],
        line=place[1],
        good=not note
        and all(item.good for item in conditions)
        and not any(item.severity == "error" for item in problems),
        addresses=tuple(str(item.get("value")) for item in status.get("addresses") or ()),
        routes={str(item.get("name")): item.get("attachedRoutes") or 0 for item in listeners},
        conditions=conditions,
        note=note,
        problems=tuple(problems),
    )


def _of_ours(status: dict[str, Any], controller_name: str) -> dict[str, Any]:
    """A status without what other controllers say, and without lists that are null."""
    found = {name: value for name, value in status.items() if value is not None}
    if "parents" in found:
        found["parents"] = [item for item in found["parents"] if item.get("controllerName") == controller_name]
    return found


def _note(status: dict[str, Any], document: dict[str, Any]) -> str:
    # What the API server's defaults say before a controller came by is of generation 0.
    told = [item.get("observedGeneration") or 0 for _, item in conditions_of(status)]
    now = (document.get("metadata") or {}).get("generation") or 0
    if not told or (now and not any(told)):
        return _UNWRITTEN
    return _OUTDATED.format(told=min(told), now=now) if min(told) < now else ""


def _condition(of: str, item: dict[str, Any]) -> StatusCondition:
    kind, status = str(item.get("type")), str(item.get("status"))
    good = (kind not in _WANTED or status == "True") and (kind not in _UNWANTED or status != "True")
    return StatusCondition(
        of=of,
        type=kind,
        status=status,
        reason=str(item.get("reason") or ""),
        message=str(item.get("message") or ""),
        good=good,
    )


def bad_conditions(item: ObjectStatus) -> Iterator[StatusCondition]:
    """Those that are not as one wants them."""
    return (condition for condition in item.conditions if not condition.good)
