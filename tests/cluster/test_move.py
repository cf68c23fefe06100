"""The move from ingress-nginx on the real cluster, by the commands of docs/migration/move.md, word by word.

ingress-nginx itself is not there: what it leaves in the cluster is (its class, its settings, and its address in the
status of the Ingress, which has to stay until somebody says otherwise).
"""

from __future__ import annotations

import os
import re
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from api import KINDS, Api, Object, condition, is_ready, read
from harness import install
from harness.paths import KUBECONFIG
from system_certificates import Authority
from system_clients import tls_context
from test_ingress import accepted, reported, tls_secret
from traffic import Load, get, until

from conftest import ROOT
from deploy_tools import program

GUIDE = ROOT / "docs" / "migration" / "move.md"
HOST, OTHERS = "shop.example.com", "192.0.2.80"
GATEWAY = ("Gateway", install.SYSTEM, "ingress")
KINDS.setdefault("Ingress", ("networking.k8s.io/v1", "ingresses", True))
KINDS.setdefault("IngressClass", ("networking.k8s.io/v1", "ingressclasses", False))
SETTINGS = ("ConfigMap", "ingress-nginx", "ingress-nginx-controller")

#: As a chart writes it; the settings below have it take small bodies alone.
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example.com], secretName: shop-tls}]
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: example-svc, port: {number: 8080}}}}
"""


class Guide:
    """Runs the commands of the guide in a folder, as somebody at a terminal does.

    Attributes:
        folder: where they are run.
        address: of the Gateway, in place of `ADDRESS`.
        done: how many of each step were run.
    """

    def __init__(self, folder: Path, authority: Path) -> None:
        self.folder = folder
        self.address = ""
        self._authority = authority
        parts = re.split(r"^## ", GUIDE.read_text(), flags=re.MULTILINE)
        found = {part[0]: re.findall(r"^    (\S.*)$", part, re.MULTILINE) for part in parts if part[:2].endswith(".")}
        self.left = {step: [shlex.split(line) for line in lines] for step, lines in found.items()}

    def run(self, step: str, *beginning: str, more: tuple[str, ...] = (), allowed: tuple[int, ...] = (0,)) -> str:
        """Run the next command of a step, which begins like this; returns what it writes."""
        command = self.left[step].pop(0)
        assert tuple(command[: len(beginning)]) == beginning, command
        tool, *words = [word.replace("ADDRESS", self.address) for word in command]
        target = words.pop() if ">" in words else ""
        words = [*(word for word in words if word != ">"), *more]
        if tool == "sluicegate":
            words = [sys.executable, "-m", "sluicegate", *words, f"--kubeconfig={KUBECONFIG}"]
        elif tool == "helm":
            words = [str(program("helm")), *words, "--kubeconfig", str(KUBECONFIG)]
        elif tool == "kubectl":
            words = ["kubectl", "--kubeconfig", str(KUBECONFIG), *words]
        else:
            words = [tool, *words, "--silent", "--show-error", "--cacert", str(self._authority)]
        # The chart is named by its path from the root of the repository.
        words = [str(ROOT / word) if word == "deploy/chart" else word for word in words]
        path = os.pathsep.join([str(ROOT / "python"), str(ROOT)])
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode in allowed, done.stdout + done.stderr
        if target:
            (self.folder / target).write_text(done.stdout)
        return done.stdout


@pytest.fixture
def without(api: Api, own_kinds: None) -> Iterator[None]:
    """No controller is installed, before and after: Helm installs its own."""

    def clean() -> None:
        for kind, namespace, name in (
            ("Ingress", "shop", "shop"),
            SETTINGS,
            ("IngressClass", "", "nginx"),
            ("Namespace", "", "shop"),
            ("Namespace", "", "ingress-nginx"),
        ):
            api.delete(kind, namespace, name)
        install.remove()
        for name in (install.SYSTEM, "shop", "ingress-nginx"):
            api.gone("Namespace", "", name)

    clean()
    yield
    clean()


@pytest.fixture
def tls(api: Api, without: None, tmp_path: Path) -> ssl.SSLContext:
    """What ingress-nginx and a chart leave in a cluster: classes, settings, an Ingress with the address of theirs."""
    authority = Authority()
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    for name in ("shop", "ingress-nginx"):
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    kind, namespace, name = SETTINGS
    api.apply(
        [
            {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"proxy-body-size": "1k"}},
        ],
        namespace,
    )
    metadata = {"name": "nginx"}
    spec = {"controller": "k8s.io/ingress-nginx"}
    api.create({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": metadata, "spec": spec})
    api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), "shop")
    api.apply([tls_secret("shop-tls", authority.sign(HOST))], "shop")
    api.apply(INGRESS, "shop")
    theirs = {"status": {"loadBalancer": {"ingress": [{"ip": OTHERS}]}}}
    api.patch("Ingress", "shop", "shop", theirs, status=True)
    api.until("Deployment", "shop", "example-svc", is_ready)
    return tls_context(authority.pem)


def ingress_is(api: Api, *addresses: str) -> None:
    """Wait until the Ingress reports these."""
    api.until("Ingress", "shop", "shop", lambda item: reported(item) == [{"ip": each} for each in addresses])


def serves(address: str, tls: ssl.SSLContext) -> None:
    """The Gateway serves the Ingress as its settings say."""
    until(address, HOST, port=443, tls=tls)
    assert get(address, HOST).headers["location"] == f"https://{HOST}/"


def test_each_step_and_its_way_back(api: Api, tls: ssl.SSLContext, tmp_path: Path) -> None:
    guide = Guide(tmp_path, tmp_path / "authority.pem")
    # 1. A report; nothing is written.
    guide.run("1", "sluicegate", "migrate", allowed=(0, 3))
    assert "1 Ingress of 1 host became" in (tmp_path / "report.html").read_text()

    # 2. Beside ingress-nginx, whose address stays.
    guide.run("2", "helm", "upgrade", "--install")
    gateway = api.until(*GATEWAY, lambda item: condition(item, "Programmed") == "True", 120)
    guide.address = address = str(gateway["status"]["addresses"][0]["value"])
    until(address, HOST, port=443, tls=tls)
    assert "Hello from example-svc" in guide.run("2", "curl", "--resolve")
    serves(address, tls)
    ingress_is(api, OTHERS)
    removing = guide.left["2"].pop(0)
    assert removing[:2] == ["helm", "uninstall"]

    with Load(address, HOST, port=443, tls=tls) as load:
        # 3. The names are moved; then the Ingress reports the Gateway, and no longer what is not there any more.
        assert address in guide.run("3", "kubectl", "-n", install.SYSTEM)
        guide.run("3", "helm", "upgrade", "sluicegate")
        ingress_is(api, address)
        # And back: their controller writes its own, and nobody writes against it.
        guide.run("3", "helm", "upgrade", "sluicegate")
        theirs = {"status": {"loadBalancer": {"ingress": [{"ip": OTHERS}]}}}
        api.patch("Ingress", "shop", "shop", theirs, status=True)
        serves(address, tls)
        ingress_is(api, OTHERS)

        # 4. To routes, with the settings of the ConfigMap.
        guide.run("4", "sluicegate", "migrate", more=("--yes",), allowed=(0, 3))
        routes = [item["metadata"]["name"] for item in api.list("HTTPRoute", "shop")]
        assert routes
        for name in routes:
            api.until("HTTPRoute", "shop", name, accepted)
        load.more(50)
        guide.run("4", "kubectl", "-n", "shop")
        api.gone("Ingress", "shop", "shop")
        serves(address, tls)
        # And back, from the files that the move left.
        (tmp_path / "ingress.yaml").write_text(INGRESS)
        guide.run("4", "kubectl", "apply")
        guide.run("4", "kubectl", "delete")
        serves(address, tls)
        assert {item["kind"] for item in written(tmp_path / "moved")} >= {"HTTPRoute", "ListenerSet"}
        for kind in ("HTTPRoute", "ListenerSet", "ClientPolicy"):
            assert api.list(kind, "shop") == []
        load.more(50)
    load.check(at_least=100)
    print(f"{load.succeeded} requests, the slowest {load.slowest:.3f} s")
    assert not any(guide.left.values())

    # 2, back: the Ingress stays, as it was.
    guide.left["2"].append(removing)
    guide.run("2", "helm", "uninstall")
    assert api.get("Ingress", "shop", "shop")["spec"]["ingressClassName"] == "nginx"


def written(folder: Path) -> Iterator[Object]:
    """The manifests of a folder."""
    for path in sorted(folder.rglob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())
