"""How commands end: each case of the table that `docs/commands.md` shows is run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import commands_page
from sluicegate.cli.exit_status import CASE_COMMANDS, CASES

LIMIT = 60.0
GOOD = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: sluicegate, listeners: [{name: http, protocol: HTTP, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: good}
spec: {parentRefs: [{name: gateway}], hostnames: [good.test], rules: [{backendRefs: [{name: app, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
endpoints: [{addresses: [127.0.0.1]}]
ports: [{port: 9}]
"""
#: An Endpoints object is not read.
WARNING = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: app}\n"
ERROR = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: other}
spec: {parentRefs: [{name: gateway}], hostnames: [other.test], rules: [{backendRefs: [{name: gone, port: 80}]}]}
"""
FOREIGN = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\n"
#: Files of a case, by name; and its arguments besides `.`, or instead of it.
FILES = {
    "an option that there is not": ({"a.yaml": GOOD}, [".", "--oputput", "json"]),
    "a setting that cannot be used": ({"a.yaml": GOOD}, [".", "--config", "gone.toml"]),
    "no path": ({"a.yaml": GOOD}, []),
    "a path that is not there": ({}, ["gone"]),
    "a path that is not there, beside good manifests": ({"a.yaml": GOOD}, ["a.yaml", "gone"]),
    "a directory without manifests": ({"README": "none"}, ["."]),
    "a file without objects": ({"a.yaml": "# nothing\n---\n"}, ["a.yaml"]),
    "only objects of kinds that the gateway does not read": ({"a.yaml": FOREIGN}, ["."]),
    "only files of other programs, such as `values.yaml`": (
        {"values.yaml": "a: 1\n", "package.json": json.dumps({"name": "a"})},
        ["."],
    ),
    "a file that is no YAML, beside good manifests": ({"a.yaml": GOOD, "b.yaml": "a: [\n"}, ["."]),
    "good manifests": ({"a.yaml": GOOD}, ["."]),
    "good manifests, of which there is a warning": ({"a.yaml": GOOD, "b.yaml": WARNING}, ["."]),
    "the same with `--fail-on warning`, of `check`": (
        {"a.yaml": GOOD, "b.yaml": WARNING},
        [".", "--fail-on", "warning"],
    ),
    "manifests of which there is an error, beside good ones": ({"a.yaml": GOOD, "b.yaml": ERROR}, ["."]),
}
#: Options that the commands need besides.
OPTIONS = {
    "serve": ["--listen", "127.83.4.2", "--admin", "off", "--output", "json"],
    "explain": ["--request", "http://good.test:8080/"],
}


def test_every_case_is_run_and_told() -> None:
    assert FILES.keys() == CASES.keys()
    text = commands_page.PAGE.read_text()
    for case, statuses in CASES.items():
        assert f"| {case} | {' | '.join(map(str, statuses))} |" in text


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], str]:
    """The arguments of a case, and its name; its files are in the working directory."""
    files, arguments = FILES[request.param]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return arguments, request.param


@pytest.mark.parametrize("case", CASES, indirect=True)
@pytest.mark.parametrize("name", [name for name in CASE_COMMANDS if name != "serve"])
def test_commands_that_look(command: Callable[..., tuple[int, str]], case: tuple[list[str], str], name: str) -> None:
    arguments, about = case
    status, text = command(name, *arguments, *OPTIONS.get(name, ()))
    assert status == CASES[about][CASE_COMMANDS.index(name)], text
    assert "Traceback" not in text


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_serve(case: tuple[list[str], str]) -> None:
    arguments, about = case
    command = [sys.executable, "-m", "sluicegate", "serve", *arguments, *OPTIONS["serve"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if json.loads(line)["event"] == "ready":
                    process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == CASES[about][0]
        finally:
            process.kill()
