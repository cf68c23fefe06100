"""Documents of kinds that the gateway does not read, where their author may expect that it does.

Most kinds are other programs' business, and nothing is said of them but their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...api import EXPERIMENTAL_GROUP, GATEWAY_GROUP, Diagnostic, Severity
from ...api.kinds import BY_NAME

#: The group of the Gateway API before v0.5.
OLD_GROUP = "networking.x-k8s.io"

_WRITE_ROUTE = "write an HTTPRoute, have `sluicegate migrate` do it, or serve Ingresses too (--ingress)"
#: Kinds for the same purpose as ours: severity, what becomes of them, and what to write.
_ALIKE: dict[tuple[str, str], tuple[Severity, str, str]] = {
    ("", "Endpoints"): (
        "warning",
        "Endpoints are not read, so the Service has none of these addresses",
        "write an EndpointSlice of discovery.k8s.io/v1 with the label kubernetes.io/service-name",
    ),
    ("networking.k8s.io", "Ingress"): ("info", "an Ingress is not served", _WRITE_ROUTE),
    ("kustomize.config.k8s.io", "Kustomization"): (
        "info",
        "what it names is read as it is: nothing is built of it, so its patches and generators do not hold",
        "give what it builds, such as by `kubectl kustomize DIRECTORY | sluicegate check -`",
    ),
    ("extensions", "Ingress"): ("info", "an Ingress is not served", _WRITE_ROUTE),
}


def unread(document: dict[str, Any]) -> Iterator[Diagnostic]:
    """Say what becomes of an object of a kind that is not read; nothing where nobody expects more.

    Args:
        document: with `apiVersion` and `kind`, both text.
    """
    version, kind = document["apiVersion"], document["kind"]
    group = version.rpartition("/")[0]
    if (group, kind) in _ALIKE:
        yield _told("kind", *_ALIKE[group, kind])
    elif group in {OLD_GROUP, EXPERIMENTAL_GROUP}:
        stable = kind if group == OLD_GROUP else kind.removeprefix("X")
        known = BY_NAME.get(stable)
        remedy = "remove it, or do without"
        if known is not None and known.group == GATEWAY_GROUP:
            remedy = f"write apiVersion: {known.api_versions[0]} and kind: {stable}"
        yield _told("apiVersion", "warning", f"{kind} of {version} is not read", remedy)
    else:
        for field, target in _targets(document):
            message = f"a policy of another controller: nothing of it holds for this {target}"
            yield _told(field, "warning", message, "remove it, or do without what it asks for")


def _told(field: str, severity: Severity, message: str, remedy: str) -> Diagnostic:
    return Diagnostic(severity=severity, field=field, code="unread-kind", message=message, remedy=remedy)


def _targets(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Objects of the Gateway API that a policy names as its targets (GEP-713): field and kind."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return
    named = [("spec.targetRef", spec.get("targetRef"))]
    if isinstance(spec.get("targetRefs"), list):
        named += [(f"spec.targetRefs[{index}]", item) for index, item in enumerate(spec["targetRefs"])]
    for field, item in named:
        if isinstance(item, dict) and item.get("group") == GATEWAY_GROUP:
            yield field, str(item.get("kind"))
