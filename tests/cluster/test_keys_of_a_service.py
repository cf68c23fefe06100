"""Keys of an identity provider on the real cluster: its Service goes away and comes back with other keys."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable

from api import LIMIT, Api, Object
from faults import Serving, serving
from harness.network import NODE_ADDRESS
from policy_parts import GROUP, OWN, SERVICE, named
from system_backends import Backend, response
from system_tokens import ISSUER, Issuer, bearer, key_set

__all__ = ["serving"]

NAME, HOST = "live-keys", "live-keys.example.com"
UNAVAILABLE = "sluicegate.dev/ProviderKeysUnavailable"


def objects(serving: Serving, port: int) -> list[Object]:
    """A route by tokens, and the Service of their keys: its endpoint is this test, on the node's address."""
    labels = {"kubernetes.io/service-name": NAME}
    keys = {"backendRef": {"name": NAME, "port": 80}, "path": "/keys", "refresh": "10s"}
    provider = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": keys}
    targets = [{"group": GROUP, "kind": "HTTPRoute", "name": NAME}]
    route = {"parentRefs": [{"name": serving.gateway}], "hostnames": [HOST], "rules": [{"backendRefs": [SERVICE]}]}
    return [
        named(NAME, "Service", "v1", {"ports": [{"name": "http", "port": 80}]}),
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": NAME, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        },
        named(NAME, "HTTPRoute", f"{GROUP}/v1", route),
        named(NAME, "AccessPolicy", OWN, {"targetRefs": targets, "jwt": {"providers": [provider]}}),
    ]


def is_told(unavailable: bool) -> Callable[[Object], bool]:
    """Whether the policy says of its Gateway that its keys cannot be fetched, or that they can."""

    def holds(item: Object) -> bool:
        ancestors = item.get("status", {}).get("ancestors", [])
        said = [found for ancestor in ancestors for found in ancestor["conditions"]]
        is_there = any(found["type"] == UNAVAILABLE and found["status"] == "True" for found in said)
        return bool(ancestors) and is_there is unavailable

    return holds


def test_a_provider_that_goes_and_comes_back(api: Api, serving: Serving) -> None:
    """Nobody is let in before there are keys; those that are there outlive it, and are replaced once it is back."""
    with socket.create_server((NODE_ADDRESS, 0)) as place:
        address = place.getsockname()
    old, new = Issuer("old"), Issuer("new")

    def published(by: Issuer) -> Backend:
        return Backend(lambda _: response(key_set(by.jwk())), listener=socket.create_server(address))

    def ask(by: Issuer | None) -> int:
        connection = http.client.HTTPConnection(serving.address, 80, timeout=LIMIT)
        try:
            connection.request("GET", "/", headers={"Host": HOST, **(dict([bearer(by.token())]) if by else {})})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def until(by: Issuer | None, status: int) -> None:
        deadline, pause = time.monotonic() + 2 * LIMIT, threading.Event()
        while (last := ask(by)) != status:
            assert time.monotonic() < deadline, (by and by.name, status, last)
            pause.wait(0.1)

    api.apply(objects(serving, address[1]), serving.namespace)
    until(None, 401)
    assert ask(old) == 503
    api.until("AccessPolicy", serving.namespace, NAME, is_told(unavailable=True), 2 * LIMIT)
    login = published(old)
    until(old, 200)
    assert [ask(by) for by in (None, new, Issuer("old"))] == [401, 401, 401]
    api.until("AccessPolicy", serving.namespace, NAME, is_told(unavailable=False), 2 * LIMIT)
    login.close()
    api.until("AccessPolicy", serving.namespace, NAME, is_told(unavailable=True), 2 * LIMIT)
    assert [ask(by) for by in (old, None, new)] == [200, 401, 401]
    login = published(new)
    until(new, 200)
    assert [ask(by) for by in (old, None)] == [401, 401]
    api.until("AccessPolicy", serving.namespace, NAME, is_told(unavailable=False), 2 * LIMIT)
    login.close()
