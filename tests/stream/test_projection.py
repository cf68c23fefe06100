"""What each data plane may see."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from stream_support import GATEWAYS, OTHER, PLANE, attachment, endpoint, listener, rule, simple, state

from sluicegate import ir
from sluicegate.controller.stream.plane import PlaneKey
from sluicegate.controller.stream.projection import Projector
from sluicegate.controller.translate import State
from sluicegate.controller.translate.state import RESOURCE_KINDS


def names(projector: Projector, key: PlaneKey) -> dict[str, list[str]]:
    """What a plane has, by section; without those that are empty."""
    return {section: sorted(table) for section, table in projector.planes[key].tables.items() if table}


def tls(certificate: str, **values: Any) -> dict[str, Any]:
    return {"protocol": ir.ListenerProtocol.HTTPS, "tls": ir.ListenerTls(certificates=(certificate,), **values)}


def test_a_plane_sees_only_what_its_listeners_lead_to() -> None:
    validation = ir.ClientValidation(mode=ir.ClientValidationMode.ALLOW_VALID_ONLY, trust=("default/clients",))
    ours = listener(**tls("default/ours", client_validation=validation), backend_certificate="default/client")
    theirs = listener("other/second", "https", **tls("other/theirs"))
    mirror = ir.Mirror(backend="default/copy:80", percentage=ir.Percentage(numerator=1, denominator=1))
    projector = Projector()
    changed = projector.update(
        state(
            ours,
            theirs,
            rule("a", ours, backends=["default/a:80"], filters=(mirror,)),
            rule("b", theirs, backends=["default/b:80"]),
            *(ir.Backend(id=f"default/{name}:80", policies=(f"p/{name}",)) for name in ("a", "b")),
            *(ir.Backend(id=f"default/{name}:80") for name in ("copy", "unused")),
            *(endpoint(f"default/{name}:80") for name in ("a", "b", "copy", "unused")),
            ir.BackendTls(id="p/a", hostname="a", trust=("default/roots",)),
            ir.BackendTls(id="p/b", hostname="b", trust=("default/other",)),
            ir.BackendTls(id="p/unused", hostname="c", trust=("default/unused",)),
            *(ir.Trust(id=f"default/{name}", pem="") for name in ("clients", "roots", "other", "unused")),
            *(
                ir.Certificate(id=name, chain="", key="")
                for name in ("default/ours", "default/client", "other/theirs", "default/unused")
            ),
        ),
        GATEWAYS,
    )
    assert names(projector, PLANE) == {
        "listeners": ["Gateway/default/gateway/http"],
        "http_rules": ["HTTPRoute/default/a/0"],
        "backends": ["default/a:80", "default/copy:80"],
        "endpoints": ["default/a:80@10.0.0.1:8080", "default/copy:80@10.0.0.1:8080"],
        "policies": ["p/a"],
        "trust": ["default/clients", "default/roots"],
        "certificates": ["default/client", "default/ours"],
    }
    assert names(projector, OTHER)["certificates"] == ["other/theirs"]
    assert names(projector, OTHER)["trust"] == ["default/other"]
    assert {section: sorted(ids) for section, ids in changed[PLANE].items()} == names(projector, PLANE)


def test_a_rule_on_listeners_of_two_planes_is_cut_for_each() -> None:
    ours, theirs = listener(), listener("other/second")
    shared = rule("shared", ours, theirs)
    projector = Projector()
    projector.update(state(ours, theirs, shared), GATEWAYS)
    for key, item in ((PLANE, ours), (OTHER, theirs)):
        found = projector.planes[key].tables["http_rules"][shared.id]
        assert found.resource.listeners == (item.id,)
        assert msgspec.json.decode(found.data)["listeners"] == [item.id]


def test_attachments_are_their_gateways_own_and_rules_are_cut_to_them() -> None:
    ours, theirs = (listener(), listener(name="more")), (listener("other/second"),)
    mine, other = attachment("one", *ours), attachment("two", *theirs)
    both = rule("both", attachments=(mine.id, other.id))
    only = rule("only", attachments=(other.id,))
    projector = Projector()
    projector.update(state(*ours, *theirs, mine, other, both, only), GATEWAYS)
    found = projector.planes[PLANE]
    assert names(projector, PLANE)["attachments"] == [mine.id]
    assert names(projector, PLANE)["http_rules"] == [both.id]
    assert found.tables["http_rules"][both.id].resource.attachments == (mine.id,)
    # Another listener is news of the attachment, not of its rules.
    further = listener(name="further")
    changed = projector.update(
        state(*ours, further, *theirs, attachment("one", *ours, further), other, both, only), GATEWAYS
    )
    assert changed == {PLANE: {"listeners": {further.id}, "attachments": {mine.id}}}
    changed = projector.update(state(*theirs, other, only), GATEWAYS)
    assert {key: set(sections) for key, sections in changed.items()} == {
        PLANE: {"listeners", "attachments", "http_rules"},
        OTHER: {"http_rules"},
    }
    assert found.size() == 0
    assert found.cost == 0


def test_the_largest_of_a_plane_are_named() -> None:
    projector = Projector()
    large = rule("large", listener(), hostnames=("n" * 4_000,))
    projector.update(state(*simple("a", "b"), large, ir.Certificate(id="c", chain="x", key="")), GATEWAYS)
    [(name, size), *_] = projector.planes[PLANE].largest()
    assert name == large.route
    assert size > 4_000


def test_a_change_is_only_what_changed() -> None:
    projector = Projector()
    before = simple("a", "b")
    projector.update(state(*before), GATEWAYS)
    more = endpoint("default/a:80", 9090)
    assert projector.update(state(*before, more), GATEWAYS) == {PLANE: {"endpoints": {more.id}}}
    assert projector.update(state(*before, more), GATEWAYS) == {}
    # Of a rule that goes, all goes that nothing else uses.
    gone = projector.update(state(*simple("b")), GATEWAYS)
    assert gone == {
        PLANE: {
            "http_rules": {"HTTPRoute/default/a/0"},
            "backends": {"default/a:80"},
            "endpoints": {"default/a:80@10.0.0.1:8080", more.id},
        }
    }


def test_a_gateway_moves_between_planes_and_planes_go() -> None:
    projector = Projector()
    resources = state(*simple("a"))
    projector.update(resources, GATEWAYS)
    projector.update(resources, {PLANE: frozenset(), OTHER: frozenset({"default/gateway"})})
    assert projector.planes[PLANE].size() == 0
    assert projector.planes[OTHER].size() == 4
    projector.update(resources, {OTHER: frozenset({"default/gateway"})})
    assert list(projector.planes) == [OTHER]


def test_the_same_content_has_the_same_version_everywhere() -> None:
    first, second = Projector(), Projector()
    first.update(state(*simple("a", "b")), GATEWAYS)
    second.update(state(*simple("a")), GATEWAYS)
    second.update(state(*simple("b", "a")), GATEWAYS)
    for section, table in first.planes[PLANE].tables.items():
        assert {name: item.version for name, item in table.items()} == {
            name: item.version for name, item in second.planes[PLANE].tables[section].items()
        }


class Asking(ir.PolicyBase, frozen=True, kw_only=True, tag="asking"):
    """A policy that asks a backend."""

    backend: str

    def needs(self) -> Iterable[ir.Need]:
        return (("backends", self.backend),)


#: Those that ask a backend; no backend names them, or uses would go in circles.
ASKING = ("p2", "p3")


def some_policies(chance: random.Random, *more: str) -> tuple[str, ...]:
    return tuple(chance.sample(["p0", "p1", *more], chance.choice((0, 0, 1, 2))))


def some_state(chance: random.Random) -> dict[str, dict[str, Any]]:
    """Resources that lead to each other, some of them missing."""
    found: dict[str, dict[str, Any]] = {kind: {} for kind in RESOURCE_KINDS}
    certificates, trusts = [f"c{n}" for n in range(4)], [f"t{n}" for n in range(4)]
    listeners = [
        listener(
            f"g/{gateway}", str(number), **tls(chance.choice(certificates)), policies=some_policies(chance, *ASKING)
        )
        for gateway in "abcd"
        for number in range(2)
        if chance.random() < 0.8
    ]
    backends = [f"n/s{number}:80" for number in range(5)]
    for item in listeners:
        found["listeners"][item.id] = item
    together = [
        attachment(str(number), *chance.sample(of, chance.randint(1, len(of))))
        for gateway in "abcd"
        if (of := [item for item in listeners if item.gateway == f"g/{gateway}"])
        for number in range(2)
    ]
    found["attachments"] = {item.id: item for item in together if chance.random() < 0.8}
    for number in range(8):
        if listeners and chance.random() < 0.8:
            on = chance.sample(listeners, chance.randint(0, min(3, len(listeners))))
            all_at_once = chance.sample(together, chance.choice((0, 1, min(2, len(together)))))
            named = chance.sample(backends, chance.randint(0, 2))
            item = rule(
                f"r{number}",
                *on,
                attachments=tuple(each.id for each in all_at_once),
                backends=named,
                policies=some_policies(chance, *ASKING),
            )
            found["http_rules"][item.id] = item
    for name in backends:
        if chance.random() < 0.8:
            found["backends"][name] = ir.Backend(id=name, policies=some_policies(chance))
        for port in range(2):
            if chance.random() < 0.6:
                part = endpoint(name, port)
                found["endpoints"][part.id] = part
    for number in range(4):
        if chance.random() < 0.8:
            name = f"p{number}"
            trust, backend = chance.choice(trusts), chance.choice(backends)
            asking = Asking(id=name, backend=backend)
            found["policies"][name] = asking if name in ASKING else ir.BackendTls(id=name, hostname="h", trust=(trust,))
    for name in certificates:
        if chance.random() < 0.8:
            found["certificates"][name] = ir.Certificate(id=name, chain=str(chance.randint(0, 3)), key="")
    for name in trusts:
        if chance.random() < 0.8:
            found["trust"][name] = ir.Trust(id=name, pem=str(chance.randint(0, 3)))
    return found


def some_planes(chance: random.Random) -> Mapping[PlaneKey, frozenset[str]]:
    gateways = ["g/a", "g/b", "g/c", "g/d"]
    chance.shuffle(gateways)
    cut = chance.randint(0, 4)
    planes = {("n", "one"): frozenset(gateways[:cut]), ("n", "two"): frozenset(gateways[cut:])}
    return planes if chance.random() < 0.8 else dict(list(planes.items())[:1])


@pytest.mark.parametrize("seed", range(30))
def test_step_by_step_comes_to_the_same_as_at_once(seed: int) -> None:
    chance = random.Random(seed)
    projector, owner = Projector(), object()
    before: dict[str, dict[str, Any]] = {kind: {} for kind in RESOURCE_KINDS}
    held: dict[PlaneKey, dict[tuple[str, str], str]] = {}
    for serial in range(25):
        tables = some_state(chance)
        for kind, table in tables.items():
            for name, value in table.items():
                if before[kind].get(name) == value:
                    table[name] = before[kind][name]
        changed = {
            kind: frozenset(
                name for name in before[kind].keys() | table.keys() if before[kind].get(name) is not table.get(name)
            )
            for kind, table in tables.items()
        }
        before = tables
        step = State(**tables, serial=serial, base=serial - 1, changed=changed, owner=owner)
        planes = some_planes(chance)
        told = projector.update(step, planes)
        afresh = Projector()
        afresh.update(State(**tables), planes)
        assert projector.planes.keys() == afresh.planes.keys()
        held = {key: held.get(key, {}) for key in planes}
        for key, plane in projector.planes.items():
            for section, table in plane.tables.items():
                assert table == afresh.planes[key].tables[section], (seed, serial, section)
            assert plane.uses == afresh.planes[key].uses
            assert plane.cost == afresh.planes[key].cost
            # What was told to have changed is what a pod needs to be told.
            for section, ids in told.get(key, {}).items():
                for name in ids:
                    item = plane.tables[section].get(name)
                    if item is None:
                        held[key].pop((section, name))
                    else:
                        held[key][section, name] = item.version
            assert held[key] == {
                (section, name): item.version for section, table in plane.tables.items() for name, item in table.items()
            }
