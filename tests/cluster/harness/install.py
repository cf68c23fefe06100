"""Installs what is tested: the Gateway API's CRDs of a version, and the controller by the commands of deploy/README.md.

The commands are read out of that file, so that what is tested is what people are told to do.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from .network import inside
from .paths import KUBECONFIG, kubectl

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT / "tools"))

from deploy_tools import program  # noqa: E402
from go_modules import module  # noqa: E402

VERSIONS = ("v1.6.3", "v1.7.0")
SYSTEM, RELEASE, CONTROLLER = "sluicegate-system", "sluicegate", "deployment/sluicegate-controller"
#: How the controller is installed; NODE: all in one pod on the host's network.
KUSTOMIZE, HELM, NODE = "kustomize", "helm", "node"
_FOLDERS = ("controller", "node")
#: Where deploy/README.md says how.
_SECTIONS = {
    KUSTOMIZE: "The controller, by kustomize",
    HELM: "The controller, by Helm",
    NODE: "One node",
}
_INTRODUCTION, _UPDATES = "Installing Sluicegate in a cluster", "Updates"
_GROUP = "gateway.networking.k8s.io"
_BUNDLE = f"{_GROUP}/bundle-version"
#: Seconds that a rollout may take.
LIMIT = 120


class InstallError(RuntimeError):
    """A command of the installation fails; the message has the command and what it said."""


def crds(version: str, *, restore: bool = False) -> None:
    """Have the experimental CRDs of exactly this version; those of another one go first, with all their objects.

    Args:
        version: of the Gateway API.
        restore: whatever tests, which are other field managers, have made of them.
    """
    # The policy of a newer version would not let an older one in.
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    listed = json.loads(_run("get", f"customresourcedefinitions,{policies}", "-o", "json"))["items"]
    marks = {
        f"{item['kind'].lower()}/{item['metadata']['name']}": item["metadata"].get("annotations", {}).get(_BUNDLE)
        for item in listed
    }
    other = [name for name, mark in marks.items() if mark and mark != version]
    # Policies first; a CRD is gone when its objects are.
    for names in (
        [name for name in other if not name.startswith("custom")],
        [name for name in other if name.startswith("custom")],
    ):
        if names:
            _run("delete", "--timeout=60s", *names)
    folder = module("sigs.k8s.io/gateway-api", version) / "config" / "crd" / "experimental"
    # The folder's own copy in place of its URL: the command needs no network.
    [command] = documented(_INTRODUCTION)
    _follow([*command[:-1], str(folder), *(["--force-conflicts"] if restore else [])])
    _run("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")


def controller(how: str = KUSTOMIZE) -> None:
    """Install the controller, or bring it up to date; returns when it is ready.

    Args:
        how: by kustomize or by Helm; or the all-in-one node.
    """
    for command in documented(_SECTIONS[how]):
        waits = "rollout" in command or "--wait" in command
        _follow([*command, f"--timeout={LIMIT}s"] if waits else command)
    if how == HELM:
        _follow(next(command for command in documented(_UPDATES) if command[-1] == "deploy/crds"))


def documented(title: str) -> list[list[str]]:
    """The commands of kubectl and Helm in a section of deploy/README.md, word by word."""
    text = (ROOT / "deploy" / "README.md").read_text()
    sections = dict(re.findall(r"^#+ ([^\n]+)\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL))
    lines = (line for line in sections[title].splitlines() if line.startswith("    "))
    commands = [shlex.split(line, comments=True) for line in lines]
    return [words for words in commands if words[0] in {"kubectl", "helm"}]


def restart() -> None:
    """Replace the controller's pods, and wait for it."""
    _run("rollout", "restart", "--namespace", SYSTEM, CONTROLLER)
    _run("rollout", "status", "--namespace", SYSTEM, CONTROLLER, f"--timeout={LIMIT}s")


def refresh() -> None:
    """Have every Deployment that runs the image run the one that was loaded last under its name."""
    found: set[tuple[str, str]] = set()
    for labels in ("app.kubernetes.io/name=sluicegate", "app.kubernetes.io/managed-by=sluicegate"):
        listed = json.loads(_run("get", "deployments", "--all-namespaces", "-l", labels, "-o", "json"))
        found |= {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]}
    for namespace, name in sorted(found):
        _run("rollout", "restart", "--namespace", namespace, f"deployment/{name}")


def remove() -> None:
    """Remove the controller, however it was installed, and its namespace; the CRDs of the Gateway API stay."""
    place = ["--namespace", SYSTEM, "--kubeconfig", str(KUBECONFIG)]
    _check(inside(program("helm"), "uninstall", RELEASE, "--ignore-not-found", "--wait", *place))
    for folder in _FOLDERS:
        _run("delete", "--ignore-not-found", "--timeout=60s", "-k", ROOT / "deploy" / folder)


def _follow(command: list[str]) -> str:
    """Run a documented command, from the repository, on the test cluster."""
    tool, *arguments = command
    if tool == "helm":
        return _check(inside(program("helm"), *arguments, "--kubeconfig", str(KUBECONFIG)))
    return _run(*arguments)


def _run(*arguments: object) -> str:
    return _check(kubectl(*arguments))


def _check(command: list[str]) -> str:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise InstallError(f"{' '.join(command[2:])}\n{result.stderr or result.stdout}")
    return result.stdout
