"""The cluster's API server, for tests: objects as dictionaries; what is to come is waited for by watching.

All calls are made inside the cluster's network namespace (`conftest.py` sees to that).
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from harness.network import API_PORT, NODE_ADDRESS
from harness.paths import KUBECONFIG, PKI

from sluicegate.controller.api.kinds import TABLE

Object = dict[str, Any]

#: Seconds that something may take that should take a few.
LIMIT = 60.0
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
#: Kinds that only tests name.
_OTHERS = {
    "Pod": ("v1", "pods", True),
    "ResourceQuota": ("v1", "resourcequotas", True),
}
#: Where the kinds that tests name live: version, plural, namespaced.
KINDS = {kind.name: (kind.api_versions[0], kind.plural, kind.namespaced) for kind in TABLE} | _OTHERS


class ApiError(Exception):
    """The API server refuses; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


class Api:
    """The API server, as administrator, or with the token of a ServiceAccount."""

    def __init__(self, token: str | None = None) -> None:
        self._tls = ssl.create_default_context(cafile=PKI / "ca.crt")
        self._headers = {"Accept": "application/json"}
        if token is None:
            self._tls.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        else:
            self._headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        """Ask; returns the object of the answer. A body that is text is sent as it is."""
        with self._open(method, path, body, kind, LIMIT) as response:
            return json.loads(response.read() or b"{}")

    def get(self, kind: str, namespace: str, name: str) -> Object:
        return self.call("GET", path_of(kind, namespace, name))

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[Object]:
        query = f"?{urlencode(selectors)}" if selectors else ""
        return self.call("GET", path_of(kind, namespace) + query)["items"]

    def create(self, item: Object) -> Object:
        return self.call("POST", path_of(item["kind"], item["metadata"].get("namespace", "")), item)

    def create_all(self, items: Sequence[Object], clients: int = 8) -> None:
        """Create many objects of one kind and namespace, over some connections at once."""
        path = path_of(items[0]["kind"], items[0]["metadata"].get("namespace", ""))
        self._call_all("POST", [(path, json.dumps(item)) for item in items], clients)

    def delete_all(self, kind: str, namespace: str, names: Iterable[str]) -> None:
        """Delete many objects; the API server cuts a request off that deletes a whole collection after a minute."""
        self._call_all("DELETE", [(path_of(kind, namespace, name), None) for name in names])

    def _call_all(self, method: str, asked: Sequence[tuple[str, str | None]], clients: int = 8) -> None:
        """Ask for paths, with bodies, over some connections at once."""
        headers = {**self._headers, "Content-Type": "application/json"}

        def call(part: Sequence[tuple[str, str | None]]) -> None:
            with closing(
                http.client.HTTPSConnection(NODE_ADDRESS, API_PORT, context=self._tls, timeout=LIMIT)
            ) as connection:
                for path, body in part:
                    connection.request(method, path, body, headers)
                    answered(connection.getresponse(), f"{method} {path}").read()

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(call, [asked[first::clients] for first in range(clients)]))

    def apply(self, items: str | Iterable[Object], namespace: str = "default") -> None:
        """Apply YAML documents, or objects; those without a namespace go into this one."""
        headers = {**self._headers, "Content-Type": APPLY}
        # One connection for all: hundreds of handshakes take longer than what they are for.
        with closing(
            http.client.HTTPSConnection(NODE_ADDRESS, API_PORT, context=self._tls, timeout=LIMIT)
        ) as connection:
            for item in yaml.safe_load_all(items) if isinstance(items, str) else items:
                if not item:
                    continue
                place = item["metadata"].get("namespace", namespace)
                path = f"{path_of(item['kind'], place, item['metadata']['name'])}?fieldManager=tests&force=true"
                connection.request("PATCH", path, json.dumps(item), headers)
                answered(connection.getresponse(), f"PATCH {path}").read()

    def patch(self, kind: str, namespace: str, name: str, body: Object, *, status: bool = False) -> Object:
        path = path_of(kind, namespace, name) + ("/status" if status else "")
        return self.call("PATCH", path, body, MERGE)

    def delete(self, kind: str, namespace: str, name: str, **options: Any) -> None:
        """Delete an object; it may be gone already."""
        try:
            self.call("DELETE", path_of(kind, namespace, name), options or None)
        except ApiError as error:
            if error.status != 404:
                raise

    def until(
        self, kind: str, namespace: str, name: str, holds: Callable[[Object], bool], limit: float = LIMIT
    ) -> Object:
        """Watch an object until something holds of it; returns it then. A missing object is waited for.

        Raises:
            AssertionError: it does not hold in time; with the object as it is.
        """
        return self.watch(path_of(kind, namespace), f"metadata.name={name}", lambda _, item: holds(item), limit)

    def gone(self, kind: str, namespace: str, name: str, limit: float = LIMIT) -> None:
        """Watch until an object is gone."""
        fields = f"metadata.name={name}"
        self.watch(path_of(kind, namespace), fields, lambda event, _: event == "DELETED", limit, absent=True)

    def watch(
        self, path: str, fields: str, holds: Callable[[str, Object], bool], limit: float, *, absent: bool = False
    ) -> Object:
        """Follow a collection until something holds of an event; returns the object of the event.

        Args:
            path: of the collection.
            fields: field selector.
            holds: takes each event's type and object; first those that are there, as `ADDED`.
            limit: seconds.
            absent: nothing that is there will do as well; returns an empty object then.
        """
        deadline, last = time.monotonic() + limit, None
        while True:
            listed = self.call("GET", f"{path}?{urlencode({'fieldSelector': fields})}")
            if absent and not listed["items"]:
                return {}
            for item in listed["items"]:
                last = item
                if holds("ADDED", item):
                    return item
            query = {"watch": "1", "fieldSelector": fields, "resourceVersion": listed["metadata"]["resourceVersion"]}
            left = deadline - time.monotonic()
            if left <= 0:
                break
            query["timeoutSeconds"] = str(int(left) + 1)
            try:
                with self._open("GET", f"{path}?{urlencode(query)}", None, "", left + 2) as response:
                    for line in response:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        last = event["object"]
                        if holds(event["type"], last):
                            return last
            except (OSError, http.client.HTTPException):
                continue  # the API server is away; asked again until the deadline
        raise AssertionError(f"not within {limit:g} s; the last was {json.dumps(last, indent=1)}")

    def token(self, namespace: str, account: str, audience: str = "", pod: Object | None = None) -> str:
        """A token of a ServiceAccount, for an audience; bound to a pod or not."""
        spec: Object = {"audiences": [audience]} if audience else {}
        if pod is not None:
            named = {name: pod["metadata"][name] for name in ("name", "uid")}
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", **named}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        made = self.call("POST", f"{path_of('ServiceAccount', namespace, account)}/token", body)
        return str(made["status"]["token"])

    def _open(self, method: str, path: str, body: Any, kind: str, limit: float) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(NODE_ADDRESS, API_PORT, context=self._tls, timeout=limit)
        content = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, path, content, {**self._headers, "Content-Type": kind or "application/json"})
        return answered(connection.getresponse(), f"{method} {path}")


def answered(response: http.client.HTTPResponse, asked: str) -> http.client.HTTPResponse:
    """An answer that is none of an error; `asked`: for what, in words.

    Raises:
        ApiError: it is one.
    """
    if response.status < 400:
        return response
    said = response.read()
    try:
        message = json.loads(said).get("message", "")
    except ValueError:
        message = said.decode(errors="replace")
    raise ApiError(response.status, f"{asked}: {message}")


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    version, plural, namespaced = KINDS[kind]
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    place = f"/namespaces/{namespace}" if namespaced and namespace else ""
    return f"{prefix}{place}/{plural}" + (f"/{name}" if name else "")


def condition(item: Object, name: str) -> str:
    """Status of a condition; empty where it is not there, or of an older generation."""
    for found in item.get("status", {}).get("conditions", []):
        if found["type"] == name and found.get("observedGeneration", 0) in {0, item["metadata"].get("generation", 0)}:
            return str(found["status"])
    return ""


def is_ready(deployment: Object) -> bool:
    """Whether every pod of a Deployment is of its newest version, ready, and none is left of an older one."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return (
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and all(status.get(name, 0) == wanted for name in ("replicas", "updatedReplicas", "availableReplicas"))
    )  # fmt: skip


def kubectl(*arguments: object, check: bool = True) -> str:
    """Run kubectl; returns what it says."""
    command = ["kubectl", "--kubeconfig", KUBECONFIG, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def read(path: Path) -> list[Object]:
    """The objects of a manifest."""
    return [item for item in yaml.safe_load_all(path.read_text()) if item]
