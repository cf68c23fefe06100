"""The installation grants what the controller asks for, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from sluicegate.controller.kube.resources import BY_KIND, WATCHED
from sluicegate.controller.status.writer import KINDS

DEPLOY = Path(__file__).parents[2] / "deploy" / "node"


def objects() -> list[dict[str, Any]]:
    names = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in DEPLOY.glob("*.yaml")} == {*names, "kustomization.yaml"}
    return [item for name in names for item in yaml.safe_load_all((DEPLOY / name).read_text())]


def granted(verb: str) -> set[tuple[str, str]]:
    [role] = [item for item in objects() if item["kind"] == "ClusterRole"]
    return {
        (group, resource)
        for rule in role["rules"]
        if verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def group_of(version: str) -> str:
    return version.rpartition("/")[0]


def test_what_is_watched_is_granted_and_no_more() -> None:
    wanted = {(group_of(item.version), item.plural) for item in WATCHED}
    for verb in ("get", "list", "watch"):
        assert granted(verb) == wanted


def test_what_is_written_is_granted_and_no_more() -> None:
    wanted = {(group_of(BY_KIND[kind].version), f"{BY_KIND[kind].plural}/status") for kind in KINDS}
    assert granted("patch") == wanted
    for verb in ("create", "update", "delete", "*"):
        assert granted(verb) == set()


def test_the_pod_has_no_more_than_it_needs() -> None:
    [deployment] = [item for item in objects() if item["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
