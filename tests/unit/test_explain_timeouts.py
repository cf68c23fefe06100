"""`sluicegate explain` says how long the rule waits for its backends, and how often it asks them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from system_manifests import Manifest, backend_policy, dump, gateway, route, rule, service

Explain = Callable[..., tuple[int, str]]

WHOLE = {"timeouts": {"request": "1m30s", "backendRequest": "1500ms"}}
RETRY = {"retry": {"codes": [502, 503], "attempts": 3, "backoff": "250ms"}}
ALLOWED = backend_policy("own", "app", retries={"methods": ["POST"], "within": "5s"})


@pytest.fixture
def of_rule(explain: Explain, tmp_path: Path) -> Callable[..., tuple[list[str], Manifest]]:
    """The lines about timeouts and retries of one rule, and what is written for programs."""

    def run(spec: Manifest, *manifests: Manifest, method: str = "GET") -> tuple[list[str], Manifest]:
        world = (gateway(), route({**rule("/", "app"), **spec}), *service("app", ("10.0.0.1", 80)), *manifests)
        (tmp_path / "world.yaml").write_text(dump(*world))
        asked = (tmp_path, "--request", f"{method} http://a.test:8080/")
        lines = [line.strip() for line in explain(*asked)[1].splitlines()]
        document = json.loads(explain(*asked, "--output", "json")[1])
        found = {name: document[name] for name in ("timeouts", "retry")}
        return [line for line in lines if line.startswith(("timeouts ", "retry "))], found

    return run


@pytest.mark.parametrize(
    ("spec", "lines", "timeouts", "retry"),
    [
        ({}, [], None, None),
        (
            WHOLE,
            ["timeouts  request 90s, backendRequest 1500ms"],
            {"request_ms": 90_000, "backend_request_ms": 1500},
            None,
        ),
        (
            {"timeouts": {"request": "0s", "backendRequest": "2s"}},
            ["timeouts  backendRequest 2s"],
            {"request_ms": None, "backend_request_ms": 2000},
            None,
        ),
        (
            RETRY,
            ["retry     attempts 3, codes 502, 503, backoff 250ms"],
            None,
            {"attempts": 3, "codes": [502, 503], "backoff_ms": 250, "within_ms": None, "is_repeatable": True},
        ),
        (
            {"retry": {"attempts": 0}},
            ["retry     attempts 0: it is sent once"],
            None,
            {"attempts": 0, "codes": [], "backoff_ms": 25, "within_ms": None, "is_repeatable": True},
        ),
    ],
    ids=["none", "timeouts", "one-of-them", "retry", "no-attempt"],
)
def test_what_a_rule_says(
    of_rule: Callable[..., tuple[list[str], Manifest]],
    spec: Manifest,
    lines: list[str],
    timeouts: Manifest | None,
    retry: Manifest | None,
) -> None:
    assert of_rule(spec) == (lines, {"timeouts": timeouts, "retry": retry})


def test_a_method_that_is_not_repeated(of_rule: Callable[..., tuple[list[str], Manifest]]) -> None:
    lines, found = of_rule(RETRY, method="POST")
    assert lines == [
        "retry     attempts 3, codes 502, 503, backoff 250ms,"
        " only of connections that fail: POST is sent once, unless a BackendPolicy names it"
    ]
    assert found["retry"]["is_repeatable"] is False


def test_what_the_policy_of_the_backend_says_of_it(of_rule: Callable[..., tuple[list[str], Manifest]]) -> None:
    lines, found = of_rule(RETRY, ALLOWED, method="POST")
    assert lines == ["retry     attempts 3, codes 502, 503, backoff 250ms, within 5s"]
    assert (found["retry"]["is_repeatable"], found["retry"]["within_ms"]) == (True, 5000)
