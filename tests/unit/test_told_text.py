"""What is told of hostile or huge objects: one line that does nothing to a terminal, and no endless lists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sluicegate.testing.offline import Offline, load_offline
from sluicegate.words import MAX_NAMED, listed, one_line

CLASS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: %s}
spec: {controllerName: x.y/z}
"""
BASE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec: {gatewayClassName: sluicegate, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: g}]
  rules: [%s]
---
"""


def load(folder: Path, text: str) -> Offline:
    (folder / "all.yaml").write_text(text)
    return load_offline([folder])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\t\x1b[2J\x7f", r"a\nb\r\t\x1b[2J\x7f"),
        ("\x85\u2028\u2029\u202e\u2066", r"\x85\u2028\u2029\u202e\u2066"),
        ("ümlaut 日本 \\n", "ümlaut 日本 \\n"),
    ],
)
def test_a_line_does_nothing_to_a_terminal(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_list_is_short() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(map(str, range(MAX_NAMED + 1_234))) == "0, 1, 2, 3, 4, 5, 6, 7 and 1,234 more"


@pytest.mark.parametrize("command", ["check", "translate"])
def test_names_write_no_lines_of_their_own(tmp_path: Path, command: str) -> None:
    name = '"Gateway\\n::error file=x::y\\e[2J"'
    (tmp_path / "a.yaml").write_text(
        f"apiVersion: gateway.networking.k8s.io/v1\nkind: {name}\nmetadata: {{name: {name}}}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "sluicegate", command, str(tmp_path)], capture_output=True, text=True, check=False
    )
    told = ran.stdout + ran.stderr
    assert r"\n::error" in told
    assert "\x1b" not in told.replace("\x1b[K", "")
    assert not [line for line in told.splitlines() if line.startswith("::")]


def test_the_ports_of_a_service_are_not_all_told(tmp_path: Path) -> None:
    ports = ", ".join(f"{{name: p{number}, port: {number}}}" for number in range(1, 1_001))
    service = f"apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{ports: [{ports}]}}\n"
    found = load(tmp_path, BASE + ROUTE % "{backendRefs: [{name: s, port: 2000}]}" + service).diagnostics()
    [item] = [item for item in found if item.code == "backend-not-found"]
    assert item.remedy == "use one of its ports: 1, 2, 3, 4, 5, 6, 7, 8 and 992 more"


def test_what_is_wrong_with_a_pattern_is_one_line(tmp_path: Path) -> None:
    rule = '{matches: [{path: {type: RegularExpression, value: "/(("}}]}'
    [item] = [item for item in load(tmp_path, BASE + ROUTE % rule).diagnostics() if item.code == "unsupported-value"]
    assert "\n" not in item.message
    assert item.message.endswith("cannot be used: unclosed group")


def test_a_class_of_another_controller_takes_nothing_away(tmp_path: Path) -> None:
    assert load(tmp_path, BASE + CLASS % "nginx").translation.ir.listeners
    assert not load(tmp_path, BASE + CLASS % "sluicegate").translation.ir.listeners
    own = (CLASS % "mine").replace("x.y/z", "sluicegate.dev/controller")
    assert not load(tmp_path, BASE + own).translation.ir.listeners
