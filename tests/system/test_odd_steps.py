"""A gateway that serves meets odd manifests and faults of its own, and serves on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1
from system_gateway import LIMIT, Gateway, own_address, until
from system_manifests import Manifest, dump, gateway, route, rule, service

#: `serve`, in which the routine whose name is given raises while `odd.yaml` is there.
_CODE = """
import sys, pathlib, importlib
name, folder = sys.argv[1], pathlib.Path(sys.argv[6])
where, _, method = name.rpartition(".")
module, _, owner = where.rpartition(".")
holder = getattr(importlib.import_module(module), owner)
real = getattr(holder, method)
def stumbling(*arguments, **keywords):
    if (folder / "odd.yaml").exists():
        raise KeyError("odd")
    return real(*arguments, **keywords)
setattr(holder, method, stumbling)
sys.argv[1:] = sys.argv[5:]
from sluicegate.__main__ import main
main()
"""

ODD = [
    "apiVersion: [1, 2]\nkind: HTTPRoute\nmetadata: {name: odd}\n",
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: {a: 1}}\nspec: {}\n",
    "apiVersion: v1\nkind: Service\nmetadata: {name: odd}\nspec: {ports: [{port: 99999999999999999999999}]}\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: odd}\ndata: {a: 99999999999999999999999}\n",
    "apiVersion: v1\nkind: Secret\nmetadata: {name: odd}\ndata: !!bool maybe\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndata: {? [1, 2] : 3}\n",
]


@pytest.fixture
def simple(backend: Any) -> list[Manifest]:
    return [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]


def get(found: Gateway) -> Any:
    connection = Http1(found.address, 8080)
    try:
        return connection.request("GET", "any.test", "/")
    finally:
        connection.close()


def figure(found: Gateway, name: str) -> int:
    lines = found.admin("/metrics").splitlines()
    return next(int(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def test_odd_manifests_are_told_and_counted(start: Any, simple: list[Manifest]) -> None:
    found = start(*simple)
    assert figure(found, "sluicegate_config_unusable") == 0
    for number, text in enumerate(ODD):
        event = found.write(text=text, name=f"odd-{number}.yaml")
        assert any(item["path"].endswith(f"odd-{number}.yaml") and item["line"] for item in event["problems"]), event
        assert get(found).echo["backend"] == "app"
    assert figure(found, "sluicegate_config_unusable") >= 4
    assert figure(found, "sluicegate_config_exceptions_total") == 0
    with open(os.fsencode(found.folder) + b"/\xff.yaml", "w") as file:
        file.write("kind: A")
    found.event(lambda event: any("not UTF-8" in item["message"] for item in event.get("problems", ())))
    assert get(found).status == 200


@pytest.mark.parametrize(
    "routine",
    [
        "sluicegate.processes.live.Live.step",
        "sluicegate.controller.sources.files.reader.Reader.read",
        "sluicegate.controller.translate.translator.Translator.translate",
        "sluicegate.processes.translation_delivery.TranslationDelivery.deliver",
        "sluicegate.processes.serve.report.Reporter.changed",
    ],
)
def test_a_step_that_raises_is_told_counted_and_made_again(
    routine: str, simple: list[Manifest], backend: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "manifests"
    found = Gateway(folder, *simple, prefix=[sys.executable, "-c", _CODE, routine])
    try:
        (folder / "odd.yaml").write_text("kind: A\n")
        event = found.event(lambda event: event["event"] == "warning")
        assert event["code"] == "fault"
        assert "KeyError: 'odd'" in event["message"]
        assert get(found).echo["backend"] == "app"
        until(lambda: figure(found, "sluicegate_config_exceptions_total") >= 1, "it is counted")
        other = service("app", backend("other").address)
        (folder / "all.yaml").write_text(dump(*simple[:2], *other))
        (folder / "odd.yaml").unlink()
        until(lambda: get(found).echo["backend"] == "other", "what changed meanwhile is live")
    finally:
        assert found.stop() == 0


def test_closed_standard_streams_end_nothing(simple: list[Manifest], tmp_path: Path) -> None:
    """As some supervisors start a program; a socket must not get the number of a stream."""
    path, address = tmp_path / "all.yaml", own_address()
    path.write_text(dump(*simple))
    command = [sys.executable, "-m", "sluicegate", "serve", str(path), "--listen", address, "--admin", "off"]
    process = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
    try:

        def is_served() -> bool:
            assert process.poll() is None
            try:
                connection = Http1(address, 8080)
            except OSError:
                return False
            try:
                return bool(connection.request("GET", "any.test", "/").status == 200)
            finally:
                connection.close()

        until(is_served, "it serves")
        streams = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        assert streams == [os.devnull] * 3
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("command", [["check"], ["explain", "-r", "GET http://any.test/é"]])
def test_what_an_encoding_does_not_have_is_escaped(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text("kind: Sérvice\napiVersion: v1\nmetadata: {name: a}\n")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    whole = [sys.executable, "-m", "sluicegate", command[0], str(path), *command[1:]]
    found = subprocess.run(whole, env=environment, capture_output=True, check=False, timeout=LIMIT)
    assert found.returncode == 1
    assert b"\\xe9" in found.stdout
    assert found.stderr == b""
