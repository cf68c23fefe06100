"""Three conversions of the same Ingresses: ours, ours with nothing but the Gateway API, and ingress2gateway's."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sluicegate.controller.ingress import NGINX, Conversion, Inventory, Manifest, Options, convert
from sluicegate.controller.ingress.losses import Aspect
from sluicegate.controller.ingress.model import Objects
from sluicegate.controller.ingress.probes import Answer, Probe
from sluicegate.testing.migration.converted import Told
from sluicegate.testing.migration.premises import Naming
from sluicegate.testing.migration.verify import by_host

Document = dict[str, Any]
#: Whether something told says that a request is answered otherwise, and in what.
Tells = Callable[[Probe, Answer, Told, tuple[Aspect, ...]], bool]

#: Seconds that a conversion may take.
LIMIT = 60
#: What ingress2gateway is given: kinds that it does not read could only be in its way.
_READ = frozenset({"Ingress", "IngressClass", "Service"})
_NOTICE = re.compile(r"┌─ (\w+).*?\n(.*?)└─", re.DOTALL)
_OBJECT = re.compile(r"(Ingress|HTTPRoute|GRPCRoute|TLSRoute): ([^\s,/]+/[^\s,]+)")
_ODD_PATH = re.compile(r"//|/\.{1,2}(?:/|$)|%")


@dataclass(frozen=True)
class Result:
    """What a converter made.

    Attributes:
        conversion: manifests; of ingress2gateway without causes.
        tells: whether it says that a request is answered otherwise.
        refused: why it made nothing; empty: it did.
    """

    conversion: Conversion
    tells: Tells
    refused: str = ""


def ours(inventory: Inventory, options: Options, objects: Objects, *, standard_only: bool) -> Result:
    """Convert with `sluicegate migrate`. A loss tells of a request as `--verify` has it: of each part that differs.

    Args:
        inventory: what is converted.
        options: of the conversion.
        objects: what the model of ingress-nginx is made of.
        standard_only: nothing but the Gateway API.
    """
    conversion = convert(inventory, NGINX, dataclasses.replace(options, standard_only=standard_only))
    naming = Naming(objects, conversion.losses, by_host(inventory.ingresses))

    def tells(probe: Probe, right: Answer, made: Told, different: tuple[Aspect, ...]) -> bool:
        return naming.names(probe, right, made, different) is not None

    return Result(conversion, tells)


def theirs(binary: str, documents: Iterable[Document], inventory: Inventory) -> Result:
    """Convert with ingress2gateway. Any notice about a host, or an object of it, tells of all its requests.

    That is kinder than what ours is held to. Two notices that come with nearly every input are taken for what they say:
    the one about port 443, and the one about paths that are not plain.
    """
    with tempfile.TemporaryDirectory(prefix="bench-migrate-") as folder:
        path = Path(folder) / "in.yaml"
        path.write_text(yaml.safe_dump_all(list(_given(documents))))
        command = [binary, "print", "--no-color", "-A", "--providers", "ingress-nginx", "--allow-experimental-gw-api"]
        done = subprocess.run(
            [*command, "--input-file", str(path)], capture_output=True, text=True, timeout=LIMIT, check=False
        )
    if done.returncode:
        empty = Conversion(objects=(), fates=(), ingresses=0, hosts=0)
        return Result(empty, lambda *_: False, " ".join(done.stderr.partition("Usage:")[0].split()))
    # It says in words that there is nothing to write.
    made = [item for item in yaml.safe_load_all(done.stdout) if isinstance(item, dict)]
    conversion = Conversion(objects=tuple(map(_manifest, made)), fates=(), ingresses=0, hosts=0)
    return Result(conversion, _Notices(done.stderr, made, by_host(inventory.ingresses)).tells)


def _given(documents: Iterable[Document]) -> Iterator[Document]:
    """What ingress2gateway can read, in the form that a cluster of today gives it.

    From files it finds no Services, so ports have their numbers for it.
    """
    found = list(documents)
    numbers = {
        (item["metadata"].get("namespace", "default"), item["metadata"]["name"], port.get("name")): port["port"]
        for item in found
        if item["kind"] == "Service"
        for port in item["spec"].get("ports") or ()
    }
    for item in (item for item in found if item["kind"] in _READ):
        if item["kind"] == "Ingress":
            namespace, spec = item["metadata"].get("namespace", "default"), item["spec"]
            item["apiVersion"] = "networking.k8s.io/v1"
            if "backend" in spec:
                spec["defaultBackend"] = spec.pop("backend")
            backends = [spec["defaultBackend"]] if "defaultBackend" in spec else []
            for rule in spec.get("rules") or ():
                for path in (rule.get("http") or {}).get("paths") or ():
                    path.setdefault("pathType", "ImplementationSpecific")
                    path.setdefault("path", "/")
                    backends.append(path["backend"])
            for backend in backends:
                _number(backend, namespace, numbers)
        yield item


def _number(backend: Document, namespace: str, numbers: dict[tuple[str, str, str], int]) -> None:
    """Have a backend name its port by number, and in the form of `networking.k8s.io/v1`."""
    if "serviceName" in backend:
        port = backend.pop("servicePort")
        port = {"number": int(port)} if str(port).isdigit() else {"name": port}
        backend["service"] = {"name": backend.pop("serviceName"), "port": port}
    service = backend.get("service") or {}
    number = numbers.get((namespace, service.get("name", ""), service.get("port", {}).get("name", "")))
    if number is not None:
        service["port"] = {"number": number}


def _manifest(document: Document) -> Manifest:
    """An API server refuses a Gateway with a certificate that has no name; here its listener goes without."""
    metadata = document["metadata"]
    for listener in document["spec"].get("listeners") or ():
        tls = listener.get("tls") or {}
        if "certificateRefs" in tls:
            tls["certificateRefs"] = [item for item in tls["certificateRefs"] if item.get("name")]
    return Manifest(document["kind"], metadata.get("namespace", "default"), metadata["name"], document["spec"])


@dataclass(frozen=True)
class _Notice:
    text: str
    objects: frozenset[str] = field(default_factory=frozenset)


class _Notices:
    """What ingress2gateway writes beside its manifests, of every level."""

    def __init__(self, written: str, made: Iterable[Document], hosts: dict[str, frozenset[str]]) -> None:
        self._notices = [
            _Notice(text, frozenset(f"{kind}/{name}" for kind, name in _OBJECT.findall(text)))
            for _, text in _NOTICE.findall(written)
        ]
        self._objects: dict[str, set[str]] = {host: set(names) for host, names in hosts.items()}
        for item in made:
            metadata = item["metadata"]
            name = f"{item['kind']}/{metadata.get('namespace', 'default')}/{metadata['name']}"
            for host in item["spec"].get("hostnames") or ():
                self._objects.setdefault(host, set()).add(name)

    def tells(self, probe: Probe, right: Answer, _made: Told, _different: tuple[Aspect, ...]) -> bool:
        """Whether one of them is about the host of a request."""
        names = {right.server, probe.host.partition(":")[0].lower()} - {"", "_"}
        objects = {item for name in names for item in self._objects.get(name, ())}
        for notice in self._notices:
            if "URL normalization" in notice.text:
                if _ODD_PATH.search(probe.target.partition("?")[0]):
                    return True
            elif "self-signed certificate" in notice.text and probe.scheme != "https":
                continue
            elif notice.objects & objects or any(name in notice.text for name in names):
                return True
        return False
