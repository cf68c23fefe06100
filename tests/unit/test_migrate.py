"""`sluicegate migrate` as people call it: exit statuses, where things go, forms of the report, bad input."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from json_schema import errors

import output_schemas
from sluicegate.cli.application import main

Run = Callable[..., tuple[int, str]]

CLEAN = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations: {cert-manager.io/issuer: ours}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example.com], secretName: shop-tls}]
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
"""
LOSSY = CLEAN.replace(
    "{cert-manager.io/issuer: ours}", '{cert-manager.io/issuer: ours, nginx.ingress.kubernetes.io/hsts: "<b>"}'
)
BROKEN = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: broken}\nspec: {rules: 5}\n"
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: controller, namespace: in}\ndata: {proxy-body-size: 2m}\n"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Write manifests to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "ingress.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (CLEAN, 0),
        (LOSSY, 3),
        (f"{CLEAN}---\n{BROKEN}", 1),
        (f"{CLEAN}---\n{CLEAN}", 1),
        ("a: [\n", 1),
        ("# nothing\n", 1),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n", 1),
        ("apiVersion: example.com/v1\nkind: Ingress\nmetadata: {name: foreign}\n", 1),
    ],
)
def test_exit_statuses(command: Run, file: Callable[[str], Path], text: str, status: int) -> None:
    found, told = command("migrate", file(text))
    assert found == status, told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere/at/all"], "/nowhere/at/all: no such file or directory"),
        (["--config-map", "x"], "--config-map: 'x' is not a namespace and a name"),
        (["--default-certificate", "a/b/c/"], "--default-certificate: 'a/b/c/' is not a namespace and a name"),
        (["--provider", "apache"], "invalid choice: 'apache'"),
    ],
)
def test_mistakes(command: Run, file: Callable[[str], Path], arguments: list[str], words: str) -> None:
    status, told = command("migrate", file(CLEAN), *arguments)
    assert (status, words in told) == (2, True), told


def test_what_is_broken_costs_itself(command: Run, file: Callable[[str], Path]) -> None:
    path = file(f"{BROKEN}---\n{CLEAN}")
    _, text = command("migrate", path, "-o", "json")
    document = json.loads(text)
    assert [item["code"] for item in document["problems"]] == ["invalid"]
    assert document["problems"][0]["line"] == 4
    assert {item["metadata"]["name"] for item in document["objects"] if item["kind"] == "HTTPRoute"} == {
        "web-shop.example.com",
        "web-shop.example.com-to-https",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no Ingress: nothing is in it; check the path"),
        ("# Source: shop/templates/empty.yaml\n---\n---\n", "there is no Ingress: nothing is in it; check the path"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n", "there is no Ingress: 1 document of other kinds"),
        ("a: {{ .Values.a }}\nb: [\n", "a template ({{ ... }}), not YAML"),
        (CLEAN.replace("  name: web\n", "  name: web\n  name: web\n", 1), "the key 'name' is there twice"),
        (BROKEN, "spec.rules: a list is expected, not a whole number"),
    ],
)
def test_nothing_to_convert_is_told_once_and_why(
    command: Run, file: Callable[[str], Path], text: str, message: str
) -> None:
    status, told = command("migrate", file(text))
    problems = [line for line in told.splitlines() if ": error: " in line]
    assert (status, len(problems)) == (1, 1), told
    assert message in problems[0]


def test_windows_line_ends_and_rendered_charts(command: Run, file: Callable[[str], Path]) -> None:
    """They come to the same, with the lines of the file."""
    plain = command("migrate", file(LOSSY))
    assert command("migrate", file(LOSSY.replace("\n", "\r\n"))) == plain
    chart = f"---\n# Source: shop/templates/empty.yaml\n---\n# Source: shop/templates/ingress.yaml\n{LOSSY}"
    status, told = command("migrate", file(chart))
    assert status == plain[0]
    assert "ingress.yaml:10: Ingress/shop/web nginx.ingress.kubernetes.io/hsts" in told


def test_a_config_map_that_is_not_there_is_told(command: Run, file: Callable[[str], Path]) -> None:
    status, told = command("migrate", file(CLEAN), "--config-map", "in/controller")
    assert status == 1
    assert "the ConfigMap in/controller is not there" in told
    status, told = command("migrate", file(f"{CLEAN}---\n{SETTINGS}"), "--config-map", "in/controller")
    assert status == 0
    assert "maxSize: 2Mi" in told


def test_files_of_a_directory(command: Run, file: Callable[[str], Path], tmp_path: Path) -> None:
    """Names and contents are the same each time; the report is on standard output then."""
    folder = tmp_path / "new"
    status, told = command("migrate", file(LOSSY), "--output-dir", folder)
    assert status == 3
    assert "Never did anything:" in told
    assert "apiVersion" not in told
    written = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.yaml")}
    assert written.keys() == {"shop/gateway.yaml", "shop/httproute.yaml", "shop/clientpolicy.yaml"}
    assert command("migrate", file(LOSSY), "--output-dir", folder) == (status, told)
    assert {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.yaml")} == written
    assert [item["kind"] for item in yaml.safe_load_all(written["shop/httproute.yaml"])] == ["HTTPRoute", "HTTPRoute"]
    (tmp_path / "file").write_text("")
    assert command("migrate", file(CLEAN), "--output-dir", tmp_path / "file")[0] == 2


def test_files_of_an_earlier_run_are_told(command: Run, file: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert command("migrate", file(LOSSY), "--output-dir", folder)[0] == 3
    (folder / "shop" / "backendpolicy.yaml").write_text("of an earlier run")
    (folder / "README").write_text("no manifest")
    status, told = command("migrate", file(LOSSY), "--output-dir", folder)
    lines = [line for line in told.splitlines() if "this run does not write it" in line]
    assert status == 3
    assert len(lines) == 1
    assert lines[0].startswith(f"{folder}/shop/backendpolicy.yaml: warning: ")
    assert (folder / "shop" / "backendpolicy.yaml").read_text() == "of an earlier run"


def test_json(command: Run, file: Callable[[str], Path]) -> None:
    schema: dict[str, Any] = json.loads((output_schemas.FOLDER / "v1" / "migrate.json").read_text())
    status, text = command("migrate", file(LOSSY), "-o", "json")
    document = json.loads(text)
    assert list(errors(document, schema)) == []
    assert (status, document["failed"], document["lossy"]) == (3, False, True)
    (loss,) = [item for item in document["fates"] if item["fate"] == "unknown-annotation"]
    assert (loss["line"], loss["subject"], loss["value"]) == (6, "nginx.ingress.kubernetes.io/hsts", "<b>")
    assert document["counts"]["unknown-annotation"] == 1


def test_sarif(command: Run, file: Callable[[str], Path]) -> None:
    path = file(LOSSY)
    document = json.loads(command("migrate", path, "-o", "sarif")[1])
    results = document["runs"][0]["results"]
    (found,) = [item for item in results if item["ruleId"] == "unknown-annotation"]
    assert found["level"] == "warning"
    place = found["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == (f"file://{path}", 6)
    assert {item["id"] for item in document["runs"][0]["tool"]["driver"]["rules"]} == {
        item["ruleId"] for item in results
    }


class Page(HTMLParser):
    """What a browser would make of a page: balanced elements, their texts, what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "input"}:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "href"} and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_html(command: Run, file: Callable[[str], Path]) -> None:
    """One page that loads nothing, with what authors wrote as text."""
    _, text = command("migrate", file(LOSSY), "-o", "html")
    page = Page()
    page.feed(text)
    assert (page.open, page.loads) == ([], [])
    shown = "".join(page.texts)
    assert "nginx.ingress.kubernetes.io/hsts: <b>" in shown
    assert "<b>" not in re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL)
    assert "prefers-color-scheme" in text or "color-scheme: light dark" in text


def test_standard_input_and_lists(command: Run, file: Callable[[str], Path]) -> None:
    """As `kubectl get -o yaml` writes objects."""
    indented = CLEAN.replace("\n", "\n  ").rstrip()
    status, told = command("migrate", file(f"apiVersion: v1\nkind: List\nitems:\n- {indented}\n"))
    assert (status, "kind: HTTPRoute" in told) == (0, True), told
    assert "ingress.yaml:14 Ingress/shop/web spec.rules[0].host" in told


def test_a_bar_on_a_terminal_alone(command: Run, file: Callable[[str], Path]) -> None:
    """It is taken away before the report, and nothing of it is in a file."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    many = "---\n".join(CLEAN.replace("name: web\n", f"name: web-{number}\n") for number in range(120))
    path, written, terminal = file(many), io.StringIO(), Terminal()
    assert "converting" not in command("migrate", path)[1]
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(terminal):
        main(["migrate", str(path)])
    bars, _, report = terminal.getvalue().rpartition("\r\x1b[K")
    assert re.findall(r"converting \[([#.]+)\] ([0-9]+) of 120", bars) == [
        ("....................", "0"),
        ("########............", "50"),
        ("################....", "100"),
    ]
    assert report.startswith("\n")
    assert "\x1b" not in report + written.getvalue()


def test_a_long_value_is_shown_in_part(command: Run, file: Callable[[str], Path]) -> None:
    snippet = "proxy_cache zone;" * 20
    path = file(LOSSY.replace('hsts: "<b>"', f'server-snippet: "{snippet}"'))
    _, text = command("migrate", path)
    (line,) = [line for line in text.splitlines() if "server-snippet: proxy_cache" in line]
    assert line.endswith("...")
    assert len(line) < len(snippet)
    fates = json.loads(command("migrate", path, "-o", "json")[1])["fates"]
    assert snippet in {item["value"] for item in fates}
