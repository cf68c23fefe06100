"""What commands write for programs fits the schemas that are published, and these are those of the code."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from json_schema import errors

import output_schemas
import sluicegate
from sluicegate.cli.schemas import SCHEMAS, schema

Run = Callable[..., tuple[int, str]]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GOLDEN = ROOT / "tests" / "golden"
CASES = sorted(path.parent for path in GOLDEN.rglob("in.yaml"))


def published(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output_schemas.FOLDER / "v1" / f"{name}.json").read_text())
    return found


def wrong(name: str, document: Any) -> list[str]:
    return list(errors(document, published(name)))


def test_the_published_ones_are_those_of_the_code() -> None:
    """Where this fails: `python tools/output_schemas.py`."""
    wanted = output_schemas.files()
    assert {path for path in output_schemas.FOLDER.rglob("*") if path.is_file()} == wanted.keys()
    assert {path.name for path, text in wanted.items() if path.read_text() != text} == set()


@pytest.mark.parametrize("name", SCHEMAS)
def test_everything_in_them_is_described(name: str) -> None:
    found = schema(name)
    assert found["$id"].endswith(f"/v1/{name}.json")
    for key, definition in found["$defs"].items():
        assert definition.get("description") or "enum" in definition, key
        assert "Attributes:" not in definition.get("description", "")


@pytest.mark.parametrize("area", sorted({path.parent.name for path in CASES}))
def test_check(command: Run, area: str) -> None:
    """Of every golden case, that is of every kind, condition and problem."""
    folder = GOLDEN / area
    for destination in ("cluster", "standalone"):
        _, text = command("check", folder, "-o", "json", "--for", destination)
        document = json.loads(text)
        assert wrong("check", document) == []
        for item in document["objects"]:
            assert wrong("status", item["status"]) == [], item["object"]


REQUESTS = [
    "GET http://www.example.com/login",
    "http://www.example.com:8080/",
    "grpc://www.example.com/a.B/C",
    "https://www.example.com/",
    "tls://www.example.com:8443",
    "tcp://:9000",
    "udp://:5353",
]


@pytest.mark.parametrize("request_line", REQUESTS)
@pytest.mark.parametrize("folder", ["quickstart", "protocols"])
def test_explain_and_decide(command: Run, folder: str, request_line: str) -> None:
    _, text = command("explain", EXAMPLES / folder, "-r", request_line, "-o", "json")
    document = json.loads(text)
    assert wrong("explain", document) == []
    assert wrong("decision", document["decision"]) == []
    decided = sluicegate.load(EXAMPLES / folder).decide(request_line)
    assert json.loads(msgspec.json.encode(decided)) == document["decision"]


@pytest.mark.parametrize("path", [EXAMPLES / "quickstart", EXAMPLES / "protocols", GOLDEN / "tls", GOLDEN / "policies"])
def test_translate(command: Run, path: Path) -> None:
    text = command("translate", path)[1]
    assert wrong("translate", json.loads(text[text.index("{\n") :])) == []


def test_diff(command: Run) -> None:
    _, text = command("diff", EXAMPLES / "quickstart", EXAMPLES / "protocols", "-o", "json")
    document = json.loads(text)
    assert document["comparison"]["differences"]
    assert wrong("diff", document) == []


def test_version(command: Run) -> None:
    assert wrong("version", json.loads(command("version", "-o", "json")[1])) == []


def test_serve(tmp_path: Path) -> None:
    """Its first line, a change, and what it says at its end."""
    manifest = tmp_path / "gateway.yaml"
    text = (EXAMPLES / "quickstart" / "gateway.yaml").read_text().replace("port: 80\n", "port: 18081\n")
    manifest.write_text(text)
    command = [sys.executable, "-m", "sluicegate", "serve", str(tmp_path), "-o", "json", "--admin", "off"]
    process = subprocess.Popen(
        [*command, "--listen", "127.83.4.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline())]
    assert lines[0]["event"] == "ready"
    assert lines[0]["problems"]
    manifest.write_text(text.replace("/login", "/signin"))
    while lines[-1]["event"] != "changed":
        lines.append(json.loads(process.stdout.readline()))
    process.send_signal(signal.SIGUSR1)
    while lines[-1]["event"] != "access_log":
        lines.append(json.loads(process.stdout.readline()))
    connection = http.client.HTTPConnection("127.83.4.1", 18081, timeout=30)
    connection.request("GET", "/signin")
    assert connection.getresponse().status == 404
    connection.close()
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=30)
    lines += [json.loads(line) for line in rest.splitlines()]
    assert process.returncode == 0
    assert json.loads(errors)["path"] == "/signin"
    assert [(line["event"], wrong("serve", line)) for line in lines if wrong("serve", line)] == []


def test_a_document_that_does_not_fit_is_found() -> None:
    good = {"outcome": "forward", "status": 0, "reason": "forwarded"}
    assert wrong("decision", good) == []
    for change in (
        {"outcome": "drop"},
        {"status": "0"},
        {"more": 1},
        {"backends": [{"backend": "a"}]},
        {"status": None},
    ):
        assert wrong("decision", {**good, **change}) != [], change
    assert wrong("decision", {"outcome": "forward"}) != []
