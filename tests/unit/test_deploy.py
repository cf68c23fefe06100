"""The installation grants what the table of kinds asks for and no more, by every installer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import re2
import yaml

import permissions
import policy_crds
from deploy_tools import DeployToolError, chart_documents, kustomize_documents
from sluicegate.controller.api.kinds import PROVISIONED_KINDS, STATUS_KINDS
from sluicegate.controller.sources.kubernetes.resources import BY_KIND, WATCHED, WATCHED_TO_PROVISION, Resource
from sluicegate.controller.translate.infrastructure.plane import MANAGED_LABEL, MANAGER

DEPLOY = Path(__file__).parents[2] / "deploy"
#: What the controller makes of Gateways.
PLANES = Path(__file__).parents[1] / "golden" / "provision"
NAMESPACE = "sluicegate-system"
READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete", "deletecollection", "*")
INSTALLERS = ("controller", "chart", "node")

Object = dict[str, Any]


def documents(text: str) -> list[Any]:
    """What a file has, by the parser of libyaml: CRDs take the other one seconds."""
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


class Grant(NamedTuple):
    """One verb on one resource, or on one object of it."""

    where: str
    group: str
    resource: str
    name: str
    verb: str


def kustomized(folder: Path) -> list[Object]:
    """What a folder installs. References between files are resolved here, as far as ours use them."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    names = kustomization["resources"]
    assert {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"} == {n for n in names if "/" not in n}
    found = []
    for name in names:
        path = folder / name
        found += kustomized(path) if path.is_dir() else documents(path.read_text())
    return found


def charted(*options: str, release: str = "sluicegate", namespace: str = NAMESPACE) -> list[Object]:
    text = chart_documents(DEPLOY / "chart", release, namespace, *options)
    return [item for item in documents(text) if item]


def installed(installer: str) -> list[Object]:
    return charted() if installer == "chart" else kustomized(DEPLOY / installer)


def one(objects: list[Object], kind: str) -> Object:
    [found] = [item for item in objects if item["kind"] == kind]
    return found


def grants(objects: list[Object]) -> set[Grant]:
    """Every rule of the roles; each role must be bound to the one ServiceAccount, and to nothing else."""
    account = one(objects, "ServiceAccount")["metadata"]["name"]
    found = set()
    for kind, where in (("ClusterRole", "all"), ("Role", "own")):
        role, binding = one(objects, kind), one(objects, f"{kind}Binding")
        assert binding["roleRef"] == {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": kind,
            "name": role["metadata"]["name"],
        }
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
        for rule in role["rules"]:
            assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
            found |= {
                Grant(where, group, resource, name, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for name in rule.get("resourceNames", [""])
                for verb in rule["verbs"]
            }
    return found


@pytest.mark.parametrize("path", permissions.files(), ids=lambda path: str(path.relative_to(DEPLOY.parent)))
def test_what_is_made_of_the_table_of_kinds_is_up_to_date(path: Path) -> None:
    assert path.read_text() == permissions.files()[path], "run: make schemas"


@pytest.mark.parametrize("path", policy_crds.files(), ids=lambda path: path.name)
def test_what_is_made_of_the_sources_of_policies_is_up_to_date(path: Path) -> None:
    assert path.read_text() == policy_crds.files()[path], "run: make schemas"


@pytest.mark.parametrize("installer", INSTALLERS)
def test_what_the_table_of_kinds_asks_for_is_granted_and_nothing_else_is(installer: str) -> None:
    wanted = {
        Grant("own" if item.own else "all", kind.group, permissions.resource(kind, item), name, verb)
        for kind, item in permissions.granted(node=installer == "node")
        for name in item.names or ("",)
        for verb in item.verbs
    }
    assert grants(installed(installer)) == wanted


def test_every_permission_has_a_reason() -> None:
    for kind, item in permissions.granted(node=False):
        assert item.why, (kind.name, item)
        assert not set(item.why) & set("|#{}"), (kind.name, item.why)  # in tables, after `#`, in templates


@pytest.mark.parametrize("installer", INSTALLERS)
def test_nothing_is_granted_wholesale(installer: str) -> None:
    for grant in grants(installed(installer)):
        assert "*" not in {grant.group, grant.resource, grant.verb}, grant
        assert grant.verb not in {"escalate", "bind", "impersonate", "deletecollection"}, grant


def places(installer: str, verb: str) -> set[tuple[str, str]]:
    """Group and resource of what a verb is granted on in all namespaces."""
    found = grants(installed(installer))
    return {(grant.group, grant.resource) for grant in found if grant.verb == verb and grant.where == "all"}


def place(resource: Resource, part: str = "") -> tuple[str, str]:
    return resource.version.rpartition("/")[0], resource.plural + part


@pytest.mark.parametrize("installer", INSTALLERS)
def test_what_is_watched_may_be_read_and_no_more(installer: str) -> None:
    wanted = {place(item) for item in (WATCHED if installer == "node" else WATCHED_TO_PROVISION)}
    for verb in READ:
        assert places(installer, verb) == wanted


@pytest.mark.parametrize("installer", INSTALLERS)
def test_what_is_written_may_be_written_and_no_more(installer: str) -> None:
    statuses = {place(BY_KIND[kind], "/status") for kind in STATUS_KINDS}
    provisioned = set() if installer == "node" else {place(BY_KIND[kind]) for kind in PROVISIONED_KINDS}
    events = set() if installer == "node" else {("events.k8s.io", "events")}
    reviews = set() if installer == "node" else {("authentication.k8s.io", "tokenreviews")}
    assert places(installer, "patch") == statuses | provisioned | events
    assert places(installer, "create") == provisioned | events | reviews
    assert places(installer, "delete") == provisioned
    owners = set() if installer == "node" else {("gateway.networking.k8s.io", "gateways/finalizers")}
    assert places(installer, "update") == owners


@pytest.mark.parametrize("installer", INSTALLERS)
def test_secrets_of_others_are_only_read(installer: str) -> None:
    for grant in grants(installed(installer)):
        if grant.resource == "secrets" and grant.verb in WRITE:
            assert grant.where == "own"
            ours = {"sluicegate-controller-ca", "sluicegate-session-tickets"}
            assert grant.name in ours or grant.verb == "create"


@pytest.mark.parametrize("installer", ["controller", "chart"])
def test_the_controller_fits_the_restricted_level(installer: str) -> None:
    pod = one(installed(installer), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(pod)
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("hostPort" not in port for port in container["ports"])


@pytest.mark.parametrize("installer", INSTALLERS)
def test_variables_are_those_that_are_read(installer: str) -> None:
    settings = (DEPLOY.parent / "docs" / "settings.md").read_text()
    [container] = one(installed(installer), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert [item["name"] for item in container.get("env", ()) if f"`{item['name']}`" not in settings] == []


def test_the_node_has_one_capability() -> None:
    [container] = one(installed("node"), "Deployment")["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}


@pytest.mark.parametrize("installer", ["controller", "chart"])
def test_an_update_keeps_a_ready_replica(installer: str) -> None:
    objects = installed(installer)
    spec = one(objects, "Deployment")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    [container] = spec["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()


@pytest.mark.parametrize("installer", ["controller", "chart"])
def test_the_stream_is_for_data_planes_the_admin_port_for_everybody(installer: str) -> None:
    objects = installed(installer)
    policy, deployment = one(objects, "NetworkPolicy"), one(objects, "Deployment")
    assert policy["spec"]["podSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    numbers = {port["name"]: {"protocol": "TCP", "port": port["containerPort"]} for port in container["ports"]}
    selector = {MANAGED_LABEL: MANAGER}
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert policy["spec"]["ingress"] == [
        {
            "from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": selector}}],
            "ports": [numbers.pop("grpc-config")],
        },
        {"ports": [numbers.pop("admin")]},
    ]
    assert not numbers
    for path in PLANES.glob("*/infrastructure.yaml"):
        [planes] = documents(path.read_text())
        for plane in (planes or {}).values():
            for item in plane["objects"]:
                if item["kind"] == "Deployment":
                    labels = item["spec"]["template"]["metadata"]["labels"]
                    assert selector.items() <= labels.items(), path
    assert "NetworkPolicy" not in {item["kind"] for item in charted("--set", "networkPolicy.create=false")}


def plain(item: Object) -> Object:
    """Without what only Helm writes."""
    for labels in (item["metadata"].get("labels", {}), item.get("spec", {}).get("template", {}).get("metadata", {})):
        for label in ("app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"):
            labels.pop(label, None)
    if item["kind"] not in {"Deployment", "CustomResourceDefinition"} and item["metadata"].get("labels"):
        labels = item["metadata"]["labels"]
        for label in ("name", "instance", "component"):
            labels.pop(f"app.kubernetes.io/{label}", None)
    elif item["kind"] == "Deployment":
        item["metadata"].pop("labels", None)
    if not item["metadata"].get("labels"):
        item["metadata"].pop("labels", None)
    return item


def test_kustomize_and_chart_install_the_same() -> None:
    def by_name(objects: list[Object]) -> dict[tuple[str, str], Object]:
        return {(item["kind"], item["metadata"]["name"]): plain(item) for item in objects}

    kustomize, chart = by_name(installed("controller")), by_name(installed("chart"))
    # `helm install --create-namespace` makes it.
    del kustomize["Namespace", NAMESPACE]
    assert chart == kustomize


def test_kustomize_makes_the_same_of_the_folder_as_we_do() -> None:
    """And the data planes' image follows the controller's."""
    text = kustomize_documents(DEPLOY / "controller")
    built = {(item["kind"], item["metadata"]["name"]): item for item in documents(text)}
    ours = {(item["kind"], item["metadata"]["name"]): item for item in kustomized(DEPLOY / "controller")}
    assert built == ours


def test_a_second_release_shares_nothing_with_the_first() -> None:
    options = ["--set", "controllerName=example.org/edge", "--set", "gatewayClass.name=edge"]
    names = [
        {(item["kind"], item["metadata"]["name"]) for item in objects if item["kind"] != "CustomResourceDefinition"}
        for objects in (charted(), charted(*options, release="edge", namespace="edge"))
    ]
    assert not names[0] & names[1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["replicas=0"], "replicas"),
        (["replica=2"], "replica"),
        (["controllerName=nothing"], "controllerName"),
        (["image.digest=latest"], "digest"),
        (["gatewayClass.parametersRef.name=x"], "parametersRef"),
        (["networkPolicy.enabled=false"], "networkPolicy"),
        (["log.format=xml"], "format"),
    ],
)
def test_values_that_are_wrong_are_refused_by_name(values: list[str], said: str) -> None:
    with pytest.raises(DeployToolError, match=said):
        charted(*(part for value in values for part in ("--set", value)))


def test_every_value_reaches_the_objects() -> None:
    digest = "sha256:" + "0" * 64
    values = {
        "replicas": "3",
        "image.repository": "registry.example/sluicegate",
        "image.digest": digest,
        "image.pullPolicy": "Always",
        "image.pullSecrets[0].name": "pull",
        "dataPlane.image": "registry.example/plane:1",
        "controllerName": "example.org/edge",
        "gatewayClass.name": "edge",
        "gatewayClass.parametersRef.group": "sluicegate.dev",
        "gatewayClass.parametersRef.kind": "GatewayParameters",
        "gatewayClass.parametersRef.namespace": "edge",
        "gatewayClass.parametersRef.name": "parameters",
        "log.format": "json",
        "resources.limits.memory": "1Gi",
        "podLabels.team": "edge",
        "podAnnotations.note": "x",
        "nodeSelector.zone": "a",
        "tolerations[0].key": "dedicated",
        "priorityClassName": "high",
        "serviceAccount.annotations.role": "r",
        "extraArgs[0]": "--more",
    }
    objects = charted(*(part for name, value in values.items() for part in ("--set", f"{name}={value}")))
    deployment = one(objects, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    assert deployment["replicas"] == 3
    assert container["image"] == f"registry.example/sluicegate@{digest}"
    assert container["imagePullPolicy"] == "Always"
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert {"name": "SLUICEGATE_IMAGE", "value": "registry.example/plane:1"} in container["env"]
    for argument in ("--controller-name=example.org/edge", "--image-pull-policy=Always", "--output=json", "--more"):
        assert argument in container["args"]
    assert container["resources"]["limits"]["memory"] == "1Gi"
    assert deployment["template"]["metadata"]["labels"]["team"] == "edge"
    assert deployment["template"]["metadata"]["annotations"] == {"note": "x"}
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"zone": "a"}, [{"key": "dedicated"}])
    assert pod["priorityClassName"] == "high"
    assert one(objects, "ServiceAccount")["metadata"]["annotations"] == {"role": "r"}
    gateway_class = one(objects, "GatewayClass")
    assert gateway_class["metadata"]["name"] == "edge"
    assert gateway_class["spec"]["controllerName"] == "example.org/edge"
    assert gateway_class["spec"]["parametersRef"]["name"] == "parameters"
    assert not [item for item in charted("--set", "gatewayClass.create=false") if item["kind"] == "GatewayClass"]


def leaves(values: Object, schema: Object, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Name, default and description of each value; what has no fields of its own in the schema is one value."""
    assert set(values) == set(schema["properties"]) - {"global"}, prefix
    for name, value in values.items():
        field = schema["properties"][name]
        assert field["description"], name
        if value and "properties" in field:
            yield from leaves(value, field, f"{prefix}{name}.")
        else:
            yield prefix + name, value, field["description"]


def test_the_table_of_values() -> None:
    """The chart's README has the defaults of values.yaml and the descriptions of values.schema.json."""
    chart = DEPLOY / "chart"
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    rows = [f"| `{name}` | `{json.dumps(value)}` | {text} |" for name, value, text in leaves(values, schema)]
    lines = [line for line in (chart / "README.md").read_text().splitlines() if line.startswith("|")]
    assert lines == ["| value | default | what it is |", "|---|---|---|", *rows]


def test_notes_on_pull_secrets() -> None:
    """Those of the controller are no use in the namespaces of Gateways, and whoever sets them is told so."""
    template = (DEPLOY / "chart" / "templates" / "NOTES.txt").read_text()
    said = template.partition("if .Values.image.pullSecrets")[2].partition("end }}")[0]
    assert "spec.deployment.imagePullSecrets" in said


def commands(path: Path) -> list[str]:
    """Of kubectl and Helm, in blocks of a text: without prompts and comments."""
    found = re.findall(r"^    (?:\$ )?((?:kubectl|helm) .*)$", path.read_text(), re.MULTILINE)
    return [line.partition("  #")[0].strip() for line in found]


def test_documents_agree_about_commands() -> None:
    """The harness of the tests on a cluster runs those of deploy/README.md (`tests/cluster/harness/install.py`)."""
    ours = commands(DEPLOY / "README.md")
    assert [line for line in commands(DEPLOY.parent / "README.md") if "apply" in line]
    assert set(commands(DEPLOY.parent / "README.md")) <= set(ours)
    page = commands(DEPLOY.parent / "docs" / "operate" / "install.md")
    assert {line for line in page if not line.startswith("kubectl delete ")} <= set(ours)
    [crds] = [line for line in commands(DEPLOY / "chart" / "templates" / "NOTES.txt") if "deploy/crds" in line]
    assert crds in ours
    assert "--force-conflicts" in crds  # Helm, which installed them, is their manager


def test_the_chart_has_every_crd() -> None:
    """As links, which Helm follows: there is one copy."""
    links = {path.name: path.resolve() for path in (DEPLOY / "chart" / "crds").iterdir()}
    files = {path.name: path for path in (DEPLOY / "crds").glob("*.yaml") if path.name != "kustomization.yaml"}
    assert links == files


def patterns(part: Any) -> Iterator[str]:
    """Every pattern of a schema."""
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "pattern" and isinstance(value, str))
        part = list(part.values())
    for item in part if isinstance(part, list) else ():
        yield from patterns(item)


def test_patterns_of_crds_are_those_of_an_api_server() -> None:
    """Go's expressions are RE2's, which repeat nothing more than a thousand times: a CRD with another is refused."""
    crds = (DEPLOY / "crds").glob("*.yaml")
    found = [text for path in crds for text in patterns(documents(path.read_text()))]
    assert len(found) > 20
    for text in found:
        re2.compile(text)
    with pytest.raises(re2.error):
        re2.compile("a{1,1001}")


@pytest.mark.parametrize("installer", ["ingress", "chart"])
def test_ingresses_may_be_read_only_where_they_are_served(installer: str) -> None:
    """By a role of its own, and their status written; whoever serves none has no permission for them."""
    served = ("--set", "ingress.classes={nginx}")
    objects = kustomized(DEPLOY / "ingress") if installer == "ingress" else charted(*served)
    [role] = [
        item for item in objects if item["kind"] == "ClusterRole" and item["metadata"]["name"].endswith("-ingress")
    ]
    found = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert found == {
        (kind.group, permissions.resource(kind, item), verb)
        for kind, item in permissions.granted_for_ingress()
        for verb in item.verbs
    }
    assert ("networking.k8s.io", "ingresses/status", "patch") in found
    assert {verb for _, resource, verb in found if "/" not in resource} == set(READ)
    [binding] = [
        item
        for item in objects
        if item["kind"] == "ClusterRoleBinding" and item["metadata"]["name"].endswith("-ingress")
    ]
    account = one(objects, "ServiceAccount")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    for other in INSTALLERS:
        assert not {grant for grant in grants(installed(other)) if grant.resource.startswith("ingress")}


def test_kustomize_has_the_controller_serve_ingresses() -> None:
    text = kustomize_documents(DEPLOY / "ingress")
    built = {(item["kind"], item["metadata"]["name"]): item for item in documents(text)}
    [container] = built["Deployment", "sluicegate-controller"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][-1] == "--ingress-class=sluicegate"
    assert ("IngressClass", "sluicegate") in built
    assert built["Gateway", "ingress"]["spec"]["allowedListeners"] == {"namespaces": {"from": "All"}}
    assert {key for key in built if key[0] == "Namespace"} == {("Namespace", NAMESPACE)}


def test_values_of_ingresses_reach_the_objects() -> None:
    values = {
        "ingress.classes": "{nginx,internal}",
        "ingress.createClasses": "true",
        "ingress.provider": "traefik",
        "ingress.configMap": "traefik/settings",
        "ingress.defaultCertificate": "certificates/default",
        "ingress.forwardingHeaders": "true",
        "ingress.status": "false",
        "ingress.gateway.name": "web",
    }
    objects = charted(*(part for name, value in values.items() for part in ("--set", f"{name}={value}")))
    [container] = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert set(container["args"]) >= {
        "--ingress-class=nginx",
        "--ingress-class=internal",
        f"--ingress-gateway={NAMESPACE}/web",
        "--ingress-provider=traefik",
        "--ingress-config-map=traefik/settings",
        "--ingress-default-certificate=certificates/default",
        "--ingress-forwarding-headers",
        "--no-ingress-status",
    }
    assert {item["metadata"]["name"] for item in objects if item["kind"] == "IngressClass"} == {"nginx", "internal"}
    assert one(objects, "Gateway")["metadata"] == {
        "name": "web",
        "namespace": NAMESPACE,
        "labels": one(objects, "Gateway")["metadata"]["labels"],
    }
    without = charted("--set", "ingress.classes={nginx}", "--set", "ingress.gateway.create=false")
    assert not {item["kind"] for item in without} & {"Gateway", "IngressClass"}
    assert not {item["kind"] for item in charted()} & {"Gateway", "IngressClass"}
