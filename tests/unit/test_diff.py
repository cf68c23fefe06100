"""`sluicegate diff`: what is told of two sets of manifests, and what is no difference.

`python tests/unit/test_diff.py` writes what is expected of the sets in `diff/`; read what changed before it is kept.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluicegate import __version__
from sluicegate.cli.application import main
from sluicegate.testing.difference import Side, compare, comparison
from sluicegate.testing.offline import load_offline

Run = Callable[..., tuple[int, str]]

SETS = Path(__file__).parent / "diff"
EXPECTED = {"text": "expected.txt", "json": "expected.json", "markdown": "expected.md"}

MANIFESTS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: sluicegate, listeners: [{name: http, protocol: HTTP, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec: {parentRefs: [{name: gateway}], hostnames: [shop.test], rules: [{backendRefs: [{name: app, port: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
"""
SLICE = """\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
endpoints: [{addresses: [127.0.0.1]}]
ports: [{port: 9}]
"""
RULE = "{backendRefs: [{name: app, port: 80}]}"


def written(output: str) -> tuple[int, str]:
    """Exit status and text of the two sets, as one that is called among them gets it."""
    text = io.StringIO()
    with contextlib.chdir(SETS), contextlib.redirect_stdout(text):
        status = main(["diff", "old.yaml", "new.yaml", "-o", output])
    return status, text.getvalue().replace(f'"version": "{__version__}"', '"version": "VERSION"')


@pytest.mark.parametrize("output", EXPECTED)
def test_each_output_is_as_it_was_read(output: str) -> None:
    """Where this fails: `python tests/unit/test_diff.py`, and read what it changed."""
    assert written(output) == (3, (SETS / EXPECTED[output]).read_text())


@pytest.fixture
def sets(tmp_path: Path, command: Run) -> Callable[..., tuple[int, dict[str, Any]]]:
    """`sluicegate diff` of two texts: exit status, and what it writes for programs."""

    def run(old: str, new: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        for name, text in (("old", old), ("new", new)):
            (tmp_path / f"{name}.yaml").write_text(text)
        status, text = command("diff", tmp_path / "old.yaml", tmp_path / "new.yaml", "-o", "json", *arguments)
        return status, json.loads(text)

    return run


Sets = Callable[..., tuple[int, dict[str, Any]]]


def changes(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Host, aspect, and what it was and becomes."""
    return [
        (item["host"], change["aspect"], change["old"], change["new"])
        for item in report["comparison"]["differences"]
        for change in item["changes"]
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("name: shop", "name: store"),  # another route does the same
        (f"rules: [{RULE}]", f"rules: [{RULE.replace('{b', '{matches: [{path: {value: /a}}], b')}, {RULE}]"),
        ("metadata: {name: app}", "metadata: {name: app, labels: {a: b}}"),
        ("{name: app, port: 80}", "{name: app, port: 80, weight: 7}"),
    ],
)
def test_what_changes_no_request_is_no_difference(sets: Sets, old: str, new: str) -> None:
    status, report = sets(MANIFESTS, MANIFESTS.replace(old, new) if old else MANIFESTS)
    assert (status, changes(report)) == (0, [])


def test_the_order_of_backends_is_no_difference(sets: Sets) -> None:
    other = MANIFESTS + "---\napiVersion: v1\nkind: Service\nmetadata: {name: next}\nspec: {ports: [{port: 80}]}\n"
    one = other.replace("[{name: app, port: 80}]", "[{name: app, port: 80}, {name: next, port: 80}]")
    two = other.replace("[{name: app, port: 80}]", "[{name: next, port: 80}, {name: app, port: 80}]")
    assert sets(one, two)[0] == 0
    status, report = sets(one, two.replace("{name: app, port: 80}]", "{name: app, port: 80, weight: 3}]"))
    wanted = (
        "shop.test",
        "backend",
        "default/app:80 50 %, default/next:80 50 %",
        "default/app:80 75 %, default/next:80 25 %",
    )
    assert (status, {*changes(report)}) == (3, {wanted})


def test_endpoints_that_come_and_go_are_no_difference(sets: Sets) -> None:
    slices = MANIFESTS + SLICE
    assert sets(slices, slices.replace("127.0.0.1", "127.0.0.2"))[0] == 0
    # Whoever has no EndpointSlices leaves them to the cluster.
    assert sets(slices, MANIFESTS)[0] == 0
    status, report = sets(slices, slices.replace("[{addresses: [127.0.0.1]}]", "[]"))
    assert status == 3
    assert {*changes(report)} == {("shop.test", "status", "forwarded", "503 (no_endpoint)")}


def test_gateways_of_a_cluster_have_addresses_of_their_own(sets: Sets) -> None:
    gateway, route, service = MANIFESTS.split("---\n")
    both = "---\n".join(
        [gateway, route, service, gateway.replace("{name: gateway}", "{name: inner}"), route.replace("shop}", "inner}")]
    )
    old = both.replace(
        "name: inner}\nspec: {parentRefs: [{name: gateway}]", "name: inner}\nspec: {parentRefs: [{name: inner}]"
    )
    assert old != both
    new = old.replace(
        "[{name: inner}], hostnames: [shop.test], rules: [{b",
        "[{name: inner}], hostnames: [shop.test], rules: [{matches: [{path: {value: /a}}], b",
    )
    assert new != old
    status, report = sets(old, new)
    assert status == 3
    assert {item["listener"] for item in report["comparison"]["differences"]} == {"Gateway/default/inner/http"}


POLICY = """\
---
apiVersion: sluicegate.dev/v1alpha1
kind: AccessPolicy
metadata: {name: staff}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  basic: {secretRef: {name: staff}}
---
apiVersion: v1
kind: Secret
metadata: {name: staff}
stringData:
  auth: |
    ann:$2b$10$m5aGKoQVTGLE1yOS/lB7k.YKYuS/zBweruwMSI3vMsIVlfcPKaniC
"""


def test_what_is_behind_a_policy_and_what_it_knows(sets: Sets) -> None:
    old = MANIFESTS + POLICY
    other = old.replace("ann:$2b", "bob:$2b")
    status, report = sets(old, other)
    assert status == 3, report
    assert {item[1] for item in changes(report)} == {"policy"}
    assert "its settings differ" in changes(report)[0][2]
    assert "m5aGKoQVTGLE" not in json.dumps(report)
    moved = old.replace("{name: app, port: 80}]", "{name: app, port: 81}]").replace(
        "ports: [{port: 80}]", "ports: [{port: 81}]"
    )
    status, report = sets(old, moved)
    assert status == 3
    assert ("shop.test", "backend", "default/app:80", "default/app:81") in changes(report)
    # What an endpoint gets nobody sees while the policy refuses: it is looked at as if it let requests pass.
    filters = "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-a, value: b}]}}"
    status, report = sets(old, old.replace("rules: [{", f"rules: [{{filters: [{filters}], "))
    assert status == 3
    assert ("shop.test", "request", "none", "x-a: b") in changes(report)
    assert "behind a policy" in report["comparison"]["differences"][0]["about"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no OLD NEW is given"),
        (("all.yaml",), "name two sets of manifests"),
        (("-", "-"), "name two sets of manifests"),
        (("all.yaml", "gone.yaml"), "gone.yaml: no such file or directory"),
        (("all.yaml", "all.yaml", "--seed", "x"), "--seed: 'x' is not a whole number"),
    ],
)
def test_mistakes(
    command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(folder)
    status, text = command("diff", *arguments)
    assert (status, words in text) == (2, True), text


def test_standard_input(command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, wanted in ((MANIFESTS, 0), (MANIFESTS.replace("shop.test", "store.test"), 3)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        status, written_text = command("diff", folder, "-")
        assert status == wanted, written_text
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert command("diff", folder, "-")[0] == 2


def test_what_cannot_be_read_is_told_and_ends_with_1(command: Run, folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "good.yaml").write_text(MANIFESTS)
    (new / "bad.yaml").write_text("a: [\n")
    status, text = command("diff", folder / "all.yaml", new)
    assert status == 1
    assert "Problems of NEW alone:" in text
    assert f"{new / 'bad.yaml'}:" in text
    assert f"Something of {new} cannot be read" in text


def test_problems_of_both_are_told_once(command: Run, folder: Path) -> None:
    path = folder / "all.yaml"
    path.write_text(MANIFESTS.replace("{name: app, port: 80}]", "{name: gone, port: 80}]"))
    other = folder / "other.yaml"
    other.write_text("\n\n" + path.read_text())
    status, text = command("diff", path, other)
    assert status == 0
    assert text.count("gone") > 0
    assert "Problems of NEW" not in text
    assert "Problems of both:" in text


def compared(old: Path, new: Path, *, cluster: bool) -> Any:
    return compare(*(Side(load_offline([str(path)], cluster=cluster)) for path in (old, new)))


def test_what_is_not_asked_for_would_be_answered_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts of which both sets say the same are passed over: with them the differences are those."""
    few = compared(SETS / "old.yaml", SETS / "new.yaml", cluster=True)
    monkeypatch.setattr(comparison, "_contents", lambda *_: object())
    every = compared(SETS / "old.yaml", SETS / "new.yaml", cluster=True)
    assert every.asked > few.asked
    assert every.differences == few.differences


if __name__ == "__main__":
    for name, file in EXPECTED.items():
        (SETS / file).write_text(written(name)[1])
        sys.stdout.write(f"{SETS / file}\n")
