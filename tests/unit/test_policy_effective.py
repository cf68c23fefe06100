"""Which policies hold at a place: the examples of GEP-713, and rules that hold for any hierarchy."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate import ir
from sluicegate.controller.api import ObjectKey
from sluicegate.controller.translate.policies.effective import (
    Place,
    Provenance,
    Source,
    Stanza,
    Target,
    effective,
    level_of,
    names,
)
from sluicegate.ir.join import join

GATEWAY = Target("Gateway", "infra", "edge")
LISTENER = GATEWAY._replace(section="https")
SET = Target("ListenerSet", "shop", "names")
OF_SET = SET._replace(section="https")
ROUTE = Target("HTTPRoute", "shop", "cart")
RULE = ROUTE._replace(section="pay")
SERVICE = Target("Service", "shop", "cart")
PORT = SERVICE._replace(section="web")

OF_GATEWAY: Place = (GATEWAY, LISTENER, ROUTE, RULE)
BY_SET: Place = (GATEWAY, SET, OF_SET, ROUTE, RULE)
TIGHTENS = frozenset({"allow"})


def key(name: str) -> ObjectKey:
    return ObjectKey("TestPolicy", "n", name)


def policy(
    name: str, *targets: Target, created: int = 1, overrides: bool = False, off: str = "", stanzas: str = "limit"
) -> Source:
    found = {word: Stanza(f"{name}/{word}", word in off.split()) for word in stanzas.split()}
    return Source(key(name), created, targets, found, overrides)


def held(policies: list[Source], place: Place) -> dict[str, list[str]]:
    found, _ = effective(policies, place, TIGHTENS)
    return {word: [item.id for item in items] for word, items in found.items()}


# --- Examples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policies", "place", "expected"),
    [
        pytest.param([policy("a", GATEWAY)], OF_GATEWAY, {"limit": ["a/limit"]}, id="inherited"),
        pytest.param([policy("a", GATEWAY), policy("b", ROUTE)], OF_GATEWAY, {"limit": ["b/limit"]}, id="lower"),
        pytest.param([policy("a", ROUTE), policy("b", RULE)], OF_GATEWAY, {"limit": ["b/limit"]}, id="rule"),
        pytest.param([policy("a", LISTENER), policy("b", GATEWAY)], OF_GATEWAY, {"limit": ["a/limit"]}, id="listener"),
        pytest.param([policy("a", GATEWAY), policy("b", SET)], BY_SET, {"limit": ["b/limit"]}, id="set below gateway"),
        pytest.param([policy("a", LISTENER)], BY_SET, {}, id="a listener of the gateway is none of the set"),
        pytest.param([policy("a", SERVICE), policy("b", PORT)], (SERVICE, PORT), {"limit": ["b/limit"]}, id="port"),
        # GEP-713, "Merge strategies": what is not said lower stays.
        pytest.param(
            [policy("a", GATEWAY, stanzas="limit auth"), policy("b", ROUTE)],
            OF_GATEWAY,
            {"auth": ["a/auth"], "limit": ["b/limit"]},
            id="stanza by stanza",
        ),
        pytest.param(
            [policy("a", GATEWAY, overrides=True), policy("b", ROUTE)],
            OF_GATEWAY,
            {"limit": ["a/limit"]},
            id="overrides",
        ),
        pytest.param(
            [policy("a", LISTENER, overrides=True), policy("b", GATEWAY, overrides=True), policy("c", RULE)],
            OF_GATEWAY,
            {"limit": ["b/limit"]},
            id="of overrides the highest",
        ),
        pytest.param(
            [policy("a", GATEWAY), policy("b", LISTENER, overrides=True), policy("c", ROUTE)],
            OF_GATEWAY,
            {"limit": ["b/limit"]},
            id="an override below a default",
        ),
        pytest.param(
            [policy("a", GATEWAY), policy("b", ROUTE, overrides=True), policy("c", RULE)],
            OF_GATEWAY,
            {"limit": ["c/limit"]},
            id="a route overrides nothing",
        ),
        pytest.param([policy("a", GATEWAY), policy("b", ROUTE, off="limit")], OF_GATEWAY, {}, id="off"),
        pytest.param(
            [policy("a", GATEWAY, overrides=True), policy("b", ROUTE, off="limit")],
            OF_GATEWAY,
            {"limit": ["a/limit"]},
            id="off against an override",
        ),
        pytest.param(
            [policy("a", ROUTE, off="limit"), policy("b", RULE)], OF_GATEWAY, {"limit": ["b/limit"]}, id="on again"
        ),
        pytest.param(
            [policy("b", ROUTE, created=1), policy("a", ROUTE, created=2)],
            OF_GATEWAY,
            {"limit": ["b/limit"]},
            id="the older",
        ),
        pytest.param([policy("b", ROUTE), policy("a", ROUTE)], OF_GATEWAY, {"limit": ["a/limit"]}, id="then by name"),
        pytest.param(
            [policy("b", ROUTE, created=1), policy("a", ROUTE, created=2, stanzas="limit auth")],
            OF_GATEWAY,
            {"auth": ["a/auth"], "limit": ["b/limit"]},
            id="the younger one's other stanzas",
        ),
        pytest.param(
            [policy("a", GATEWAY, overrides=True, stanzas="allow"), policy("b", ROUTE, stanzas="allow")],
            OF_GATEWAY,
            {"allow": ["a/allow", "b/allow"]},
            id="tightened",
        ),
        pytest.param(
            [policy("a", GATEWAY, stanzas="allow"), policy("b", ROUTE, stanzas="allow")],
            OF_GATEWAY,
            {"allow": ["b/allow"]},
            id="a default is replaced all the same",
        ),
        pytest.param(
            [policy("a", GATEWAY, overrides=True, stanzas="allow"), policy("b", ROUTE, off="allow", stanzas="allow")],
            OF_GATEWAY,
            {"allow": ["a/allow"]},
            id="what only tightens cannot be off against an override",
        ),
    ],
)
def test_what_holds(policies: list[Source], place: Place, expected: dict[str, list[str]]) -> None:
    assert held(policies, place) == expected


def test_where_each_stanza_comes_from() -> None:
    policies = [
        policy("gateway", GATEWAY, stanzas="limit auth"),
        policy("route", ROUTE),
        policy("younger", ROUTE, created=2, stanzas="limit auth"),
        policy("elsewhere", Target("HTTPRoute", "shop", "other")),
    ]
    _, found = effective(policies, OF_GATEWAY)
    assert found == {
        "auth": Provenance(holds=(key("younger"),), replaced={key("gateway"): key("younger")}),
        "limit": Provenance(
            holds=(key("route"),),
            replaced={key("gateway"): key("route")},
            conflicted={key("younger"): key("route")},
        ),
    }


def test_who_switched_it_off() -> None:
    _, found = effective([policy("a", GATEWAY), policy("b", ROUTE, off="limit")], OF_GATEWAY)
    assert (found["limit"].holds, found["limit"].off) == ((key("b"),), key("b"))


def test_names_are_in_the_order_in_which_stanzas_act() -> None:
    policies = [policy("a", ROUTE, stanzas="auth limit"), policy("b", ROUTE, off="cors", stanzas="cors")]
    # What is off is named: the engine joins it with what the listener names.
    assert names([level_of(policies, ROUTE)], ("cors", "limit", "auth")) == ("b/cors", "a/limit", "a/auth")


# --- Any hierarchy ------------------------------------------------------------------------------------------------

#: Hierarchies for each rule; more for a search: TEST_EXAMPLES=3000.
EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "300"))

LEVELS = (GATEWAY, LISTENER, SET, OF_SET, ROUTE, RULE)
WORDS = ("limit", "auth", "allow")

sources = st.lists(
    st.builds(
        lambda created, targets, stanzas, overrides: (created, targets, stanzas, overrides),
        st.integers(1, 3),
        st.lists(st.sampled_from(LEVELS), min_size=1, max_size=2, unique=True),
        st.dictionaries(st.sampled_from(WORDS), st.booleans(), min_size=1),
        st.booleans(),
    ),
    max_size=7,
).map(
    lambda items: [
        Source(key(f"p{number}"), created, tuple(targets), _stanzas(number, words), overrides)
        for number, (created, targets, words, overrides) in enumerate(items)
    ]
)


def _stanzas(number: int, words: Mapping[str, bool]) -> dict[str, Stanza]:
    return {word: Stanza(f"p{number}/{word}", off) for word, off in words.items()}


places = st.sampled_from((OF_GATEWAY, BY_SET, (GATEWAY, LISTENER), (GATEWAY, SET, OF_SET), (ROUTE, RULE)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(sources, places, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(policies: list[Source], place: Place, chance: random.Random) -> None:
    shuffled = list(policies)
    chance.shuffle(shuffled)
    assert effective(policies, place, TIGHTENS) == effective(shuffled, place, TIGHTENS)


@settings(max_examples=EXAMPLES, deadline=None)
@given(sources, places)
def test_each_stanza_of_each_policy_has_one_fate(policies: list[Source], place: Place) -> None:
    found, provenance = effective(policies, place, TIGHTENS)
    for word in WORDS:
        have = {item.key for item in policies if word in item.stanzas and set(item.targets) & set(place)}
        assert (word in provenance) == bool(have)
        if not have:
            assert word not in found
            continue
        fate = provenance[word]
        told = [*fate.holds, *fate.replaced, *fate.conflicted]
        assert len(told) == len(set(told))
        assert set(told) == have
        # Who lost is told to whom: to one that holds, or that was older on the same target.
        assert set(fate.replaced.values()) <= set(fate.holds)
        by_key = {item.key: item for item in policies}
        for loser, winner in fate.conflicted.items():
            assert set(by_key[loser].targets) & set(by_key[winner].targets)
            assert by_key[winner].precedence < by_key[loser].precedence
        if fate.off is not None:
            assert fate.holds == (fate.off,)
            assert word not in found
        else:
            assert [item.id for item in found[word]] == [by_key[item].stanzas[word].id for item in fate.holds]
            assert not any(item.off for item in found[word])
            assert len(fate.holds) == 1 or word in TIGHTENS


class Limit(ir.StanzaBase, frozen=True, kw_only=True):
    """A stanza that replaces the same one set higher."""

    kind: ClassVar[str] = "TestPolicy"
    stanza: ClassVar[str] = "limit"


class Auth(ir.StanzaBase, frozen=True, kw_only=True):
    """Another one."""

    kind: ClassVar[str] = "TestPolicy"
    stanza: ClassVar[str] = "auth"


class Allow(ir.StanzaBase, frozen=True, kw_only=True):
    """A stanza that can only be tightened."""

    kind: ClassVar[str] = "TestPolicy"
    stanza: ClassVar[str] = "allow"
    tightens: ClassVar[bool] = True


KINDS: dict[str, type[ir.StanzaBase]] = {kind.stanza: kind for kind in (Limit, Auth, Allow)}


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order in which the stanzas of these tests act."""
    for rank, kind in enumerate(KINDS.values()):
        monkeypatch.setitem(ir.RANKS, kind, rank)


@pytest.mark.usefixtures("ranked")
@settings(max_examples=10 * EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sources, st.sampled_from((OF_GATEWAY, BY_SET)))
def test_what_a_listener_and_a_rule_name_joins_to_the_whole(policies: list[Source], place: Place) -> None:
    """The two parts are merged apart, and what routers join of what they name is what holds at the whole place."""
    resources = {
        item.id: KINDS[word](id=item.id, off=item.off, overrides=source.overrides)
        for source in policies
        for word, item in source.stanzas.items()
    }

    def named(part: Place) -> list[ir.StanzaBase]:
        return [resources[item] for item in names([level_of(policies, target) for target in part], WORDS, TIGHTENS)]

    found: dict[str, list[str]] = {}
    for item in join(named(place[:-2]), named(place[-2:])):
        found.setdefault(item.stanza, []).append(item.id)
    assert found == held(policies, place)
