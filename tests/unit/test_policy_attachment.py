"""What policies of any kind are attached to, who names them in the IR, what statuses say, what a change costs."""

from __future__ import annotations

from typing import Any

import pytest
from pretended_policies import KINDS, policy

from sluicegate.controller.api import Object, ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Translation, Translator, to_document
from sluicegate.controller.translate.policies.status import MAX_ANCESTORS

V1 = "gateway.networking.k8s.io/v1"
LISTENERS = [("web", "HTTP", 80), ("tls", "TLS", 443), ("tcp", "TCP", 90), ("udp", "UDP", 90)]


def listener(name: str, protocol: str, port: int) -> dict[str, Any]:
    tls = {"tls": {"mode": "Passthrough"}} if protocol == "TLS" else {}
    return {"name": name, "port": port, "protocol": protocol, **tls, "allowedRoutes": {"namespaces": {"from": "All"}}}


def gateway(name: str = "edge", port: int = 0) -> Object:
    listeners = [listener(word, protocol, port + number) for word, protocol, number in LISTENERS]
    spec = {
        "gatewayClassName": "sluicegate",
        "listeners": listeners,
        "allowedListeners": {"namespaces": {"from": "All"}},
    }
    return made("Gateway", name, spec)


def made(kind: str, name: str, spec: dict[str, Any], version: str = V1) -> Object:
    return decode({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})


def route(name: str, kind: str = "HTTPRoute", parents: tuple[str, ...] = ("edge",), **spec: Any) -> Object:
    rules = [{"name": word, "backendRefs": [{"name": "cart", "port": 80}]} for word in ("first", "second")]
    return made(kind, name, {"parentRefs": [{"name": item} for item in parents], "rules": rules, **spec})


def objects() -> list[Object]:
    names = {"parentRef": {"name": "edge"}, "listeners": [listener("more", "HTTP", 81)]}
    ports = [
        {"name": "web", "port": 80},
        {"name": "admin", "port": 81},
        {"name": "dns", "port": 80, "protocol": "UDP"},
    ]
    of_set = {"parentRefs": [{"kind": "ListenerSet", "name": "names"}], "rules": [{"name": "first"}]}
    return [
        gateway(),
        made("ListenerSet", "names", names),
        route("cart"),
        route("other", rules=[{"backendRefs": [{"name": "cart", "port": 81}]}]),
        made("HTTPRoute", "of-set", of_set),
        *(route(kind.lower(), kind) for kind in ("GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")),
        made("Service", "cart", {"ports": ports}, "v1"),
    ]


class World:
    """A translator of our kinds, and a store."""

    def __init__(self, *more: Object, base: list[Object] | None = None) -> None:
        self.store = Store()
        self.store.load(objects() if base is None else base)
        self.translator = Translator(policies=KINDS)
        self.translator.translate(self.store.snapshot())
        self.now = self.apply(*more)

    def apply(self, *items: Object, gone: tuple[ObjectKey, ...] = ()) -> Translation:
        for item in items:
            self.store.handle(Apply(item))
        for key in gone:
            self.store.handle(Delete(key))
        self.now = self.translator.translate(self.store.snapshot())
        return self.now

    def named(self) -> dict[str, tuple[str, ...]]:
        """Who names policies, and which."""
        state = self.now.ir
        every = {**state.listeners, **state.http_rules, **state.l4_rules, **state.backends}
        return {
            key: tuple(name.partition("/")[2] for name in item.policies) for key, item in every.items() if item.policies
        }

    def ancestors(self, name: str, kind: str = "LimitPolicy") -> dict[str, dict[str, tuple[str, str]]]:
        """By Gateway: status and reason by type of condition."""
        status = to_document(self.now.statuses[ObjectKey(kind, "shop", name)])
        return {
            item["ancestorRef"]["name"]: {it["type"]: (it["status"], it["reason"]) for it in item["conditions"]}
            for item in status["ancestors"]
        }

    def told(self, name: str) -> set[str]:
        return {item.code for item in self.now.diagnostics if item.object.endswith(f"Policy/shop/{name}")}


WEB, TLS, TCP, UDP = (f"Gateway/shop/edge/{word}" for word, _, _ in LISTENERS)
MORE = "ListenerSet/shop/names/more"
GOOD = {
    "Accepted": ("True", "Accepted"),
    "ResolvedRefs": ("True", "ResolvedRefs"),
    "Programmed": ("True", "Programmed"),
}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("Gateway/edge", {WEB, TLS, TCP, UDP, MORE}),
        ("Gateway/edge/web", {WEB}),
        ("ListenerSet/names", {MORE}),
        ("ListenerSet/names/more", {MORE}),
        ("HTTPRoute/cart", {"HTTPRoute/shop/cart/0", "HTTPRoute/shop/cart/1"}),
        ("HTTPRoute/cart/second", {"HTTPRoute/shop/cart/1"}),
        ("GRPCRoute/grpcroute", {"GRPCRoute/shop/grpcroute/0", "GRPCRoute/shop/grpcroute/1"}),
        ("GRPCRoute/grpcroute/first", {"GRPCRoute/shop/grpcroute/0"}),
        ("TLSRoute/tlsroute/first", {"TLSRoute/shop/tlsroute/0"}),
        ("TCPRoute/tcproute", {"TCPRoute/shop/tcproute/0", "TCPRoute/shop/tcproute/1"}),
        ("UDPRoute/udproute", {"UDPRoute/shop/udproute/0", "UDPRoute/shop/udproute/1"}),
    ],
)
def test_who_names_an_inherited_policy(target: str, expected: set[str]) -> None:
    world = World(policy("p", target))
    assert world.named() == dict.fromkeys(expected, ("shop/p/limit",))
    assert set(world.now.ir.policies) == {"LimitPolicy/shop/p/limit"}
    assert world.ancestors("p") == {"edge": GOOD}
    # It goes as it came.
    world.apply(gone=(ObjectKey("LimitPolicy", "shop", "p"),))
    assert world.named() == {}
    assert not world.now.ir.policies
    assert ObjectKey("LimitPolicy", "shop", "p") not in world.now.statuses


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("Service/cart", {"shop/cart:80", "shop/cart:81", "shop/cart:80/udp"}),
        ("Service/cart/admin", {"shop/cart:81"}),
        ("Service/cart/dns", {"shop/cart:80/udp"}),
    ],
)
def test_who_names_a_direct_policy(target: str, expected: set[str]) -> None:
    world = World(policy("p", target, kind="CarePolicy"))
    assert world.named() == dict.fromkeys(expected, ("shop/p",))
    assert world.ancestors("p", "CarePolicy") == {"edge": {key: GOOD[key] for key in ("Accepted", "ResolvedRefs")}}


@pytest.mark.parametrize(
    ("target", "sections"),
    [
        ("Gateway/none", False),
        ("HTTPRoute/none", False),
        ("ListenerSet/none/x", False),
        ("Gateway/edge/none", True),
        ("ListenerSet/names/none", True),
        ("HTTPRoute/cart/none", True),
        ("UDPRoute/udproute/first", True),  # its sections are no targets
        ("Service/cart", True),  # of another kind
    ],
)
def test_a_target_that_is_not_there(target: str, *, sections: bool) -> None:
    world = World(policy("p", target))
    assert world.named() == {}
    assert "target-not-found" in world.told("p")
    expected = {"edge": ("False", "TargetNotFound")} if sections else {}
    assert {name: found["Accepted"] for name, found in world.ancestors("p").items()} == expected
    assert all("Programmed" not in found for found in world.ancestors("p").values())
    # Why it has no effect is said once.
    assert "unused-policy" not in world.told("p")


def test_a_target_that_comes_later() -> None:
    world = World(policy("p", "HTTPRoute/later"))
    world.apply(route("later"))
    assert world.ancestors("p") == {"edge": GOOD}
    assert set(world.named()) == {"HTTPRoute/shop/later/0", "HTTPRoute/shop/later/1"}
    world.apply(gone=(ObjectKey("Gateway", "shop", "edge"),))
    assert world.ancestors("p") == {}


def test_the_older_one_has_the_target() -> None:
    world = World(
        policy("older", "HTTPRoute/cart", created=1, limit="1"),
        policy("younger", "HTTPRoute/cart", created=2, limit="2"),
        policy("partly", "HTTPRoute/cart", created=3, limit="3", auth="3"),
    )
    assert world.named()["HTTPRoute/shop/cart/0"] == ("shop/older/limit", "shop/partly/auth")
    assert world.ancestors("younger") == {
        "edge": {"Accepted": ("False", "Conflicted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    }
    assert world.ancestors("partly")["edge"]["Programmed"] == ("True", "PartiallyProgrammed")
    assert "policy-conflict" in world.told("younger") & world.told("partly")
    # What the older one had, the next one has.
    world.apply(gone=(ObjectKey("LimitPolicy", "shop", "older"),))
    assert world.named()["HTTPRoute/shop/cart/0"] == ("shop/younger/limit", "shop/partly/auth")
    assert world.ancestors("younger") == {"edge": GOOD}


def test_an_override_is_told_to_those_that_it_replaces() -> None:
    world = World(
        policy("low", "HTTPRoute/cart", limit="1"),
        policy("both", "HTTPRoute/other", limit="1", auth="1"),
    )
    assert world.ancestors("low") == {"edge": GOOD}
    world.apply(policy("high", "Gateway/edge", limit="2", overrides=True))
    assert world.ancestors("low")["edge"]["Programmed"] == ("False", "Overridden")
    assert world.ancestors("both")["edge"]["Programmed"] == ("True", "PartiallyProgrammed")
    assert world.ancestors("high") == {"edge": GOOD}
    # The engine joins what a listener names with what a rule names.
    assert world.named()[WEB] == ("shop/high/limit",)
    assert world.named()["HTTPRoute/shop/cart/0"] == ("shop/low/limit",)
    assert world.now.ir.policies["LimitPolicy/shop/high/limit"].override


def test_stanzas_act_in_the_order_of_their_kind_and_kinds_in_theirs() -> None:
    world = World(policy("p", "HTTPRoute/cart", auth="1", limit="1"))
    assert world.named()["HTTPRoute/shop/cart/0"] == ("shop/p/limit", "shop/p/auth")


def test_what_cannot_be_honoured_is_named_all_the_same() -> None:
    world = World(policy("p", "HTTPRoute/cart", limit="Bad"))
    assert world.named()["HTTPRoute/shop/cart/0"] == ("shop/p/limit",)
    assert world.ancestors("p")["edge"]["Accepted"] == ("False", "Invalid")


def test_a_backend_whose_policy_cannot_be_honoured_is_told_to_its_routes() -> None:
    """Of a kind that nobody has heard of too."""
    world = World(policy("p", "Service/cart", kind="CarePolicy", **{"": "Bad"}))
    assert not world.translator.held
    [parent] = to_document(world.now.statuses[ObjectKey("HTTPRoute", "shop", "cart")])["parents"]
    [found] = [item for item in parent["conditions"] if item["type"] == "ResolvedRefs"]
    assert (found["status"], found["reason"]) == ("False", "InvalidBackendPolicy")
    assert found["message"].startswith("CarePolicy p: ")


def conditions(world: World, key: ObjectKey) -> dict[str, Any]:
    document = to_document(world.now.statuses[key])
    found = [("", item) for item in document.get("conditions", ())]
    found += [(part["name"], item) for part in document.get("listeners", ()) for item in part["conditions"]]
    found += [("", item) for part in document.get("parents", ()) for item in part["conditions"]]
    return {
        f"{place}:{it['message']}": it["reason"] for place, it in found if it["type"].endswith("LimitPolicyAffected")
    }


def test_targets_are_told_what_is_attached_to_them() -> None:
    edge, names, cart = (
        ObjectKey("Gateway", "shop", "edge"),
        ObjectKey("ListenerSet", "shop", "names"),
        ObjectKey("HTTPRoute", "shop", "cart"),
    )
    world = World(
        policy("a", "Gateway/edge"),
        policy("b", "Gateway/edge/web", "ListenerSet/names"),
        policy("c", "HTTPRoute/cart", created=2),
        policy("d", "HTTPRoute/cart/second", created=1),
    )
    text = "Policies of kind LimitPolicy: shop/"
    assert conditions(world, edge) == {f":{text}a": "Affected", f"web:{text}b": "Affected"}
    assert conditions(world, names) == {f":{text}b": "Affected"}
    assert conditions(world, cart) == {f":{text}d, shop/c": "Affected"}
    assert conditions(world, ObjectKey("HTTPRoute", "shop", "other")) == {}
    # Also with the engine's report, and gone when the policies are.
    world.now = world.now.with_report({"generation": 1})
    assert conditions(world, edge) == {f":{text}a": "Affected", f"web:{text}b": "Affected"}
    before = world.translator.translate(world.store.snapshot())
    now = world.apply(gone=tuple(ObjectKey("LimitPolicy", "shop", name) for name in "abcd"))
    assert [conditions(world, key) for key in (edge, names, cart)] == [{}, {}, {}]
    assert {edge, names, cart} <= set(now.changed_since(before))


def test_a_section_that_is_not_there_affects_nothing() -> None:
    """A policy with a rule's or a listener's name that is misspelt is attached to nothing (GEP-713)."""
    edge, cart = ObjectKey("Gateway", "shop", "edge"), ObjectKey("HTTPRoute", "shop", "cart")
    world = World(policy("a", "Gateway/edge/wbe"), policy("b", "HTTPRoute/cart/secnd"), policy("c", "HTTPRoute/cart"))
    assert conditions(world, edge) == {}
    assert conditions(world, cart) == {":Policies of kind LimitPolicy: shop/c": "Affected"}


def test_more_gateways_than_a_status_has_room_for() -> None:
    count = MAX_ANCESTORS + 2
    names = tuple(f"g{number:02}" for number in range(count))
    base: list[Object] = [gateway(name, number * 100) for number, name in enumerate(names)]
    world = World(policy("p", "HTTPRoute/all"), base=[*base, route("all", parents=names)])
    assert sorted(world.ancestors("p")) == sorted(names)[:MAX_ANCESTORS]
    assert "ancestor-limit" in world.told("p")
    # It holds for all of them, and those that are not in it are told.
    assert len(world.named()) == 2

    def told() -> set[str]:
        type_ = "sluicegate.dev/PolicyLimitReached"
        statuses = {key.name: to_document(item) for key, item in world.now.statuses.items() if key.kind == "Gateway"}
        return {name for name, item in statuses.items() if any(it["type"] == type_ for it in item["conditions"])}

    assert told() == set(names[MAX_ANCESTORS:])
    world.apply(gone=(ObjectKey("Gateway", "shop", names[0]),))
    assert told() == set(names[MAX_ANCESTORS + 1 :])
    world.apply(gone=(ObjectKey("LimitPolicy", "shop", "p"),))
    assert told() == set()


def test_a_changed_policy_costs_what_it_touches() -> None:
    world = World(
        policy("a", "HTTPRoute/cart", limit="1"),
        policy("b", "HTTPRoute/other", limit="1"),
        policy("c", "Gateway/edge", auth="1"),
        policy("d", "Service/cart/admin", kind="CarePolicy"),
    )
    memo = world.translator._memo.policies
    key = ObjectKey("LimitPolicy", "shop", "a")
    judged, facts = dict(memo.judged), dict(memo.facts)
    # New content: one resource, whoever names it.
    state = world.apply(policy("a", "HTTPRoute/cart", limit="2", generation=2)).ir
    assert {kind: set(ids) for kind, ids in state.changed.items() if ids} == {"policies": {f"{key}/limit"}}
    assert {name for name, item in memo.judged.items() if judged.get(name) is not item} == {key}
    # Another target: the rules of both.
    state = world.apply(policy("a", "HTTPRoute/other", limit="2", generation=3)).ir
    assert {kind: set(ids) for kind, ids in state.changed.items() if ids} == {
        "http_rules": {"HTTPRoute/shop/cart/0", "HTTPRoute/shop/cart/1", "HTTPRoute/shop/other/0"},
        "policies": {"LimitPolicy/shop/b/limit"},  # by name it comes after `a` now
    }
    moved = {name for name, item in memo.facts.items() if facts.get(name) is not item}
    assert moved == {key, ObjectKey("LimitPolicy", "shop", "b")}
    # Nothing of it is looked at when something else changes.
    facts = dict(memo.facts)
    world.apply(route("of-nobody", parents=("none",)))
    assert {name for name, item in memo.facts.items() if facts.get(name) is not item} == set()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_step_by_step_comes_to_the_same_as_at_once(order: tuple[int, ...]) -> None:
    policies = [
        policy("a", "Gateway/edge", "HTTPRoute/cart", limit="1", overrides=True),
        policy("b", "HTTPRoute/cart", limit="2", auth="Off"),
        policy("c", "ListenerSet/names/more", "HTTPRoute/cart/first", auth="1"),
        policy("d", "Service/cart", kind="CarePolicy"),
    ]
    world = World()
    for place in order:
        world.apply(policies[place])
    at_once = World(*policies)
    assert world.named() == at_once.named()
    for item in policies:
        assert world.now.statuses[item.key] == at_once.now.statuses[item.key]
    assert world.now.ir.policies == at_once.now.ir.policies
