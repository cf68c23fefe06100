"""A BackendTLSPolicy that cannot be honoured shows in the routes of its backends, and no longer once it can."""

from __future__ import annotations

from typing import Any

import pytest
from system_certificates import Authority
from system_manifests import (
    backend_tls_policy,
    config_map,
    gateway,
    listener,
    route,
    rule,
    service,
)

from sluicegate.controller.api import ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Translator

ROUTE = ObjectKey("HTTPRoute", "default", "route")
ROOTS = Authority().pem


class World:
    def __init__(self, *objects: dict[str, Any]) -> None:
        self.store = Store()
        self.store.load(decode(item) for item in objects)
        self.translator = Translator()

    def resolved(self, key: ObjectKey = ROUTE) -> tuple[str, str, str]:
        status = self.translator.translate(self.store.snapshot()).statuses[key]
        [parent] = status.parents  # type: ignore[union-attr]
        [found] = [item for item in parent.conditions if item.type == "ResolvedRefs"]
        return found.status, str(found.reason), found.message

    def accepted(self) -> str:
        status = self.translator.translate(self.store.snapshot()).statuses[ROUTE]
        [found] = [item for item in status.parents[0].conditions if item.type == "Accepted"]  # type: ignore[union-attr]
        return found.status


@pytest.fixture
def world() -> World:
    return World(
        gateway(),
        route(rule("/", "app"), rule("/other", "other")),
        *service("app", ("10.0.0.1", 80)),
        *service("other", ("10.0.0.2", 80)),
        backend_tls_policy("policy", "app", "app.test", "roots"),
    )


def test_it_follows_what_the_policy_refers_to(world: World) -> None:
    message = "BackendTLSPolicy policy: No CA certificate is valid: ConfigMap default/roots does not exist"
    assert world.resolved() == ("False", "InvalidBackendTLSPolicy", message)
    assert world.accepted() == "True"
    world.store.handle(Apply(decode(config_map("roots", ROOTS))))
    assert world.resolved()[:2] == ("True", "ResolvedRefs")
    world.store.handle(Delete(ObjectKey("ConfigMap", "default", "roots")))
    assert world.resolved() == ("False", "InvalidBackendTLSPolicy", message)
    world.store.handle(Delete(ObjectKey("BackendTLSPolicy", "default", "policy")))
    assert world.resolved()[:2] == ("True", "ResolvedRefs")


def test_routes_of_other_backends_are_not_concerned(world: World) -> None:
    world.store.handle(Apply(decode(route(rule("/", "other")))))
    assert world.resolved()[:2] == ("True", "ResolvedRefs")


def test_what_only_passes_through_is_not_concerned() -> None:
    tls = listener("tls", 443, "TLS", tls={"mode": "Passthrough"})
    through = {**route(name="through", hostnames=["a.test"]), "kind": "TLSRoute"}
    through["spec"]["rules"] = [{"backendRefs": [{"name": "app", "port": 80}]}]
    world = World(
        gateway(tls),
        through,
        *service("app", ("10.0.0.1", 80)),
        backend_tls_policy("policy", "app", "app.test", "roots"),
    )
    assert world.resolved(ObjectKey("TLSRoute", "default", "through"))[:2] == ("True", "ResolvedRefs")
