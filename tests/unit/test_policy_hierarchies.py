"""Policies on hierarchies of objects: the examples of GEP-713, and random ones against a reference written apart."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest
from pretended_policies import LimitPolicy, policy
from test_policy_attachment import World, gateway, made, objects, route

from sluicegate import ir
from sluicegate.controller.api import Object, ObjectKey
from sluicegate.controller.translate import to_document
from sluicegate.ir.join import join


class Limit(ir.StanzaBase, frozen=True, kw_only=True):
    """A stanza that replaces the same one set higher."""

    kind: ClassVar[str] = "LimitPolicy"
    stanza: ClassVar[str] = "limit"


class Auth(ir.StanzaBase, frozen=True, kw_only=True):
    """One that can only be tightened."""

    kind: ClassVar[str] = "LimitPolicy"
    stanza: ClassVar[str] = "auth"
    tightens: ClassVar[bool] = True


STANZAS: dict[str, type[ir.StanzaBase]] = {"limit": Limit, "auth": Auth}


@pytest.fixture(autouse=True)
def ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, kind in enumerate(STANZAS.values()):
        monkeypatch.setitem(ir.RANKS, kind, rank)


def effective(world: World, policies: Sequence[LimitPolicy], listener: str, rule: str) -> dict[str, list[str]]:
    """What holds for a rule at a listener: what both name in the IR, joined as routers do it."""
    specs = {item.key.name: item.spec for item in policies}
    named = world.named()

    def resources(owner: str) -> Iterator[ir.StanzaBase]:
        for name in named.get(owner, ()):
            _, of, stanza = name.split("/")
            off = specs[of].stanzas[stanza] == "Off"
            yield STANZAS[stanza](id=name, off=off, overrides=specs[of].overrides)

    found: dict[str, list[str]] = {}
    for item in join(resources(listener), resources(rule)):
        found.setdefault(item.stanza, []).append(item.id.split("/")[1])
    return found


def conditions(world: World, name: str, kind: str = "LimitPolicy") -> dict[str, tuple[str, str]]:
    """Those of a policy of one Gateway."""
    [found] = world.ancestors(name, kind).values()
    return found


def affected(world: World, kind: str, name: str) -> str:
    """What an object is told of policies that are attached to it."""
    document = to_document(world.now.statuses[ObjectKey(kind, "shop", name)])
    items = [
        *document.get("conditions", ()),
        *(it for part in document.get("parents", ()) for it in part["conditions"]),
    ]
    return ", ".join(it["message"].rpartition(": ")[2] for it in items if it["type"].endswith("PolicyAffected"))


# --- GEP-713, "End-to-end examples" ---------------------------------------------------------------------------------


def topology() -> list[Object]:
    """Gateways g1 with routes r1 and r2, g2 with r3 and r4; Services b1 of the first three routes, b2 of the last."""

    def of(name: str, parent: str, backend: str) -> Object:
        return route(name, parents=(parent,), rules=[{"backendRefs": [{"name": backend, "port": 80}]}])

    return [
        gateway("g1"),
        gateway("g2", 100),
        *(of(name, parent, backend) for name, parent, backend in (("r1", "g1", "b1"), ("r2", "g1", "b1"))),
        *(of(name, parent, backend) for name, parent, backend in (("r3", "g2", "b1"), ("r4", "g2", "b2"))),
        *(made("Service", name, {"ports": [{"name": "web", "port": 80}]}, "v1") for name in ("b1", "b2")),
    ]


def at(world: World, policies: Sequence[LimitPolicy], parent: str, of: str) -> dict[str, list[str]]:
    return effective(world, policies, f"Gateway/shop/{parent}/web", f"HTTPRoute/shop/{of}/0")


def test_example_1_direct_policies() -> None:
    policies = [
        policy("p1", "Service/b1", kind="CarePolicy", created=1),
        policy("p2", "Service/b1", kind="CarePolicy", created=2),
    ]
    world = World(*policies, base=topology())
    assert world.named() == {"shop/b1:80": ("shop/p1",)}
    for of in ("g1", "g2"):
        assert world.ancestors("p1", "CarePolicy")[of]["Accepted"] == ("True", "Accepted")
        assert world.ancestors("p2", "CarePolicy")[of]["Accepted"] == ("False", "Conflicted")


def test_example_2_defaults_and_overrides() -> None:
    policies = [
        policy("p1", "Gateway/g1", limit="red"),
        policy("p2", "HTTPRoute/r1", limit="blue"),
        policy("p3", "Gateway/g2", limit="yellow", overrides=True),
        policy("p4", "HTTPRoute/r4", limit="green"),
    ]
    world = World(*policies, base=topology())
    places = (("g1", "r1", "p2"), ("g1", "r2", "p1"), ("g2", "r3", "p3"), ("g2", "r4", "p3"))
    for parent, of, holds in places:
        assert at(world, policies, parent, of) == {"limit": [holds]}, (parent, of)
    # What a route says in place of a default takes nothing away from the Gateway's: the page says so, GEP-713 would
    # have p1 programmed in part.
    for name in ("p1", "p2", "p3"):
        assert conditions(world, name)["Programmed"] == ("True", "Programmed"), name
    assert conditions(world, "p4")["Programmed"] == ("False", "Overridden")
    told = (("Gateway", "g1", "p1"), ("HTTPRoute", "r1", "p2"), ("Gateway", "g2", "p3"), ("HTTPRoute", "r4", "p4"))
    for kind, name, by in told:
        assert affected(world, kind, name) == f"shop/{by}"
    assert affected(world, "HTTPRoute", "r2") == ""


def test_example_3_merged_specs() -> None:
    """Granularity is the part: `auth` stands for dark, `limit` for light. Ours are merged part by part always."""
    policies = [
        policy("p1", "Gateway/g1", auth="brown", limit="red"),
        policy("p2", "HTTPRoute/r1", limit="blue"),
        policy("p3", "Gateway/g2", limit="yellow", overrides=True),
        policy("p4", "HTTPRoute/r4", auth="olive", limit="green"),
    ]
    world = World(*policies, base=topology())
    # p1 would be atomic there, and dark of r1 undefined.
    assert at(world, policies, "g1", "r1") == {"auth": ["p1"], "limit": ["p2"]}
    assert at(world, policies, "g1", "r2") == {"auth": ["p1"], "limit": ["p1"]}
    assert at(world, policies, "g2", "r3") == {"limit": ["p3"]}
    assert at(world, policies, "g2", "r4") == {"auth": ["p4"], "limit": ["p3"]}
    for name in ("p1", "p2", "p3"):
        assert conditions(world, name)["Programmed"] == ("True", "Programmed"), name
    assert conditions(world, "p4")["Programmed"] == ("True", "PartiallyProgrammed")


# --- Any hierarchy ------------------------------------------------------------------------------------------------

WORLDS, CHANGES = 300, 10
TARGETS = (
    *("Gateway/edge", "Gateway/edge/web", "ListenerSet/names", "ListenerSet/names/more"),
    *("HTTPRoute/cart", "HTTPRoute/cart/first", "HTTPRoute/cart/second", "HTTPRoute/other"),
    *("HTTPRoute/of-set", "HTTPRoute/of-set/first", "HTTPRoute/none", "Gateway/edge/none"),
)
#: A listener and a rule of the IR, and the levels that they are in, the highest first.
PLACES = (
    ("Gateway/shop/edge/web", "HTTPRoute/shop/cart/0", ("Gateway/edge", "Gateway/edge/web"), "cart", "first"),
    ("Gateway/shop/edge/web", "HTTPRoute/shop/cart/1", ("Gateway/edge", "Gateway/edge/web"), "cart", "second"),
    ("Gateway/shop/edge/web", "HTTPRoute/shop/other/0", ("Gateway/edge", "Gateway/edge/web"), "other", ""),
    (
        "ListenerSet/shop/names/more",
        "HTTPRoute/shop/of-set/0",
        ("Gateway/edge", "ListenerSet/names", "ListenerSet/names/more"),
        "of-set",
        "first",
    ),
)


def drawn(chance: random.Random, name: str) -> LimitPolicy:
    values: dict[str, Any] = {word: chance.choice(("1", "2", "Off")) for word in STANZAS if chance.random() < 0.7} or {
        "limit": "1"
    }
    targets = chance.sample(TARGETS, chance.choice((1, 1, 2, 3)))
    overrides = chance.random() < 0.4
    return policy(name, *targets, created=chance.randrange(3), overrides=overrides, **values)


def attached(item: LimitPolicy) -> set[str]:
    return {
        "/".join((ref.kind, ref.name, *([ref.section_name] if ref.section_name else ())))
        for ref in item.spec.target_refs
    }


def expected(policies: Sequence[LimitPolicy], levels: Sequence[str]) -> dict[str, list[str]]:
    """GEP-713 in a few lines, of the documents alone: of a level the older one, of levels the lowest, unless one above
    overrides; what can only be tightened holds beside that."""
    found = {}
    for stanza in STANZAS:
        own, above = [], []
        for level in levels:
            here = [item for item in policies if stanza in item.spec.stanzas and level in attached(item)]
            if here:
                first = min(here, key=lambda item: (item.metadata.created, item.key.name))
                is_above = first.spec.overrides and level.split("/")[0] != "HTTPRoute"
                (above if is_above else own).append(first)
        holds = above[:1] or own[-1:]
        if above and stanza == "auth":
            holds = [*above, *own[-1:]]
        names = [item.key.name for item in holds if item.spec.stanzas[stanza] != "Off"]
        if names:
            found[stanza] = list(dict.fromkeys(names))
    return found


def test_three_thousand_hierarchies() -> None:
    """The translator, change by change, holds what the documents say; and says of it what one that starts anew does."""
    chance, held = random.Random(1), 0
    for number in range(WORLDS):
        world, policies = World(base=objects()), dict[str, LimitPolicy]()
        for _ in range(CHANGES):
            name = f"p{chance.randrange(6)}"
            if name in policies and chance.random() < 0.3:
                world.apply(gone=(policies.pop(name).key,))
            else:
                policies[name] = drawn(chance, name)
                world.apply(policies[name])
            now = list(policies.values())
            for listener, rule, above, of, section in PLACES:
                levels = (*above, f"HTTPRoute/{of}", *([f"HTTPRoute/{of}/{section}"] if section else ()))
                wanted = expected(now, levels)
                assert effective(world, now, listener, rule) == wanted, (number, rule, now)
                held += len(wanted)
        anew = World(*policies.values(), base=objects())
        for item in policies.values():
            assert world.now.statuses[item.key] == anew.now.statuses[item.key], (number, item)
        assert world.named() == anew.named()
    assert held > WORLDS * CHANGES
