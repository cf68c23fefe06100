"""Identity providers that are away: what a process makes of its engine's words, and the statuses of policies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from system_manifests import dump, gateway, listener, policy, route, rule, service, target

from sluicegate.controller.api import ObjectKey
from sluicegate.controller.stream.protocol import MAX_AWAY, KeysOutcome, PlaneReport, read_report, report_request
from sluicegate.controller.stream.reports import PodReport, Said, merged
from sluicegate.controller.translate import ApplyReport, PolicyStatus, Translation
from sluicegate.controller.translate.apply_report import KeysAway
from sluicegate.controller.translate.infrastructure.plane import DataPlane
from sluicegate.engine.delivery import Delivery
from sluicegate.engine.native import KeySetState
from sluicegate.processes.provider_keys import Away, ProviderKeys
from sluicegate.processes.translation_delivery import TranslationDelivery
from sluicegate.testing.offline import load_offline

LOGIN, OTHER = "default/login:80/keys", "default/login:80/other"
TYPE = "sluicegate.dev/ProviderKeysUnavailable"
PLANES = {
    f"system/{name}": DataPlane("system", name, (ObjectKey("Gateway", "default", name),)) for name in ("one", "two")
}


def by_token(name: str, *paths: str) -> list[dict[str, object]]:
    providers = [
        {
            "name": path,
            "issuer": f"https://{path}.test",
            "audiences": ["*"],
            "keys": {"backendRef": {"name": "login", "port": 80}, "path": f"/{path}"},
        }
        for path in paths
    ]
    parents = [{"name": "one"}, {"name": "two"}]
    return [
        route(rule(f"/{name}", "app"), name=name, parents=parents),
        policy("AccessPolicy", name, target("HTTPRoute", name), jwt={"providers": providers}),
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Translation:
    path: Path = tmp_path_factory.mktemp("world") / "all.yaml"
    path.write_text(
        dump(
            gateway(listener(port=8080), name="one"),
            gateway(listener(port=8081), name="two"),
            *by_token("login", "keys"),
            *by_token("both", "keys", "other"),
            *by_token("other", "other"),
            *service("app", ("10.0.0.1", 80)),
            *service("login", ("10.0.0.2", 80)),
        )
    )
    found = load_offline([str(path)])
    assert [item for item in found.diagnostics() if item.severity == "error"] == []
    return replace(found.translation, infrastructure=PLANES)


def told(translation: Translation, name: str) -> dict[str, tuple[str, str]]:
    """Reason and message by Gateway, where a policy has the condition."""
    status = translation.statuses[ObjectKey("AccessPolicy", "default", name)]
    assert isinstance(status, PolicyStatus)
    assert [item.ancestor_ref.name for item in status.ancestors] == ["one", "two"]
    return {
        entry.ancestor_ref.name: (condition.reason, condition.message)
        for entry in status.ancestors
        for condition in entry.conditions
        if condition.type == TYPE and condition.status == "True"
    }


def report(*away: KeysAway) -> ApplyReport:
    return ApplyReport(1, away=away)


def test_who_has_no_keys(world: Translation) -> None:
    found = world.with_report(report(KeysAway(LOGIN, False)))
    text = f"{LOGIN} has given no keys that are younger than a day; tokens of it are answered 503"
    assert told(found, "login") == {"one": ("NoKeys", text), "two": ("NoKeys", text)}
    assert told(found, "both") == told(found, "login")
    assert told(found, "other") == {}


def test_the_gateways_of_the_data_plane_alone(world: Translation) -> None:
    found = world.with_report(report(KeysAway(LOGIN, True, "system/two", "two-7f"), KeysAway(OTHER, False, "gone/x")))
    text = (
        f"{LOGIN} does not answer; the keys that it gave before verify on, for a day at most "
        "(pod two-7f, whose log says why)"
    )
    assert told(found, "login") == {"two": ("KeysOutOfDate", text)}
    assert told(found, "other") == {}


def test_the_gravest_is_told_first(world: Translation) -> None:
    found = told(world.with_report(report(KeysAway(LOGIN, True), KeysAway(OTHER, False))), "both")
    reason, message = found["one"]
    assert reason == "NoKeys"
    assert message.index(OTHER) < message.index(LOGIN)


def test_each_step_is_as_one_that_begins_anew(world: Translation) -> None:
    steps: list[tuple[tuple[KeysAway, ...], set[str]]] = [
        ((), set()),
        ((KeysAway(LOGIN, False),), {"login", "both"}),
        ((KeysAway(LOGIN, False),), set()),
        ((KeysAway(LOGIN, True),), {"login", "both"}),
        ((KeysAway(LOGIN, True), KeysAway(OTHER, True)), {"both", "other"}),
        ((KeysAway(OTHER, True),), {"login", "both"}),
        ((), {"both", "other"}),
    ]
    before = world.with_report(report())
    for away, changed in steps:
        now = world.with_report(report(*away), before=before)
        assert now.statuses == world.with_report(report(*away)).statuses, away
        assert {key.name for key in now.changed if key.kind == "AccessPolicy"} == changed, away
        before = now


def test_pods_of_a_plane_are_told_as_one() -> None:
    def pod(name: str, *away: KeysOutcome) -> PodReport:
        return PodReport(name, PlaneReport((), away))

    pods = {
        ("a", "plane"): (pod("a", KeysOutcome("x", True)), pod("b", KeysOutcome("x", False)), pod("c")),
        ("b", "plane"): (pod("d", KeysOutcome("y", True)), pod("e", KeysOutcome("y", True))),
    }
    found = merged(Said({("a", "plane"): {}, ("b", "plane"): {}}, pods)).away
    assert found == (KeysAway("x", False, "a/plane", "b"), KeysAway("y", True, "b/plane", "d"))


def test_a_report_is_cut_to_its_limits() -> None:
    sent = PlaneReport((), tuple(KeysOutcome(f"{number}" + "x" * 5_000, True) for number in range(3_000)))
    found = read_report(report_request(sent)).away
    assert len(found) == MAX_AWAY
    assert {len(item.source) for item in found} == {1_024}


def state(source: str, keys: int, failures: int) -> KeySetState:
    error = "it answers 500" if failures else None
    return KeySetState(source, keys, ["one"] * keys, [], 7 if keys else None, failures, error)


def test_a_provider_is_away_until_it_has_given_keys() -> None:
    """Whatever was seen before: what an engine tells once may be lost."""
    keys = ProviderKeys()
    for states, away in (
        ([], ()),
        ([state("a", 2, 0)], ()),
        ([state("b", 0, 0), state("a", 2, 1)], (Away("a", True),)),
        ([state("a", 2, 3)], (Away("a", True),)),
        # Older than a day.
        ([state("a", 0, 9), state("B", 0, 1)], (Away("B", False), Away("a", False))),
        ([state("a", 2, 0)], ()),
        # Nobody names it any more.
        ([state("a", 0, 1)], (Away("a", False),)),
        ([], ()),
    ):
        before = keys.away
        assert keys.look(states) is (away != before)
        assert keys.away == away


def test_the_engine_of_a_process_that_serves_a_cluster_itself(world: Translation) -> None:
    engine = SimpleNamespace(listeners={}, generation=1)
    found = TranslationDelivery(cast("Delivery", engine), lambda: [Away(LOGIN, False)]).reported(world)
    assert {name: reason for name, (reason, _) in told(found, "login").items()} == {"one": "NoKeys", "two": "NoKeys"}
