"""The manifests of a data plane. What a pod may do is nothing: no Kubernetes permission, no root, no capability.

- Ports below 1024 are bound through the safe sysctl `net.ipv4.ip_unprivileged_port_start` of the pod's own network.
- Listeners are not named in the pod template: a new listener must not start new pods.
- The token is for the config stream alone (its audience), and short-lived.
"""

from __future__ import annotations

from typing import Any

import tomli_w

from ...api import GatewayParametersSpec
from ...api.kinds import BY_NAME
from ...api.parameters import ProxyParameters
from .names import DIGEST, digest_of
from .parameters import DEFAULT_DRAIN, DEFAULT_SETTLE, GRACE
from .plane import ADMIN_PORT, SETTINGS_ANNOTATION, Manifest, PlaneRequest, ProvisionOptions

#: Audience of the token that a pod shows to the controller, and how long one is good (seconds).
AUDIENCE = "sluicegate.dev/config"
TOKEN_SECONDS = 3_600
SETTINGS_FOLDER, TOKEN_FOLDER, STATE_FOLDER = "/etc/sluicegate", "/var/run/secrets/sluicegate", "/var/lib/sluicegate"
#: The snapshot holds private keys: it is kept in memory, off the node's disk, and survives restarts of the container.
STATE_LIMIT = "64Mi"
#: The `nonroot` user of distroless images.
USER = 65532
#: A pod that was ready for so long counts as available, so that roll-outs notice one that fails at once.
MIN_READY_SECONDS = 1
#: A roll-out in which no pod becomes ready for so long is told in the Gateway (`pods`). A start takes a few seconds.
PROGRESS_SECONDS = 60
#: Before a pod that does not answer is restarted, it has the time to start on a busy node. A startup probe would say
#: the same, but readiness is only asked for after it, a second later.
START_SECONDS = 90
#: A pod that starts answers the readiness probe as soon as it has its configuration, and not when it is asked again a
#: second later. Less than the probe's own limit.
READY_WAIT, PROBE_LIMIT = 1.5, 2
#: Asked for where the parameters ask for nothing. An autoscaler reckons with shares of it.
REQUESTS = {"cpu": "20m", "memory": "64Mi"}
SCALED_REQUESTS = {"cpu": "100m", "memory": "64Mi"}
DEFAULT_UTILIZATION = 80


def settings_file(proxy: ProxyParameters) -> str:
    """The settings file (TOML) of the role `gateway`."""
    settings: dict[str, Any] = {
        "drain": DEFAULT_DRAIN if proxy.drain_seconds is None else proxy.drain_seconds,
        "settle": DEFAULT_SETTLE if proxy.settle_seconds is None else proxy.settle_seconds,
        "access_log": "-" if proxy.access_log else "off",
    }
    if proxy.workers is not None:
        settings["workers"] = proxy.workers
    if proxy.engine:
        settings["engine"] = dict(sorted(proxy.engine.items()))
    return tomli_w.dumps(dict(sorted(settings.items())))


def deployment_spec(
    request: PlaneRequest,
    options: ProvisionOptions,
    selector: dict[str, str],
    labels: dict[str, str],
    annotations: dict[str, str],
    settings: str,
) -> Manifest:
    """`spec` of the Deployment.

    Args:
        request: what is planned.
        options: settings of provisioning.
        selector: labels that select the pods.
        labels: of the pods besides those.
        annotations: of the pods.
        settings: content of the settings file.
    """
    wanted = request.parameters.deployment
    digest = digest_of(settings, DIGEST)
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": str(ADMIN_PORT), "prometheus.io/path": "/metrics"}
    metadata = {
        "labels": {**labels, **(wanted.pod_labels or {}), **selector},
        "annotations": {**scrape, **annotations, **(wanted.pod_annotations or {}), SETTINGS_ANNOTATION: digest},
    }
    spec: Manifest = {
        "selector": {"matchLabels": selector},
        "minReadySeconds": MIN_READY_SECONDS,
        "progressDeadlineSeconds": PROGRESS_SECONDS,
        "revisionHistoryLimit": 3,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": {"metadata": metadata, "spec": _pod_spec(request, options, selector)},
    }
    # Otherwise the count is an autoscaler's, or that of whoever scales it: the writer keeps the one that is there.
    if request.parameters.autoscaling.max_replicas is None and wanted.replicas is not None:
        spec["replicas"] = wanted.replicas
    return spec


def _pod_spec(request: PlaneRequest, options: ProvisionOptions, selector: dict[str, str]) -> Manifest:
    wanted, proxy = request.parameters.deployment, request.parameters.proxy
    drain = DEFAULT_DRAIN if proxy.drain_seconds is None else proxy.drain_seconds
    settle = DEFAULT_SETTLE if proxy.settle_seconds is None else proxy.settle_seconds
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
    }
    given = {
        "affinity": wanted.affinity,
        "tolerations": _list(wanted.tolerations),
        "nodeSelector": wanted.node_selector,
        "topologySpreadConstraints": _list(wanted.topology_spread_constraints) or [spread],
        "priorityClassName": wanted.priority_class_name,
        "imagePullSecrets": _list(wanted.image_pull_secrets),
    }
    return {
        "serviceAccountName": request.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settle + drain + GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
        },
        "containers": [_container(request.parameters, options)],
        "volumes": [
            {"name": "settings", "configMap": {"name": request.name}},
            {"name": "state", "emptyDir": {"medium": "Memory", "sizeLimit": STATE_LIMIT}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": _token()}]}},
        ],
        **{name: value for name, value in given.items() if value},
    }


def _container(parameters: GatewayParametersSpec, options: ProvisionOptions) -> Manifest:
    wanted = parameters.deployment
    policy = wanted.image_pull_policy or options.image_pull_policy
    requests = REQUESTS if parameters.autoscaling.max_replicas is None else SCALED_REQUESTS
    return {
        "name": "gateway",
        "image": wanted.image or options.image,
        **({"imagePullPolicy": policy} if policy else {}),
        "args": [
            "gateway",
            f"--controller={options.stream}",
            f"--token-file={TOKEN_FOLDER}/token",
            f"--ca-file={SETTINGS_FOLDER}/ca.crt",
            f"--config={SETTINGS_FOLDER}/settings.toml",
            f"--state-directory={STATE_FOLDER}",
            f"--admin=0.0.0.0:{ADMIN_PORT}",
        ],
        # Where the pod is, for Services whose traffic stays near. Its zone is a label of it from Kubernetes 1.35 on.
        "env": [
            _from_pod("SLUICEGATE_NODE", "spec.nodeName"),
            _from_pod("SLUICEGATE_ZONE", "metadata.labels['topology.kubernetes.io/zone']"),
        ],
        "ports": [{"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"}],
        "readinessProbe": _probe(f"/readyz?wait={READY_WAIT:g}", 1, 2),
        "livenessProbe": {**_probe("/healthz", 10, 3), "initialDelaySeconds": START_SECONDS},
        "resources": wanted.resources if wanted.resources is not None else {"requests": requests},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
            {"name": "state", "mountPath": STATE_FOLDER},
            {"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True},
        ],
    }


def _from_pod(name: str, field: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}


def disruption_spec(parameters: GatewayParametersSpec, selector: dict[str, str]) -> Manifest:
    """`spec` of the PodDisruptionBudget."""
    wanted = parameters.disruption_budget
    spec: Manifest = {"selector": {"matchLabels": selector}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    if wanted.min_available is not None:
        return {**spec, "minAvailable": wanted.min_available}
    return {**spec, "maxUnavailable": 1 if wanted.max_unavailable is None else wanted.max_unavailable}


def autoscaler_spec(parameters: GatewayParametersSpec, name: str) -> Manifest:
    """`spec` of the HorizontalPodAutoscaler of the Deployment `name`."""
    wanted = parameters.autoscaling
    share = DEFAULT_UTILIZATION if wanted.target_cpu_utilization is None else wanted.target_cpu_utilization
    usual = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": share}},
    }
    return {
        "scaleTargetRef": {"apiVersion": BY_NAME["Deployment"].api_versions[0], "kind": "Deployment", "name": name},
        "minReplicas": wanted.min_replicas or 1,
        "maxReplicas": wanted.max_replicas,
        "metrics": _list(wanted.metrics) or [usual],
        **({"behavior": wanted.behavior} if wanted.behavior is not None else {}),
    }


def _probe(path: str, period: int, failures: int) -> Manifest:
    target = {"path": path, "port": ADMIN_PORT}
    return {"httpGet": target, "periodSeconds": period, "timeoutSeconds": PROBE_LIMIT, "failureThreshold": failures}


def _token() -> Manifest:
    return {"path": "token", "audience": AUDIENCE, "expirationSeconds": TOKEN_SECONDS}


def _list(value: tuple[dict[str, Any], ...] | None) -> list[dict[str, Any]]:
    return list(value or ())
