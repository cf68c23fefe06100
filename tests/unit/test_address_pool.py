"""Addresses of a pool (`--address-pool`): who has which one follows from the Gateways and what their statuses say."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sluicegate.controller.api import Document, ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Options, Translation, Translator, to_document
from sluicegate.controller.translate.pool import PoolError, pool_of

GATEWAY_API = "gateway.networking.k8s.io/v1"
FIRST, SECOND = "10.0.0.1", "10.0.0.2"


def gateway_class(name: str = "ours", controller: str = "sluicegate.dev/controller") -> Document:
    spec = {"controllerName": controller}
    return {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": name}, "spec": spec}


def gateway(name: str, *named: str, age: int = 0, has: str = "", class_name: str = "ours") -> Document:
    """A Gateway.

    Args:
        name: its name.
        named: `spec.addresses`.
        age: the larger the older.
        has: what its status says.
        class_name: its class.
    """
    made = f"2026-01-01T00:{59 - age:02}:00Z"
    spec: dict[str, Any] = {
        "gatewayClassName": class_name,
        "listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}],
    }
    if named:
        spec["addresses"] = [{"value": value} for value in named]
    status = {"addresses": [{"type": "IPAddress", "value": has}]} if has else {}
    metadata = {"name": name, "creationTimestamp": made}
    return {"apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": metadata, "spec": spec, "status": status}


class World:
    """A store and a translator that may be restarted."""

    def __init__(self, *documents: Document, pool: str = f"{FIRST}-{SECOND}") -> None:
        self.options = Options(implicit_class=False, implicit_namespaces=False, keep_served=True, pool=pool_of([pool]))
        self.store = Store()
        self.store.load(
            decode(item) for item in (gateway_class(), gateway_class("theirs", "example.com/c"), *documents)
        )
        self.restart()

    def restart(self) -> None:
        self.translator = Translator(options=self.options)

    def change(self, *changes: Document | str) -> None:
        for change in changes:
            gone = isinstance(change, str)
            self.store.handle(Delete(ObjectKey("Gateway", "default", change)) if gone else Apply(decode(change)))

    def translate(self) -> Translation:
        """What is translated; every listener is bound."""
        made = self.translator.translate(self.store.snapshot())
        bound = [
            {"id": item.id, "bound": [f"{address}:80" for address in item.addresses or ("0.0.0.0",)]}
            for item in made.ir.listeners.values()
        ]
        return made.with_report({"generation": 1, "listeners": bound})

    def bound(self) -> dict[str, str]:
        """Addresses that listeners are bound to, by Gateway; `*` for all."""
        listeners = self.translate().ir.listeners.values()
        return {item.gateway.partition("/")[2]: ",".join(item.addresses) or "*" for item in listeners}

    def status(self, name: str) -> dict[str, Any]:
        return to_document(self.translate().statuses[ObjectKey("Gateway", "default", name)])

    def told(self, name: str, kind: str) -> str:
        [found] = [item for item in self.status(name)["conditions"] if item["type"] == kind]
        return f"{found['status']} {found['reason']}: {found['message']}"


def test_gateways_get_addresses_in_the_order_of_their_age() -> None:
    world = World(gateway("young"), gateway("old", age=1))
    assert world.bound() == {"old": FIRST, "young": SECOND}
    assert world.status("young")["addresses"] == ({"type": "IPAddress", "value": SECOND},)
    assert world.told("young", "Programmed").startswith("True")


def test_a_restart_swaps_nothing() -> None:
    """The younger one had the first address; its status remembers it."""
    world = World(gateway("young", has=FIRST), gateway("old", age=1))
    assert world.bound() == {"young": FIRST, "old": SECOND}
    world.change(gateway("young", has=FIRST), gateway("old", age=1, has=SECOND))
    world.restart()
    assert world.bound() == {"young": FIRST, "old": SECOND}


def test_what_serves_stays_before_its_status_is_written() -> None:
    world = World(gateway("old", age=2), gateway("young", age=1))
    assert world.bound() == {"old": FIRST, "young": SECOND}
    world.change("old")
    assert world.bound() == {"young": SECOND}
    world.change(gateway("new"))
    assert world.bound() == {"young": SECOND, "new": FIRST}


def test_a_static_address_comes_back_with_the_end_of_its_gateway() -> None:
    world = World(gateway("static", FIRST), gateway("other", SECOND), gateway("late"))
    assert world.bound() == {"static": FIRST, "other": SECOND}
    world.change("static")
    assert world.bound() == {"other": SECOND, "late": FIRST}


def test_gateways_of_others_take_nothing() -> None:
    foreign = [gateway(f"foreign-{number}", age=9, class_name="theirs") for number in range(3)]
    named = gateway("foreign-static", FIRST, age=9, class_name="theirs", has=FIRST)
    assert World(*foreign, named, gateway("ours")).bound() == {"ours": FIRST}


@pytest.mark.parametrize("age", [0, 2], ids=["younger", "older"])
def test_an_address_that_was_given_is_not_given_again(age: int) -> None:
    """Whoever names it later is told whose it is; it serves on as soon as the other one is gone."""
    world = World(gateway("given", age=1))
    assert world.bound() == {"given": FIRST}
    world.change(gateway("static", FIRST, age=age))
    assert world.bound() == {"given": FIRST}
    assert f"{FIRST} was given to Gateway/default/given by the pool" in world.told("static", "Programmed")
    assert world.told("static", "Programmed").startswith("False")
    world.change(gateway("given", age=1, has=FIRST))
    world.restart()
    assert world.bound() == {"given": FIRST}
    world.change("given")
    assert world.bound() == {"static": FIRST}


def test_gateways_that_name_one_address_share_it() -> None:
    world = World(gateway("one", FIRST, age=1), gateway("two", FIRST), gateway("any"), pool="10.0.0.0/29")
    assert world.bound() == {"one": FIRST, "any": SECOND}  # the listener of `two` is the same: a conflict
    assert world.told("two", "Accepted").startswith("False ListenersNotValid")


def test_two_statuses_that_claim_one_address() -> None:
    world = World(gateway("young", has=FIRST), gateway("old", age=1, has=FIRST))
    assert world.bound() == {"old": FIRST, "young": SECOND}


def test_who_comes_too_late_is_not_served() -> None:
    """It must not bind all addresses: these are the others'."""
    world = World(gateway("a", age=3), gateway("b", age=2), gateway("c", age=1), gateway("d"))
    assert world.bound() == {"a": FIRST, "b": SECOND}
    assert world.told("c", "Programmed").startswith("False AddressNotAssigned: the address pool has no address left")
    assert "addresses" not in world.status("c") or not world.status("c")["addresses"]
    assert any(item.code == "no-address-left" for item in world.translate().diagnostics)
    world.change("a")
    assert world.bound() == {"c": FIRST, "b": SECOND}
    assert world.told("c", "Programmed").startswith("True")


def test_a_gateway_that_no_longer_names_its_address_keeps_it() -> None:
    world = World(gateway("a", SECOND), gateway("b", age=1))
    assert world.bound() == {"a": SECOND, "b": FIRST}
    world.change(gateway("a", has=SECOND))
    assert world.bound() == {"a": SECOND, "b": FIRST}


def test_what_a_status_says_of_other_addresses_counts_for_nothing() -> None:
    assert World(gateway("a", has="192.0.2.1"), gateway("b", has="nonsense")).bound() == {"a": FIRST, "b": SECOND}


def test_without_a_pool_a_status_moves_nothing() -> None:
    world = World(gateway("a", has=FIRST))
    world.options = Options(implicit_class=False, implicit_namespaces=False)
    world.restart()
    assert world.bound() == {"a": "*"}


@pytest.mark.parametrize("seed", range(20))
def test_chains_of_random_changes(seed: int) -> None:
    """No address is given twice, nobody's moves, a restart changes nothing; statuses are written sooner or later."""
    chance = random.Random(seed)
    world = World(pool="10.0.0.1-10.0.0.4")
    there: dict[str, Document] = {}
    before: dict[str, str] = {}
    for step in range(60):
        name = f"g{chance.randrange(8)}"
        named = [f"10.0.0.{chance.randrange(1, 5)}"] if chance.random() < 0.3 else []
        gone = name in there and chance.random() < 0.4
        if gone:
            del there[name]
        elif name not in there:
            there[name] = gateway(name, *named, age=chance.randrange(60))
        else:
            continue
        world.change(name if gone else there[name])
        now = world.bound()
        unnamed = [now[key] for key, item in there.items() if key in now and "addresses" not in item["spec"]]
        assert len(set(unnamed)) == len(unnamed), step
        assert "*" not in now.values()
        stay = [key for key in before.keys() & there.keys() if "addresses" not in there[key]["spec"] and key != name]
        assert {key: now.get(key) for key in stay} == {key: before[key] for key in stay}, step
        before = now
        if chance.random() < 0.7:
            there = {key: {**item, "status": world.status(key)} for key, item in there.items()}
            world.change(*there.values())
            assert world.bound() == now
            if chance.random() < 0.5:
                world.restart()
                assert world.bound() == now, step


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.9-10.0.0.1", "10.0.0.0/8", "10.0.0.1-::2"])
def test_pools_that_cannot_be_used(text: str) -> None:
    with pytest.raises(PoolError):
        pool_of([text])


def test_pools() -> None:
    assert pool_of(["10.0.0.1-10.0.0.2", "10.0.0.2", "10.1.0.0/31", "fd00::1"]) == (
        FIRST,
        SECOND,
        "10.1.0.0",
        "10.1.0.1",
        "fd00::1",
    )
