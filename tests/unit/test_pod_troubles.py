"""Pods that cannot start are told from what their Deployment says; a healthy start is not called trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sluicegate.controller.api import ObjectKey
from sluicegate.controller.provision import pods
from sluicegate.controller.provision.pods import UNAVAILABLE_SECONDS, PodTroubles, Trouble, trouble_of
from sluicegate.controller.store.store import Delete, Init, InitDone
from sluicegate.controller.translate.infrastructure.plane import DataPlane

NAME = "sluicegate.dev/controller"
KEY = ObjectKey("Deployment", "prod", "edge-sluicegate")
GATEWAY = ObjectKey("Gateway", "prod", "edge")
LOOK = "Look with `kubectl describe pods -n prod -l app.kubernetes.io/instance=edge-sluicegate`"

QUOTA = ("ReplicaFailure", "True", "FailedCreate", 'pods "edge-a" is forbidden: exceeded quota: q')
STARTING = ("Progressing", "True", "ReplicaSetUpdated", 'ReplicaSet "edge-a" is progressing.')
LATE = ("Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "edge-a" has timed out progressing.')
COMPLETE = ("Progressing", "True", "NewReplicaSetAvailable", 'ReplicaSet "edge-a" has successfully progressed.')
LACKING = ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
ENOUGH = ("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")


def deployment(*conditions: tuple[str, str, str, str], available: int = 0, controller: str = NAME) -> dict[str, Any]:
    names = ("type", "status", "reason", "message")
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "edge-sluicegate",
            "namespace": "prod",
            "labels": {"app.kubernetes.io/managed-by": "sluicegate"},
            "annotations": {"sluicegate.dev/controller-name": controller},
        },
        "status": {
            "conditions": [dict(zip(names, item, strict=True)) for item in conditions],
            **({"availableReplicas": available} if available else {}),
        },
    }


@pytest.mark.parametrize(
    ("conditions", "available", "expected"),
    [
        ((), 0, None),
        ((LACKING, STARTING), 0, None),
        ((ENOUGH, COMPLETE), 1, None),
        (
            (LACKING, QUOTA, STARTING),
            0,
            Trouble(f"Deployment prod/edge-sluicegate cannot make its pods: {QUOTA[3]}", serving=False),
        ),
        (
            (LACKING, LATE),
            0,
            Trouble(f"Deployment prod/edge-sluicegate has pods that do not start: {LATE[3]} {LOOK}", serving=False),
        ),
        (
            (ENOUGH, LATE),
            2,
            Trouble(f"Deployment prod/edge-sluicegate has pods that do not start: {LATE[3]} {LOOK}", serving=True),
        ),
        (
            (LACKING, COMPLETE),
            0,
            Trouble(f"Deployment prod/edge-sluicegate has lost pods: {LACKING[3]} {LOOK}", False, UNAVAILABLE_SECONDS),
        ),
    ],
)
def test_what_the_conditions_say(conditions: Any, available: int, expected: Trouble | None) -> None:
    assert trouble_of(deployment(*conditions, available=available)) == expected


class Bench:
    def __init__(self) -> None:
        self.changes = asyncio.Event()
        self.events: list[tuple[ObjectKey, str, str, str]] = []
        self.troubles = PodTroubles(NAME, changed=self.changes.set, tell=lambda *what: self.events.append(what))
        self.troubles.want({"prod/edge-sluicegate": DataPlane("prod", "edge-sluicegate", (GATEWAY,))})
        self.troubles.lead(True)

    def seen(self, *conditions: tuple[str, str, str, str], **values: Any) -> None:
        self.troubles.seen("Deployment", deployment(*conditions, **values))

    @property
    def failure(self) -> str:
        return self.troubles.failures.get(GATEWAY, "")


def run(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def scenario() -> None:
        await test(Bench())

    asyncio.run(scenario())


def test_a_healthy_start_says_nothing() -> None:
    async def scenario(it: Bench) -> None:
        it.seen()
        it.seen(STARTING, LACKING)
        it.seen(STARTING, LACKING, available=0)
        it.seen(COMPLETE, ENOUGH, available=1)
        assert not it.events
        assert not it.changes.is_set()

    run(scenario)


def test_pods_that_cannot_be_made_are_told_once_and_forgotten_once_they_run() -> None:
    async def scenario(it: Bench) -> None:
        it.seen(STARTING, LACKING, QUOTA)
        it.seen(STARTING, LACKING, QUOTA)
        assert it.failure.endswith("exceeded quota: q")
        [event] = it.events
        assert event[:3] == (GATEWAY, "Warning", "PodsNotReady")
        it.seen(COMPLETE, ENOUGH, available=1)
        assert not it.failure

    run(scenario)


def test_a_roll_out_that_fails_while_others_serve_is_an_event_alone() -> None:
    async def scenario(it: Bench) -> None:
        it.seen(ENOUGH, LATE, available=1)
        assert len(it.events) == 1
        assert not it.failure
        it.seen(LACKING, LATE)
        assert "timed out" in it.failure
        assert len(it.events) == 1

    run(scenario)


def test_pods_that_are_away_for_a_moment_are_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(it: Bench) -> None:
        it.seen(LACKING, COMPLETE)
        it.seen(ENOUGH, COMPLETE, available=1)
        assert not it.troubles._timers
        monkeypatch.setattr(pods, "UNAVAILABLE_SECONDS", 0.01)
        it.seen(LACKING, COMPLETE)
        assert not it.failure
        await asyncio.wait_for(it.changes.wait(), 5)
        assert "has lost pods" in it.failure

    run(scenario)


def test_only_ours_that_are_there_and_planned_count() -> None:
    async def scenario(it: Bench) -> None:
        it.seen(LACKING, LATE, controller="example.com/other")
        assert not it.failure
        for away in ([Delete(KEY)], [Init("Deployment"), InitDone("Deployment")]):
            it.seen(LACKING, LATE)
            assert it.failure
            for event in away:
                it.troubles.handle(event)
            assert not it.failure
        it.seen(LACKING, LATE)
        it.troubles.want({})
        assert not it.failure

    run(scenario)


def test_who_does_not_lead_tells_no_events() -> None:
    async def scenario(it: Bench) -> None:
        it.troubles.lead(False)
        it.seen(LACKING, LATE)
        assert not it.events
        it.troubles.lead(True)
        assert len(it.events) == 1

    run(scenario)
