"""Policies of all levels on one Gateway: listeners of its own and of a ListenerSet, routes, rules of routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api import Object
from policy_parts import GROUP, OWN, SERVICE, named, target

NAME = "levels"
#: Ports by who has something to say about them: nobody, a policy of the listener, one of its ListenerSet.
PORTS = {"": 80, "listener": 8081, "set": 8082}
#: Octets of a body: more than the Gateway lets pass, and less than the routes would.
MUCH = b"x" * 200


def whose(team: str) -> Object:
    """Lets those in that say they are of a team: so who is let in says which policy it was."""
    rules = [{"name": team, "headers": [{"name": "X-Team", "values": [team]}]}]
    return {"authorization": {"rules": rules}}


def policy(kind: str, name: str, of: Object, **spec: Any) -> Object:
    return named(name, kind, OWN, {"targetRefs": [of], **spec})


def gateway_and_routes() -> Iterator[Object]:
    """Two rules of a route, one of them with a name, behind all listeners; and another route."""
    listeners = [{"name": name or "open", "protocol": "HTTP", "port": PORTS[name]} for name in ("", "listener")]
    allowed = {"namespaces": {"from": "Same"}}
    spec = {"gatewayClassName": "sluicegate", "listeners": listeners, "allowedListeners": allowed}
    yield named(NAME, "Gateway", f"{GROUP}/v1", spec)
    of_set = [{"name": "more", "protocol": "HTTP", "port": PORTS["set"]}]
    yield named(NAME, "ListenerSet", f"{GROUP}/v1", {"parentRef": {"name": NAME}, "listeners": of_set})
    parents = [{"name": NAME}, {"group": GROUP, "kind": "ListenerSet", "name": NAME}]
    backends = {"backendRefs": [SERVICE]}
    admin = {"name": "admin", "matches": [{"path": {"type": "PathPrefix", "value": "/admin"}}], **backends}
    for name, rules in ((NAME, [admin, {"name": "rest", **backends}]), ("partly", [backends])):
        hostnames = [f"{name}.example.com"]
        spec = {"parentRefs": parents, "hostnames": hostnames, "rules": rules}
        yield named(name, "HTTPRoute", f"{GROUP}/v1", spec)


def policies() -> Iterator[Object]:
    """One of each level, one that overrides, and what is overridden by it."""
    yield policy("AccessPolicy", "of-listener", target("Gateway", NAME, "listener"), **whose("listener"))
    yield policy("AccessPolicy", "of-set", target("ListenerSet", NAME), **whose("set"))
    yield policy("AccessPolicy", "of-rule", target("HTTPRoute", NAME, "admin"), **whose("rule"))
    # Of the same age as the one before, or younger, and behind it by its name.
    yield policy("AccessPolicy", "of-rule-too", target("HTTPRoute", NAME, "admin"), **whose("nobody"))
    yield overriding()
    yield policy("ClientPolicy", "overridden", target("HTTPRoute", NAME), body={"maxSize": "1Ki"})
    both = {"body": {"maxSize": "1Ki"}, "accessLog": {"mode": "Errors"}}
    yield policy("ClientPolicy", "partly", target("HTTPRoute", "partly"), **both)


def overriding() -> Object:
    return policy("ClientPolicy", "overriding", target("Gateway", NAME), strategy="Overrides", body={"maxSize": "100"})


def conditions(item: Object) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of each condition: of a policy with one ancestor, of a route with several parents."""
    status = item.get("status", {})
    parts = [*status.get("ancestors", []), *status.get("parents", []), *([status] if "conditions" in status else [])]
    return {
        found["type"]: (found["status"], found["reason"], found["message"])
        for part in parts
        for found in part["conditions"]
    }


def said(item: Object, name: str) -> tuple[str, str]:
    """Status and reason of a condition; nothing where it is not there."""
    return conditions(item).get(name, ("", "", ""))[:2]


def affected(item: Object, kind: str) -> set[str]:
    """Names of the policies of a kind that a target says it is affected by, as its message has them."""
    status, _, message = conditions(item).get(f"sluicegate.dev/{kind}Affected", ("", "", ""))
    found = message.rpartition(": ")[2].split(", ") if status == "True" else []
    return {name.partition("/")[2] for name in found}


def columns(text: str) -> dict[str, dict[str, str]]:
    """Rows of what `kubectl get` prints, by the first column."""
    head, *rows = text.splitlines()
    names = head.split()
    found = [dict(zip(names, row.split(), strict=True)) for row in rows]
    return {row["NAME"]: row for row in found}
