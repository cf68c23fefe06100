"""Gives every Service of type LoadBalancer an address of the pool, and takes it back when the Service goes.

The addresses that were unused the longest go first, so that a test never meets the connections of the one before.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import time
from typing import Any

from .network import NODE_ADDRESS, POOL, RESERVED
from .paths import PKI

#: Seconds that the API server follows Services for before it is asked again.
WATCH = 300


class Balancer:
    """Follows the Services."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context(cafile=PKI / "ca.crt")
        self._tls.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
        self._free = [str(address) for address in list(POOL.hosts())[RESERVED:]]
        self._held: dict[str, str] = {}
        self._waiting: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Follow until the process ends."""
        while True:
            try:
                self._follow()
            except (OSError, http.client.HTTPException, ValueError) as error:
                print("again:", error, flush=True)
                time.sleep(0.5)

    def _follow(self) -> None:
        listed = json.load(self._call("/api/v1/services"))
        self._held.clear()
        self._waiting.clear()
        # Those that have an address keep it.
        for item in sorted(listed["items"], key=lambda item: not item["status"].get("loadBalancer")):
            self._sync("ADDED", item)
        version = listed["metadata"]["resourceVersion"]
        query = f"watch=1&timeoutSeconds={WATCH}&resourceVersion={version}"
        for line in self._call(f"/api/v1/services?{query}"):
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            self._sync(event["type"], event["object"])

    def _sync(self, event: str, service: dict[str, Any]) -> None:
        metadata, spec, identity = service["metadata"], service["spec"], service["metadata"]["uid"]
        have = [item.get("ip") for item in service["status"].get("loadBalancer", {}).get("ingress", [])]
        mine = self._held.pop(identity, None)
        self._waiting.pop(identity, None)
        address = None
        if event != "DELETED" and spec["type"] == "LoadBalancer":
            address = self._choose(spec.get("loadBalancerIP"), [mine, *have])
            if address is None:
                self._waiting[identity] = service
            else:
                self._held[identity] = address
                if address in self._free:
                    self._free.remove(address)
                    self._free.append(address)
        if event != "DELETED" and have != ([address] if address else []):
            ingress = [{"ip": address}] if address else None
            path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
            self._call(path, "PATCH", {"status": {"loadBalancer": {"ingress": ingress}}}).read()
        if mine and mine != address:
            for waiting in list(self._waiting.values()):
                self._sync("FREED", waiting)

    def _choose(self, wish: str | None, first: list[str | None]) -> str | None:
        taken = set(self._held.values())
        wanted = [wish] if wish else [*first, *self._free]
        return next(
            (item for item in wanted if item and ipaddress.ip_address(item) in POOL and item not in taken), None
        )

    def _call(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(NODE_ADDRESS, 6443, context=self._tls, timeout=WATCH + 30)
        content = json.dumps(body) if body is not None else None
        connection.request(method, path, content, {"Content-Type": "application/merge-patch+json"})
        response = connection.getresponse()
        if response.status not in {200, 404}:
            raise OSError(f"{method} {path}: {response.status} {response.read()[:200]!r}")
        return response
