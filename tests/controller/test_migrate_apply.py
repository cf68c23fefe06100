"""`sluicegate migrate --apply` where it does not go well: no rights, others who write meanwhile, half of it written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_migrate_cluster import GATEWAYS, INGRESSES, POLICIES, ROUTES, Cluster, cluster, ingress, manifest, run

from sluicegate.cli.migration_apply import plan, write
from sluicegate.controller.sources.kubernetes.access import Configuration
from sluicegate.controller.sources.kubernetes.client import Client

ROUTE = "/httproutes/web-web.example.com"


def protected(it: Cluster) -> None:
    """The Ingress asks for a password, so that a policy comes before its routes."""
    it.server.put(INGRESSES, ingress(auth_type="basic", auth_secret="users"))


@pytest.mark.parametrize(("right", "path"), [("patch", ROUTE), ("get", ROUTE)])
def test_without_the_rights_nothing_is_written(tmp_path: Path, right: str, path: str) -> None:
    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            if right == "patch":
                it.server.refusals[path] = (403, "User cannot patch resource httproutes")
            else:
                it.server.forbidden.add(f"/apis/gateway.networking.k8s.io/v1/namespaces/shop{path}")
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert (ended.status, it.server.writes) == (1, [])
            (line,) = [line for line in ended.out.splitlines() if line.startswith("error: HTTPRoute/")]
            assert "whoever runs this needs the right to `get` and `patch` it" in line
            assert "Nothing is written: 1 object of " in ended.out

    run(scenario())


def test_half_of_it_written_is_told_and_the_next_run_does_the_rest(tmp_path: Path) -> None:
    """Rights that are lost between the trial and the writing; then a run that ends it, and one with nothing to do."""

    async def scenario() -> None:
        async with cluster(tmp_path) as it:
            protected(it)
            it.server.real_refusals["/gateways/nginx"] = (500, "etcd is away")
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert ended.status == 1
            assert "AccessPolicy/shop/web created" in ended.out
            assert "error: Gateway/shop/nginx: " in ended.out
            assert "not written: Gateway/shop/nginx could not be, which comes before routes" in ended.out
            assert not it.server.objects[ROUTES]
            assert "HTTPRoute" not in it.written()
            it.server.real_refusals.clear()
            before = len(it.server.writes)
            ended = await it.migrate("--kubernetes", "--apply", "--yes")
            assert ended.status in {0, 3}, ended.out
            assert it.written()[before:] == ["Gateway", "HTTPRoute", "HTTPRoute"]
            before = len(it.server.writes)
            report = json.loads((await it.migrate("--kubernetes", "--apply", "--yes", "-o", "json")).out)
            assert {item["action"] for item in report["applied"]} == {"none"}
            assert len(it.server.writes) == before
            assert "Nothing is to be written" in (await it.migrate("--kubernetes", "--apply", "--yes")).out

    run(scenario())


def test_what_others_made_meanwhile_is_left(tmp_path: Path) -> None:
    """It was not there when the diff was shown, so nobody has agreed to change it."""

    async def scenario() -> None:
        async with cluster(tmp_path) as it, Client(Configuration(host=it.server.url)) as client:
            steps = await plan(client, [manifest("AccessPolicy", "a"), manifest("HTTPRoute", "r")])
            assert [step.outcome.action for step in steps] == ["create", "create"]
            other = {"apiVersion": "sluicegate.dev/v1alpha1", "kind": "AccessPolicy", "spec": {"other": 5}}
            it.server.put(POLICIES, {**other, "metadata": {"name": "a", "namespace": "shop", "uid": "x"}})
            done = {step.key.kind: step.outcome for step in await write(client, steps)}
            assert "somebody made it since it was shown" in done["AccessPolicy"].error
            assert "AccessPolicy/shop/a could not be" in done["HTTPRoute"].error
            assert it.server.objects[POLICIES]["shop", "a"]["spec"] == {"other": 5}
            assert it.server.writes == []

    run(scenario())


def test_a_cluster_that_goes_away_while_it_is_written(tmp_path: Path) -> None:
    """What was written before is told, and nobody is left without a word."""

    async def scenario() -> None:
        async with cluster(tmp_path) as it, Client(Configuration(host=it.server.url)) as client:
            steps = await plan(
                client, [manifest("AccessPolicy", "a"), manifest("Gateway", "g"), manifest("HTTPRoute", "r")]
            )
            it.server.breaks_before = "/gateways/g"
            done = {step.key.kind: step.outcome for step in await write(client, steps)}
            assert (done["AccessPolicy"].written, done["Gateway"].written, done["HTTPRoute"].written) == (
                True,
                False,
                False,
            )
            assert done["Gateway"].error.startswith("GET /apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways/g")
            assert not it.server.objects[GATEWAYS]

    run(scenario())
