"""Objects that are bad, gone, contested or very many, while traffic goes on."""

from __future__ import annotations

import base64
import itertools
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api import KINDS, LIMIT, Api, Object, condition, path_of
from faults import (
    LABEL,
    Serving,
    change_arrives,
    edit_status,
    is_accepted,
    load,
    logged,
    meanwhile,
    ours,
    restart_controller,
    route,
    scale_controller,
    serving,
)
from harness import install
from traffic import Load, until

__all__ = ["load", "serving"]

OTHER = "example.com/other"
#: Routes, and those of them that are accepted within a limit.
MANY, PART = 5_000, 1_000
TLS_ROUTES = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tlsroutes.gateway.networking.k8s.io"
OWNED = ("ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "Pod")


def foreign(message: str) -> Object:
    """A condition that is not ours."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": OTHER, "status": "True", "reason": "Seen", "message": message, "lastTransitionTime": stamp}


def test_others_write_the_same_statuses(api: Api, serving: Serving, load: Load) -> None:
    """Annotations, foreign conditions and another controller's parents change all the time, and so do the routes."""
    namespace, numbers, written = serving.namespace, itertools.count(), {"Gateway": "", "HTTPRoute": ""}

    def annotate() -> None:
        for kind in written:
            api.patch(kind, namespace, "web", {"metadata": {"annotations": {OTHER: str(next(numbers))}}})

    def of_gateway() -> None:
        message = str(next(numbers))

        def edit(status: Object) -> None:
            others = [item for item in status.get("conditions", []) if item["type"] != OTHER]
            status["conditions"] = [*others, foreign(message)]

        if edit_status(api, "Gateway", namespace, "web", edit):
            written["Gateway"] = message

    def of_route() -> None:
        message = str(next(numbers))

        def edit(status: Object) -> None:
            others = [item for item in status.get("parents", []) if item["controllerName"] != OTHER]
            entry = {"parentRef": {"name": "web"}, "controllerName": OTHER, "conditions": [foreign(message)]}
            status["parents"] = [entry, *others]

        if edit_status(api, "HTTPRoute", namespace, "web", edit):
            written["HTTPRoute"] = message

    names = [f"contested-{index}" for index in range(20)]
    with meanwhile(annotate, of_gateway, of_route):
        for name in names:
            api.create(route(serving, name, f"{name}.example.com"))
            spec = {"hostnames": ["www.example.com", f"also-{name}.example.com"]}
            api.patch("HTTPRoute", namespace, "web", {"spec": spec})
        until(serving.address, f"also-{names[-1]}.example.com")

    gateway = api.until("Gateway", namespace, "web", lambda item: attached(item) == len(names) + 1)
    assert [item["message"] for item in gateway["status"]["conditions"] if item["type"] == OTHER] == [
        written["Gateway"]
    ]
    assert condition(gateway, "Programmed") == "True"
    contested = api.until("HTTPRoute", namespace, "web", is_accepted)
    others = [item for item in contested["status"]["parents"] if item["controllerName"] == OTHER]
    assert [messages(item["conditions"]) for item in others] == [[written["HTTPRoute"]]]
    assert len(ours(contested)) == 1

    for name in names:
        api.delete("HTTPRoute", namespace, name)
    api.patch("HTTPRoute", namespace, "web", {"spec": {"hostnames": ["www.example.com"]}})
    gateway = api.until("Gateway", namespace, "web", lambda item: attached(item) == 1)
    assert [item["message"] for item in gateway["status"]["conditions"] if item["type"] == OTHER] == [
        written["Gateway"]
    ]


def messages(conditions: list[Object]) -> list[str]:
    """What the conditions that are not ours say."""
    return [item["message"] for item in conditions if item["type"] == OTHER]


def attached(gateway: Object) -> int:
    """Routes at the first listener."""
    [listener] = gateway["status"]["listeners"]
    return int(listener["attachedRoutes"])


SECURE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: secure}
spec:
  gatewayClassName: sluicegate
  listeners:
  - name: https
    protocol: HTTPS
    port: 443
    tls:
      certificateRefs: [{name: secure}]
"""


def certificate(folder: Path) -> dict[str, str]:
    """A certificate and its key, as the data of a Secret."""
    made = {name: folder / name for name in ("tls.crt", "tls.key")}
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=www.example.com", "-addext", "subjectAltName=DNS:www.example.com", "-days", "30"]
    command += ["-out", str(made["tls.crt"]), "-keyout", str(made["tls.key"])]
    subprocess.run(command, check=True, capture_output=True)
    return {name: base64.b64encode(path.read_bytes()).decode() for name, path in made.items()}


def presented(address: str) -> str:
    """The certificate that a listener presents, as the data of a Secret."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, 443), LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="www.example.com") as connection,
    ):
        found = connection.getpeercert(binary_form=True)
    assert found is not None
    return base64.b64encode(ssl.DER_cert_to_PEM_cert(found).encode()).decode()


def until_presented(address: str, wanted: str) -> None:
    """Connect until a listener presents a certificate."""
    deadline, last, pause = time.monotonic() + LIMIT, None, threading.Event()
    while last != wanted:
        assert time.monotonic() < deadline, last
        try:
            last = presented(address)
        except OSError as error:
            last = repr(error)
        pause.wait(0.05)


def resolved(status: str, word: str = "") -> Callable[[Object], bool]:
    """Whether the listener's ResolvedRefs says so, and its message has a word."""

    def holds(gateway: Object) -> bool:
        conditions = [item for entry in gateway["status"].get("listeners", []) for item in entry["conditions"]]
        found = [item for item in conditions if item["type"] == "ResolvedRefs"]
        return bool(found) and found[0]["status"] == status and word in found[0]["message"]

    return holds


def test_a_secret_becomes_nonsense(api: Api, serving: Serving, load: Load, tmp_path: Path) -> None:
    """The old certificate serves on, and the listener says what is wrong."""
    data, namespace = certificate(tmp_path), serving.namespace
    metadata = {"name": "secure", "namespace": namespace}
    api.create({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data})
    api.apply(SECURE, namespace)
    gateway = api.until("Gateway", namespace, "secure", lambda item: condition(item, "Programmed") == "True")
    address = gateway["status"]["addresses"][0]["value"]
    until_presented(address, data["tls.crt"])

    nonsense = base64.b64encode(b"nonsense").decode()
    api.patch("Secret", namespace, "secure", {"data": dict.fromkeys(data, nonsense)})
    api.until("Gateway", namespace, "secure", resolved("False", "the last good certificate serves on"))
    assert presented(address) == data["tls.crt"]
    change_arrives(api, serving)
    assert presented(address) == data["tls.crt"]

    newer = certificate(tmp_path)
    api.patch("Secret", namespace, "secure", {"data": newer})
    api.until("Gateway", namespace, "secure", resolved("True"))
    until_presented(address, newer["tls.crt"])
    for kind in ("Gateway", "Secret"):
        api.delete(kind, namespace, "secure")


def test_a_secret_is_gone_for_a_moment(api: Api, serving: Serving, load: Load, tmp_path: Path) -> None:
    """Who issues it anew may delete it first: the listener stays, and Gateway and event name the Secret."""
    data, namespace = certificate(tmp_path), serving.namespace
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data}
    secret["metadata"] = {"name": "secure", "namespace": namespace}
    api.create(secret)
    api.apply(SECURE, namespace)
    gateway = api.until("Gateway", namespace, "secure", lambda item: condition(item, "Programmed") == "True")
    address = gateway["status"]["addresses"][0]["value"]
    until_presented(address, data["tls.crt"])

    api.delete("Secret", namespace, "secure")
    gone = api.until("Gateway", namespace, "secure", resolved("False", "the last good certificate serves on until"))
    assert condition(gone, "Programmed") == condition(gone, "Accepted") == "True"
    said = f"Secret {namespace}/secure: does not exist"
    [whole] = [item for item in gone["status"]["conditions"] if item["type"] == "ResolvedRefs"]
    assert said in whole["message"]
    event = api.watch(path_of("Event", namespace), "reason=ListenersNotResolved", lambda *_: True, LIMIT)
    assert said in event["note"]
    change_arrives(api, serving)
    assert presented(address) == data["tls.crt"]

    api.create({**secret, "data": certificate(tmp_path)})
    api.until("Gateway", namespace, "secure", resolved("True"))
    for kind in ("Gateway", "Secret"):
        api.delete(kind, namespace, "secure")


def left(api: Api, namespace: str, gateways: list[str]) -> list[tuple[str, str]]:
    """Kind and name of what belongs to Gateways."""
    selector = f"{LABEL} in ({','.join(gateways)})"
    return [
        (kind, item["metadata"]["name"]) for kind in OWNED for item in api.list(kind, namespace, labelSelector=selector)
    ]


def test_gateways_are_deleted_mid_provision(api: Api, serving: Serving, load: Load) -> None:
    """As soon as they are there, or as soon as the first object of a kind is: nothing is left behind."""
    namespace, gateways = serving.namespace, []
    spec = {"gatewayClassName": "sluicegate", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]}
    for moment in ("Gateway", "ServiceAccount", "Deployment", "Pod"):
        name = f"short-{moment.lower()}"
        metadata = {"name": name, "namespace": namespace}
        api.create({"apiVersion": KINDS["Gateway"][0], "kind": "Gateway", "metadata": metadata, "spec": spec})
        if moment != "Gateway":
            api.watch(path_of(moment, namespace), "", lambda _, item, name=name: belongs(item, name), LIMIT)
        api.delete("Gateway", namespace, name)
        api.gone("Gateway", namespace, name)
        gateways.append(name)
    # What the controller began before it heard of it has ended when a later change is through.
    change_arrives(api, serving)
    deadline = time.monotonic() + LIMIT
    while found := left(api, namespace, gateways):
        assert time.monotonic() < deadline, found
        for kind, item in found:
            api.gone(kind, namespace, item)
    change_arrives(api, serving)
    assert left(api, namespace, gateways) == []


def belongs(item: Object, gateway: str) -> bool:
    """Whether an object was made for a Gateway."""
    return item["metadata"].get("labels", {}).get(LABEL) == gateway


def test_five_thousand_routes_at_start(api: Api, serving: Serving, load: Load) -> None:
    namespace = serving.namespace
    names = [f"many-{index}" for index in range(MANY)]
    try:
        scale_controller(api, 0)
        began = time.monotonic()
        labels = {"labels": {"many": "yes"}}
        items = [route(serving, name, f"{name}.example.com") for name in names]
        api.create_all([{**item, "metadata": {**item["metadata"], **labels}} for item in items])
        created = time.monotonic()
        scale_controller(api, 2)
        api.until("Gateway", namespace, "web", lambda item: attached(item) == MANY + 1, limit=3 * LIMIT)
        counted = time.monotonic()
        until(serving.address, f"{names[-1]}.example.com", limit=LIMIT)
        pending = set(names)
        while pending:  # each part in a time of its own, however slow the machine is
            wanted = max(len(pending) - PART, 0)

            def accepted(event: str, item: Object, wanted: int = wanted) -> bool:
                if is_accepted(item):
                    pending.discard(item["metadata"]["name"])
                return len(pending) <= wanted

            api.watch(path_of("HTTPRoute", namespace), "", accepted, LIMIT)
        print(
            f"{MANY:,} routes: created in {created - began:.1f} s; from the start of the controllers to attached "
            f"{counted - created:.1f} s, to accepted {time.monotonic() - created:.1f} s"
        )
        change_arrives(api, serving)
    finally:
        there = api.list("HTTPRoute", namespace, labelSelector="many=yes")
        api.delete_all("HTTPRoute", namespace, [item["metadata"]["name"] for item in there])
        scale_controller(api, 2)
    api.until("Gateway", namespace, "web", lambda item: attached(item) == 1, limit=3 * LIMIT)


@pytest.fixture
def restored(api: Api) -> Iterator[None]:
    """The CRDs are complete again afterwards."""
    yield
    install.crds(install.VERSIONS[-1], restore=True)


def tls_route(serving: Serving, version: str) -> Object:
    """A TLSRoute."""
    spec = {"parentRefs": [{"name": "web"}], "hostnames": ["tls.example.com"]}
    spec["rules"] = [{"backendRefs": [{"name": "example-svc", "port": 8080}]}]
    metadata = {"name": "tls", "namespace": serving.namespace}
    return {
        "apiVersion": f"gateway.networking.k8s.io/{version}",
        "kind": "TLSRoute",
        "metadata": metadata,
        "spec": spec,
    }


def test_a_crd_is_missing(api: Api, serving: Serving, load: Load, restored: None) -> None:
    api.call("DELETE", TLS_ROUTES)
    folder, _, name = TLS_ROUTES.rpartition("/")
    if api.call("GET", f"{folder}?fieldSelector=metadata.name%3D{name}")["items"]:
        api.watch(folder, f"metadata.name={name}", lambda event, _: event == "DELETED", LIMIT)
    pod = restart_controller()
    print(logged(pod, "the cluster has no TLSRoute in"))
    change_arrives(api, serving)
    install.crds(install.VERSIONS[-1], restore=True)
    api.create(tls_route(serving, "v1"))
    api.until("TLSRoute", serving.namespace, "tls", lambda item: bool(ours(item)))
    api.delete("TLSRoute", serving.namespace, "tls")


def test_a_crd_is_of_an_older_version(api: Api, serving: Serving, load: Load, restored: None) -> None:
    crd = api.call("GET", TLS_ROUTES)
    for version in crd["spec"]["versions"]:
        version["served"] = version["name"] != "v1"
    api.call("PUT", TLS_ROUTES, crd)
    pod = restart_controller()
    print(logged(pod, "TLSRoute in gateway.networking.k8s.io/v1alpha3, but not in"))
    path = f"/apis/gateway.networking.k8s.io/v1alpha3/namespaces/{serving.namespace}/tlsroutes"
    api.call("POST", path, tls_route(serving, "v1alpha3"))
    api.watch(path, "metadata.name=tls", lambda _, item: bool(ours(item)), LIMIT)
    api.call("DELETE", f"{path}/tls")
    change_arrives(api, serving)
