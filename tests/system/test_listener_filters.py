"""Filters of listeners (GEP-5224) on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from system_backends import Backend
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import Manifest, gateway, listener, metadata, route, rule, service

Start = Callable[..., Gateway]


def header_filter(name: str, **spec: Any) -> Manifest:
    fields = {
        kind: [{"name": item, "value": value} for item, value in values.items()] if isinstance(values, dict) else values
        for kind, values in spec.items()
    }
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "RequestHeaderFilter",
        "metadata": metadata(name),
        "spec": fields,
    }


def filtered(name: str, port: int, *filters: str) -> Manifest:
    requests = [
        {
            "type": "ExtensionRef",
            "extensionRef": {"group": "sluicegate.dev", "kind": "RequestHeaderFilter", "name": item},
        }
        for item in filters
    ]
    return listener(name, port, filters={"requests": requests})


def objects(backend: Callable[..., Backend], first: Manifest) -> list[Manifest]:
    names = ("one", "two", "sent")
    rules = [rule("", name, matches=[{"headers": [{"name": "x-tenant", "value": name}]}]) for name in names]
    return [
        gateway(
            filtered("forth", 8080, "first", "second"), filtered("back", 8081, "second", "first"), listener("no", 8082)
        ),
        first,
        header_filter("second", set={"X-Tenant": "two"}, add={"x-step": "second"}),
        route(*rules),
        *[item for name in names for item in service(name, backend(name).address)],
    ]


@pytest.mark.parametrize("client", [Http1, Http2])
def test_filters_of_a_listener(
    client: type[Http1] | type[Http2], start: Start, backend: Callable[..., Backend]
) -> None:
    first = header_filter("first", set={"x-tenant": "one"}, remove=["x-internal"])
    everything = objects(backend, first)
    running = start(*everything)

    def ask(port: int) -> Any:
        connection = client(running.address, port)
        try:
            sent = (("x-tenant", "sent"), ("x-internal", "secret"))
            return connection.request("GET", "a.test", "/", sent)
        finally:
            connection.close()

    def is_refused(port: int) -> bool:
        """Never served from now on; a connection that was in the queue of the socket as it was closed is reset."""
        try:
            assert ask(port).status != 200
        except ConnectionRefusedError:
            return True
        except ConnectionError:
            return False
        return False

    def seen(port: int) -> tuple[str, str | None, str | None, str | None]:
        response = ask(port)
        assert response.status == 200
        return response.echo["backend"], *(response.sent(name) for name in ("x-tenant", "x-step", "x-internal"))

    # In the order written; matching sees what the last one left, and so does the backend.
    assert seen(8080) == ("two", "two", "second", None)
    assert seen(8081) == ("one", "one", "second", None)
    assert seen(8082) == ("sent", "sent", None, "secret")
    # The filter changes: so do the listeners that refer to it.
    everything[1] = header_filter("first", set={"x-tenant": "sent"})
    running.write(*everything)
    assert seen(8081) == ("sent", "sent", "second", "secret")
    # It goes: what cannot be filtered is not let through.
    assert running.write(*everything[:1], *everything[2:])["event"] == "changed"
    until(lambda: is_refused(8081), "port 8081 is closed")
    assert seen(8082) == ("sent", "sent", None, "secret")
    running.write(*everything)
    assert seen(8081) == ("sent", "sent", "second", "secret")


def test_connection_cannot_keep_a_field_from_a_filter(start: Start, backend: Callable[..., Backend]) -> None:
    """What `Connection` names is not forwarded, but matched: an edit replaces it there too."""
    running = start(*objects(backend, header_filter("first", set={"x-tenant": "one"}, remove=["x-internal"])))
    connection = Http1(running.address, 8080)
    fields = (("Connection", "x-tenant, x-internal"), ("x-tenant", "sent"), ("x-internal", "secret"))
    found = connection.request("GET", "a.test", "/", fields)
    connection.close()
    assert (found.echo["backend"], found.sent("x-tenant"), found.sent("x-internal")) == ("two", "two", None)


@pytest.mark.parametrize("edit", ["set", "add"])
@pytest.mark.parametrize("client", [Http1, Http2])
def test_what_a_filter_of_a_listener_sets_is_sent(
    client: type[Http1] | type[Http2], edit: str, start: Start, backend: Callable[..., Backend]
) -> None:
    """What a client says of where it comes from is replaced; what the listener's owner writes there is not."""
    own = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "8443",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
    }
    edits = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-rule", "value": "1"}]}}]
    running = start(
        gateway(filtered("http", 8080, "own")),
        header_filter("own", **{edit: own}),
        route(
            rule("/edited", "app", filters=edits),
            rule("/", "app"),
        ),
        *service("app", backend("app").address),
    )
    connection = client(running.address, 8080)
    forged = tuple((name.lower(), "6.6.6.6") for name in (*own, "X-Forwarded-Host", "X-Forwarded-Prefix"))
    for target in ("/", "/edited"):
        for sent in ((), forged):
            found = connection.request("GET", "a.test", target, sent)
            assert {name: found.sent(name.lower()) for name in own} == own, target
            assert (found.sent("x-forwarded-host"), found.sent("x-forwarded-prefix")) == ("a.test", None)
            assert "6.6.6.6" not in str(found.echo["headers"])
    connection.close()
