"""Colours: on terminals only, as somebody asks, and never by what an object says."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.colors import painted, wants_color
from sluicegate.observe.log import Log

Run = Callable[..., tuple[int, str]]

ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec: {parentRefs: [{name: gone}], rules: [{backendRefs: [{name: "a\\e[31m", port: 80}]}]}
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "is_terminal", "environment", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", False, {}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {}, False),
    ],
)
def test_when(choice: str, is_terminal: bool, environment: dict[str, str], wanted: bool) -> None:
    assert wants_color(choice, Terminal() if is_terminal else io.StringIO(), environment) is wanted


def test_a_closed_stream_has_none() -> None:
    stream = io.StringIO()
    stream.close()
    assert wants_color("auto", stream, {}) is False


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("error: a", "<31>error<0>: a"),
        ("  a.yaml:3: warning: error: b", "  a.yaml:3: <33>warning<0>: error: b"),
        ("Try: curl x", "Try: <36>curl x<0>"),
        ("  not by    a", "<2>  not by    a<0>"),
        ("  answer    404 (no_route)", "  <31>answer    404 (no_route)<0>"),
        ("  answer    302 (redirect)", "  answer    302 (redirect)"),
        ("  Gateway a: Accepted=False (Invalid): why", "  Gateway a: <33>Accepted=False (Invalid)<0>: why"),
        ("no error: here", "no error: here"),
        ("a\nerror: b", "a\n<31>error<0>: b"),
    ],
)
def test_what(line: str, wanted: str) -> None:
    assert painted(line) == re.sub(r"<(\d+)>", "\x1b[\\1m", wanted)


def test_check_paints_as_it_is_told(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text(ROUTE)
    plain = command("check", str(tmp_path))[1]
    assert "\x1b" not in plain
    _, text = command("check", str(tmp_path), "--color", "always")
    assert "\x1b[31merror\x1b[0m: HTTPRoute" in text
    for code in ("\x1b[31m", "\x1b[33m", "\x1b[0m"):
        text = text.replace(code, "")
    assert text == plain
    monkeypatch.setenv("SLUICEGATE_COLOR", "purple")
    assert "SLUICEGATE_COLOR: 'purple' is none of auto, always, never" in command("check", str(tmp_path))[1]


def test_the_log_paints_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    out, err = io.StringIO(), Terminal()
    told = Log("text", out=out, err=err, color="auto")
    told.summary("ready", "Sluicegate 1 is ready after 0 s")
    told.warning("a", "text")
    told.close()
    assert out.getvalue() == "Sluicegate 1 is ready after 0 s\n"
    assert err.getvalue() == "\x1b[33mwarning\x1b[0m: text\n"
    programs = Terminal()
    told = Log("json", out=programs, err=err, color="always")
    told.warning("a", "error: text")
    told.close()
    assert "\x1b" not in programs.getvalue()
    assert os.environ.get("NO_COLOR") is None
