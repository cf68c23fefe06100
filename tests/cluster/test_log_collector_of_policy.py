"""Lines of the access log on the real cluster: to a collector of another namespace, which a ClientPolicy names."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from api import Api
from faults import Serving, remove_namespace, serving
from harness.network import NODE_ADDRESS
from policy_parts import GROUP, OWN, named, target
from policy_world import address_of, until
from system_backends import Backend, echo
from system_otlp import LogCollector
from test_traces import behind, grant, is_said, status_of

__all__ = ["serving"]

NAME, HOST = "logged", "logged.example.com"
TOKEN = "Bearer of-the-collector"


@dataclass(frozen=True)
class Logged:
    """Everything but the grant that the policy needs."""

    address: str
    collector: LogCollector
    #: Of the collector.
    namespace: str


@pytest.fixture
def logged(api: Api, serving: Serving) -> Iterator[Logged]:
    collector = LogCollector()
    taking = Backend(collector.answer, listener=socket.create_server((NODE_ADDRESS, 0)))
    app = Backend(echo("app"), listener=socket.create_server((NODE_ADDRESS, 0)))
    namespace = f"collectors-{secrets.token_hex(4)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        api.apply(behind("collector", taking.address[1]), namespace)
        backend = {"name": "collector", "namespace": namespace, "port": 80}
        wanted = {"backendRef": backend, "headers": [{"name": "Authorization", "value": TOKEN}]}
        listeners = [{"name": "http", "protocol": "HTTP", "port": 80}]
        rule = {"backendRefs": [{"name": "app", "port": 80}]}
        route = {"parentRefs": [{"name": NAME}], "hostnames": [HOST], "rules": [rule]}
        policy = {"targetRefs": [target("Gateway", NAME)], "accessLog": {"mode": "All", "collector": wanted}}
        found = [
            named(NAME, "Gateway", f"{GROUP}/v1", {"gatewayClassName": "sluicegate", "listeners": listeners}),
            named(NAME, "HTTPRoute", f"{GROUP}/v1", route),
            named(NAME, "ClientPolicy", OWN, policy),
            *behind("app", app.address[1]),
        ]
        api.apply(found, serving.namespace)
        yield Logged(address_of(api, serving, NAME), collector, namespace)
    finally:
        remove_namespace(api, namespace)
        for each in (taking, app):
            each.close()


def ask(logged: Logged, path: str) -> int:
    """Status of a request; 0: nobody listens yet."""
    return status_of(logged.address, path, {"Host": HOST})


def test_lines_come_once_the_policy_may_name_the_collector(api: Api, serving: Serving, logged: Logged) -> None:
    """Nobody is refused for want of a collector; the process has no log of its own, and its lines come all the same."""
    api.until("ClientPolicy", serving.namespace, NAME, is_said("ResolvedRefs", "False", "RefNotPermitted"))
    until(lambda: ask(logged, "/before") == 200, "requests are served without a collector")
    assert not logged.collector.lines
    api.apply([grant(serving, "ClientPolicy", OWN)], logged.namespace)
    api.until("ClientPolicy", serving.namespace, NAME, is_said("ResolvedRefs", "True", "ResolvedRefs"))
    # The pod has it once a line has come.
    until(lambda: ask(logged, "/first") == 200 and bool(logged.collector.lines), "lines come")
    assert ask(logged, "/shop") == 200
    line = logged.collector.of("/shop")
    assert line.attributes["http.response.status_code"] == 200
    assert {fields.get("authorization") for fields in logged.collector.asked} == {TOKEN}
    assert all(each.attributes["url.path"] != "/before" for each in logged.collector.lines)
