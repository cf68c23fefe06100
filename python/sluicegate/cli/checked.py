"""What `check` has to say about manifests: the API server, the controller, and what neither of them tells."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from sluicegate.controller.api import CLUSTER, Diagnostic, ObjectKey, RefusedPolicy, placed_at
from sluicegate.controller.api.core import SERVICE_NAME_LABEL
from sluicegate.controller.sources.files import Document
from sluicegate.controller.sources.files.disk import is_below
from sluicegate.controller.sources.files.judge import key_of, label_of, placed
from sluicegate.controller.sources.files.other_files import other_file
from sluicegate.controller.translate.lost_hostnames import lost_hostnames
from sluicegate.controller.translate.shadowed import shadowed_matches
from sluicegate.controller.translate.shorter_timeouts import shorter_timeouts
from sluicegate.controller.translate.state import State
from sluicegate.controller.translate.untraced import untraced
from sluicegate.controller.translate.values import normal_path
from sluicegate.engine.limits import PathNormalization
from sluicegate.processes.file_sources import told_of
from sluicegate.schema import violations
from sluicegate.testing.offline import Offline

from .believed_proxies import of_parameters
from .foreign_policies import foreign_policies
from .unused_objects import unused_objects

#: What the API server would refuse.
SCHEMA_CODES = frozenset({"schema", "rule", "unknown-field", "unknown-kind", "unknown-version"})
#: Codes about what is not there: what may well be in the cluster and not in these files.
REFERENCE_CODES = frozenset(
    {
        "backend-not-found",
        "filter-ref-not-found",
        "foreign-class",
        "foreign-parent",
        "invalid-ca-certificate-ref",
        "invalid-certificate-ref",
        "no-endpoints",
        "no-parent",
        "not-traced",
        "policy-ref-not-found",
        "ref-not-permitted",
        "target-not-found",
        "unused-object",
        "unused-policy",
    }
)


def checked(
    offline: Offline, path_normalization: PathNormalization = "strict", paths: Sequence[str] = ()
) -> list[Diagnostic]:
    """All that is to be said, in the order of files and lines, but for what `closed_policies` says.

    Args:
        offline: the manifests.
        path_normalization: the engine setting of that name.
        paths: that were given.
    """
    documents = offline.source.documents()
    configuration = offline.translation.ir
    found = {
        # Of fields that are not known the API server says more: `kubectl apply` asks it to be strict.
        *(item for item in offline.diagnostics() if item.code != "unknown-field" or offline.from_cluster),
        # What a cluster has its API server took.
        *(schema_diagnostics(documents) if not offline.from_cluster else ()),
        *foreign_policies(documents),
        *unused_objects(offline.translation.snapshot, documents),
        *of_parameters(offline.translation.snapshot),
        *nothing_in(offline, paths),
        *told_of(_placed(offline, _unseen(configuration)), offline.source, offline.ingresses),
    }
    found.difference_update(closed_policies(offline).values())
    if path_normalization == "off":
        found.update(_paths_as_they_come(documents))
    refused = refused_objects(found)
    # What a policy is about says more than that its kind is not read.
    policies = {item.object for item in found if item.code == "foreign-policy"}
    told = (item for item in found if item.code != "unread-kind" or item.object not in policies)
    slices = _slices_of(documents, refused)
    return sorted((_with_cause(item, refused, slices) for item in told), key=Diagnostic.order)


def _unseen(configuration: State) -> Iterator[Diagnostic]:
    """Routes, and parts of them, that get nothing; traces that there are none of; timeouts that never come."""
    yield from untraced(configuration)
    yield from shorter_timeouts(configuration)
    requests, connections = configuration.http_rules.values(), configuration.l4_rules.values()
    yield from shadowed_matches(requests, configuration.attachments)
    yield from lost_hostnames(configuration.listeners, [*requests, *connections], configuration.attachments)


def nothing_in(offline: Offline, paths: Sequence[str]) -> Iterator[Diagnostic]:
    """Say which paths have nothing for the gateway; of a file that cannot be read its own fault says more.

    Args:
        offline: what was read of them.
        paths: that were given.
    """
    documents = {os.path.realpath(document.origin.path) for document in offline.source.documents()}
    faults = {os.path.realpath(item.path) for item in offline.refresh.diagnostics if item.code == "unreadable"}
    for path in dict.fromkeys(paths):
        real = os.path.realpath(path)
        if any(is_below(item, real) for item in documents | faults):
            continue
        is_directory = os.path.isdir(path)
        message = "no manifest is in it: files that end in .yaml, .yml or .json are read"
        yield Diagnostic(
            path=path,
            severity="error" if is_directory or not documents else "warning",
            code="no-objects",
            message=message if is_directory else "no object is in it",
            remedy="check the path, and what writes there",
        )
    refused = any(item.object and item.severity == "error" for item in offline.refresh.diagnostics)
    if documents and not faults and not refused and not offline.refresh.objects:
        yield Diagnostic(
            path=next(iter(paths), ""),
            severity="warning",
            code="no-objects",
            message="nothing is for the gateway: all objects are of other kinds",
            remedy="check the paths that are given",
        )


def schema_diagnostics(documents: Iterable[Document]) -> Iterator[Diagnostic]:
    """What the API server would refuse, with file and line; unknown fields too, as `kubectl apply` asks it to."""
    for document in documents:
        data = document.data
        if any(other_file(document.origin.path, data)):
            continue
        for item in placed(document, violations(data)):
            yield msgspec.structs.replace(item, severity="error")


def refused_objects(found: Iterable[Diagnostic]) -> frozenset[str]:
    """Objects that the API server would refuse, whatever it is asked; without unknown fields it may take them."""
    codes = SCHEMA_CODES - {"unknown-field"} | {"invalid", "duplicate"}
    return frozenset(item.object for item in found if item.code in codes and item.severity == "error")


def closed_policies(offline: Offline) -> dict[str, Diagnostic]:
    """What becomes of what refused policies hold for, by what the policies are called where they are written."""
    snapshot = offline.translation.snapshot
    told = [
        (origin, item)
        for item in offline.diagnostics()
        if item.code == "invalid-policy"
        and isinstance(snapshot.get(key := ObjectKey.parse(item.object)), RefusedPolicy)
        and (origin := snapshot.origin(key)) is not None
    ]
    documents = offline.source.documents() if told else ()
    labels = {document.origin: label_of(document.data) for document in documents}
    found: dict[str, Diagnostic] = {}
    for origin, item in told:
        if origin == CLUSTER:
            found.setdefault(item.object, item)
        elif origin in labels:  # of a text that is no YAML nothing else is told by name
            found.setdefault(labels[origin], item)
    return found


def _slices_of(documents: Iterable[Document], refused: frozenset[str]) -> dict[str, str]:
    """EndpointSlices that are refused, by their Service."""
    found: dict[str, str] = {}
    for document in documents if any(name.startswith("EndpointSlice/") for name in refused) else ():
        key = key_of(document.data)
        if key is None or key.kind != "EndpointSlice" or str(key) not in refused:
            continue
        labels = document.data["metadata"].get("labels")
        if isinstance(labels, dict):
            found.setdefault(f"Service/{key.namespace}/{labels.get(SERVICE_NAME_LABEL)}", str(key))
    return found


def _with_cause(item: Diagnostic, refused: frozenset[str], slices: Mapping[str, str]) -> Diagnostic:
    """Where an object is only missing because it is refused itself, say that it is to be corrected first."""
    if item.code not in REFERENCE_CODES:
        return item
    cause = next((name for name in refused if f"{name.replace('/', ' ', 1)} " in f"{item.message} "), None)
    cause = slices.get(item.object) if item.code == "no-endpoints" else cause
    return item if cause is None else msgspec.structs.replace(item, remedy=f"correct {cause} first: it is refused")


def _placed(offline: Offline, items: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """Of what the translation does not tell itself: file and line of the object."""
    origins = {str(key): offline.translation.snapshot.origin(key) for key in offline.translation.statuses}
    for item in items:
        origin = origins.get(item.object)
        yield placed_at(item, origin) if origin is not None else item


def _paths_as_they_come(documents: Iterable[Document]) -> Iterator[Diagnostic]:
    """Paths of matches in a form that no request has where paths are not normalised."""
    for document in documents:
        if document.data.get("kind") != "HTTPRoute":
            continue
        found = [(field, value) for field, value in _path_values(document.data) if normal_path(value) != value]
        items = [
            Diagnostic(
                severity="warning",
                field=field,
                code="path-normalization",
                message=f"{value} is looked for as {normal_path(value)}, and path_normalization is off",
                remedy="write the path as clients send it, without escapes of letters, digits and -._~",
            )
            for field, value in found
        ]
        yield from placed(document, items)


def _path_values(data: dict[str, object]) -> Iterator[tuple[str, str]]:
    spec = data.get("spec")
    rules = spec.get("rules") if isinstance(spec, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        matches = rule.get("matches") if isinstance(rule, dict) else None
        for number, match in enumerate(matches if isinstance(matches, list) else []):
            path = match.get("path") if isinstance(match, dict) else None
            value = path.get("value") if isinstance(path, dict) and path.get("type") != "RegularExpression" else None
            if isinstance(value, str):
                yield f"spec.rules[{index}].matches[{number}].path.value", value
