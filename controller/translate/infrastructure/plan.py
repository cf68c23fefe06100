"""A request to a data plane: the objects, in the order in which they are applied.

Pure. Everything that one Gateway has is owned by it and goes with it. What is shared has no owner: the class must not
be it, since a class that is deleted by mistake would take the traffic of all its Gateways away; the controller deletes
it with the last Gateway.
"""

from __future__ import annotations

import json

from ...api import ObjectKey
from ...api.kinds import BY_NAME
from .manifests import autoscaler_spec, deployment_spec, disruption_spec, settings_file
from .names import DIGEST, digest_of, label_value
from .plane import (
    CLASS_LABEL,
    COMPONENT,
    CONTROLLER_ANNOTATION,
    DIGEST_ANNOTATION,
    GATEWAY_LABEL,
    MANAGED_LABEL,
    MANAGER,
    PLANE_LABEL,
    DataPlane,
    Manifest,
    PlaneGateway,
    PlaneRequest,
    ProvisionOptions,
)
from .service import service_annotations, service_spec

#: Says for which Gateway's namespace a Service of a shared data plane is.
NAMESPACE_LABEL = "sluicegate.dev/gateway-namespace"


def plan(request: PlaneRequest, options: ProvisionOptions) -> DataPlane:
    """Plan a data plane."""
    gateways = tuple(item.key for item in request.gateways)
    if request.kept:
        return DataPlane(request.namespace, request.name, gateways, kept=True)
    builder = _Builder(request, options)
    services = {ObjectKey("Service", request.namespace, item.service): item for item in request.gateways}
    return DataPlane(
        request.namespace,
        request.name,
        gateways,
        tuple(builder.objects()),
        services={key: item.key for key, item in services.items()},
        retained=frozenset(key for key, item in services.items() if item.kept),
    )


class _Builder:
    def __init__(self, request: PlaneRequest, options: ProvisionOptions) -> None:
        self._request = request
        self._options = options
        own = {
            "app.kubernetes.io/name": MANAGER,
            "app.kubernetes.io/component": COMPONENT,
            MANAGED_LABEL: MANAGER,
            PLANE_LABEL: request.name,
            CLASS_LABEL: label_value(request.class_name),
        }
        first = request.gateways[0] if request.gateways and not request.shared else None
        if first is not None:
            own[GATEWAY_LABEL] = label_value(first.key.name)
        self._own = own
        # A Deployment's selector can never be changed: only what its name stands for is in it.
        self._selector = {name: own[name] for name in ("app.kubernetes.io/component", MANAGED_LABEL, PLANE_LABEL)}
        self._labels = {**(first.labels if first is not None else {}), **own}
        self._annotations = dict(first.annotations) if first is not None else {}

    def objects(self) -> list[Manifest]:
        """All objects, in order."""
        request, parameters = self._request, self._request.parameters
        settings = settings_file(parameters.proxy)
        deployment = deployment_spec(request, self._options, self._selector, self._labels, self._annotations, settings)
        data = {"settings.toml": settings, "ca.crt": request.trust}
        made = [
            self._object("ServiceAccount", {"automountServiceAccountToken": False}),
            self._object("ConfigMap", {"data": data}),
            *(self._service(item) for item in request.gateways if not item.kept),
            self._object("Deployment", {"spec": deployment}),
            self._object("PodDisruptionBudget", {"spec": disruption_spec(parameters, self._selector)}),
        ]
        if parameters.autoscaling.max_replicas is not None:
            spec = autoscaler_spec(parameters, request.name)
            made.append(self._object("HorizontalPodAutoscaler", {"spec": spec}))
        return [_with_digest(item) for item in made]

    def _service(self, gateway: PlaneGateway) -> Manifest:
        made = self._object("Service", {"spec": service_spec(gateway, self._selector)})
        metadata = made["metadata"]
        metadata["name"] = gateway.service
        if self._request.shared:
            own = {GATEWAY_LABEL: label_value(gateway.key.name), NAMESPACE_LABEL: gateway.key.namespace}
            metadata["labels"] = {**gateway.labels, **metadata["labels"], **own}
        # The controller's own annotation is not for the Gateway to set.
        asked = {**gateway.annotations, **service_annotations(gateway)}
        metadata["annotations"] = {**asked, **self._own_annotations()}
        return made

    def _object(self, kind: str, content: Manifest) -> Manifest:
        metadata: Manifest = {
            "namespace": self._request.namespace,
            "name": self._request.name,
            "labels": dict(self._labels),
            "annotations": {**self._annotations, **self._own_annotations()},
        }
        if not self._request.shared:
            metadata["ownerReferences"] = [self._owner()]
        return {"apiVersion": BY_NAME[kind].api_versions[0], "kind": kind, "metadata": metadata, **content}

    def _own_annotations(self) -> dict[str, str]:
        """Of every object; what a Gateway or parameters ask for does not change them."""
        return {CONTROLLER_ANNOTATION: self._request.controller_name}

    def _owner(self) -> Manifest:
        [gateway] = self._request.gateways
        return {
            "apiVersion": BY_NAME["Gateway"].api_versions[0],
            "kind": "Gateway",
            "name": gateway.key.name,
            "uid": gateway.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def _with_digest(manifest: Manifest) -> Manifest:
    text = json.dumps(manifest, sort_keys=True)
    manifest["metadata"]["annotations"][DIGEST_ANNOTATION] = digest_of(text, DIGEST)
    return manifest
