"""What an API server stores of an object that it takes, made by what Sluicegate has of it: nulls, defaults, schemas.

Fields that are not known are dropped, defaults filled in. Source: of custom resources `pruning` and `defaulting` of
apiextensions' `pkg/apiserver/schema`; of Kubernetes' own kinds `pkg/apis/core/v1/defaults.go` and
`pkg/apis/discovery/v1/defaults.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from sluicegate.schema import without_nulls
from sluicegate.schema.catalog import catalog
from sluicegate.schema.metadata import METADATA
from sluicegate.schema.prepare import with_defaults

#: Of metadata what an API server makes up or overwrites.
_OWN = frozenset(
    {
        *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
        *("deletionGracePeriodSeconds", "managedFields", "selfLink", "generateName"),
    }
)
#: Of a Service what it allocates.
_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort")
#: Fields that Go keeps apart from fields that are not there, also where they are false.
_POINTERS = frozenset({"ready", "serving", "terminating", "immutable", "allocateLoadBalancerNodePorts"})
#: Maps of texts, which may be empty.
_MAPS = frozenset({"labels", "annotations", "selector", "data", "binaryData", "deprecatedTopology"})
_PRESERVE = "x-kubernetes-preserve-unknown-fields"


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """An object as the API server has it.

    Args:
        document: without violations.
    """
    entry = catalog()[document["apiVersion"], document["kind"]]
    document = without_nulls(document)
    head = {name: document[name] for name in ("apiVersion", "kind")}
    metadata = _pruned(document["metadata"], METADATA)
    body = {name: item for name, item in document.items() if name not in {*head, "metadata", "status"}}
    body = with_defaults(_pruned(body, entry.schema), entry.schema)
    if not entry.namespaced:
        metadata.pop("namespace", None)
    # Go leaves out what is empty.
    metadata = {name: item for name, item in metadata.items() if item not in ("", {}, [], 0)}
    if not entry.custom:
        defaults = _DEFAULTS.get(entry.kind)
        body = defaults(body) if defaults is not None else body
    return {**head, "metadata": metadata, **body}


def comparable(item: dict[str, Any]) -> dict[str, Any]:
    """A stored object without what only an API server can say; of Kubernetes' own kinds without what is empty."""
    metadata = {name: value for name, value in item["metadata"].items() if name not in _OWN}
    found = {name: value for name, value in item.items() if name not in {"metadata", "status"}}
    if catalog()[item["apiVersion"], item["kind"]].custom:
        return {**found, "metadata": metadata}
    if item["kind"] == "Service":
        spec = {name: value for name, value in item["spec"].items() if name not in _ALLOCATED}
        ports = spec.get("ports") or ()
        spec["ports"] = [{name: value for name, value in port.items() if name != "nodePort"} for port in ports]
        found["spec"] = spec
    if item["kind"] == "Namespace":
        found.pop("spec", None)
        labels = metadata.get("labels", {})
        metadata["labels"] = {key: text for key, text in labels.items() if key != "kubernetes.io/metadata.name"}
    filled: dict[str, Any] = _filled({**found, "metadata": metadata})
    return filled


def _filled(value: Any) -> Any:
    """Without what Go leaves out when it writes JSON: `omitempty`."""
    if isinstance(value, dict):
        inner = {name: item if name in _MAPS else _filled(item) for name, item in value.items()}
        return {name: item for name, item in inner.items() if name in _POINTERS or not _is_empty(item)}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", {}, [], 0, False)


def _pruned(value: Any, schema: dict[str, Any]) -> Any:
    """The value without fields that its schema does not know."""
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        if additional is True or schema.get(_PRESERVE):
            additional = {_PRESERVE: True}
        return {
            name: _pruned(item, properties.get(name, additional))
            for name, item in value.items()
            if name in properties or isinstance(additional, dict)
        }
    if isinstance(value, list):
        return [_pruned(item, schema.get("items", {_PRESERVE: True})) for item in value]
    return value


def _service(body: dict[str, Any]) -> dict[str, Any]:
    spec = {"sessionAffinity": "None", "type": "ClusterIP", **_said(body.get("spec", {}))}
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    else:
        client = spec.get("sessionAffinityConfig", {}).get("clientIP", {})
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10_800, **client}}
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    ports = []
    for port in spec.get("ports", ()):
        filled = {"protocol": "TCP", **_said(port)}
        if filled.get("targetPort") in {None, 0, ""}:
            filled["targetPort"] = filled["port"]
        ports.append(filled)
    if ports:
        spec["ports"] = ports
    return {**body, "spec": spec}


def _endpoint_slice(body: dict[str, Any]) -> dict[str, Any]:
    ports = [{"name": "", "protocol": "TCP", **port} for port in body.get("ports") or ()]
    endpoints = [
        {name: value for name, value in endpoint.items() if name != "deprecatedTopology"}
        for endpoint in body.get("endpoints") or ()
    ]
    return {**body, "ports": ports, "endpoints": endpoints}


def _secret(body: dict[str, Any]) -> dict[str, Any]:
    texts = body.get("stringData", {})
    found = {"type": "Opaque", **_said({name: item for name, item in body.items() if name != "stringData"})}
    if texts:
        found["data"] = {
            **found.get("data", {}),
            **{name: base64.b64encode(text.encode()).decode() for name, text in texts.items()},
        }
    return found


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    """Without texts that are empty, which Go takes for unset."""
    return {name: item for name, item in fields.items() if item != ""}


#: Of Kubernetes' own kinds: fills in defaults.
_DEFAULTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "Secret": _secret,
}
