"""Every case of a migration gives what its files say, is deterministic, and what it gives is taken by `check`."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from migrate_cases import CHARTS, ROOT, Case, cases

from sluicegate.cli.application import main
from sluicegate.cli.checked import REFERENCE_CODES
from sluicegate.controller.ingress import FATES, PROVIDERS, Inventory, Provider, convert

CASES = list(cases())
#: What `check` says of some cases, and is meant: what cannot be served as it was is closed, and has no backends.
CLOSED = (
    "addresses",
    "auth-fields",
    "basic",
    "certificate-and-addresses",
    "client-certificates",
    "external",
    "f5-closed",
    "gardener-prometheus",
    "loki",
    "traefik-access",
    "traefik-closed",
    "traefik-ports",
    "traefik-routers",
    "traefik-strict",
    "extremes",
    "ports",
    "protocols",
    "redirects",
    "rewrite-odd",
    "snippet-refusals",
    "snippet-shared",
    "snippets-allowed",
    "standard-only",
    "two-authorities",
)
MEANT: dict[str, set[str]] = {
    **{name: {"no-backends"} for name in CLOSED},
    # An exact host keeps what it has no path for, as in nginx, or has the paths of wider ones itself.
    **{name: {"shadowed-route"} for name in ("traefik-wider", "wildcard")},
    # What holds for requests of a Gateway waits for its first listener that has any.
    "passthrough": {"policy-part-unused"},
    # An address spares a password and not the question of a service, which is told.
    "satisfy-external": {"no-credential"},
}
FILES = {"in.yaml", "options.yaml", "out.yaml", "losses.yaml"}


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_conversion(case: Case) -> None:
    for name, text in case.expected_files().items():
        assert (case.path / name).read_text() == text, f"{name}: read the difference, then migrate_cases.py --write"


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_the_order_of_objects_means_nothing(case: Case) -> None:
    """Of an API server they come in any order, and no file has their lines."""
    inventory = case.files().inventory
    objects = [
        *inventory.ingresses,
        *inventory.classes.values(),
        *inventory.services.values(),
        *inventory.secrets.values(),
        *inventory.config_maps.values(),
        *inventory.middlewares.values(),
    ]
    forwards, backwards = (
        convert(Inventory.of(found), case.provider, case.options()) for found in (objects, list(reversed(objects)))
    )
    assert [item.document for item in forwards.objects] == [item.document for item in backwards.objects]
    assert forwards.fates == backwards.fates


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_check_takes_what_comes_out(case: Case) -> None:
    """Without a word but of what is not in these files: Secrets that cert-manager makes, endpoints."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        main(["check", "--for", "cluster", "-o", "json", str(case.path / "out.yaml"), str(case.path / "in.yaml")])
    problems: list[dict[str, Any]] = json.loads(written.getvalue())["problems"]
    ours = [item for item in problems if item["path"].endswith("out.yaml")]
    told = [item for item in ours if item["code"] not in {*REFERENCE_CODES, *MEANT.get(case.name, ())}]
    assert [f"{item['object']}: {item['field']}: [{item['code']}] {item['message']}" for item in told] == []


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_every_part_says_where_it_comes_from(case: Case) -> None:
    """Rules, listeners, parts of policies: each has a cause, and its comment names a line of the file, or a default."""
    lines = (case.path / "in.yaml").read_text().count("\n")
    for manifest in case.convert().objects:
        assert manifest.causes, manifest.name
        for path in manifest.causes:
            found: Any = manifest.document
            for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
                found = found[int(index)] if index else found[name]
            assert found
        for cause in (cause for causes in manifest.causes.values() for cause in causes):
            default = f"default of {case.provider.title}"
            assert (cause.path == "in.yaml" and 0 < cause.line <= lines) or cause.object == default


def test_every_case_has_an_aim_and_no_file_too_many() -> None:
    for path in [*ROOT.iterdir(), *CHARTS.iterdir()]:
        more = {"asked.yaml"} if path.parent == CHARTS else set()
        assert {item.name for item in path.iterdir()} <= FILES | more, path
        assert (path / "in.yaml").read_text().startswith("# "), path
    assert len({(case.path / "in.yaml").read_text().split("\n", 1)[0] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_every_converted_annotation_has_a_case(provider: Provider) -> None:
    """What a row says is converted is in some case, and is read there without a complaint."""
    good: set[str] = set()
    for case in (case for case in CASES if case.provider is provider):
        for item in case.convert().fates:
            name = item.subject.removeprefix(provider.prefix)
            if item.fate in {"converted", "converted-with-difference"} and name in provider.rows:
                good.add(provider.rows[name].name)
    wanted = {row.name for row in provider.annotations.values() if row.group and row.fate.startswith("converted")}
    assert wanted - good == set()


def test_every_fate_has_a_case() -> None:
    found = {item.fate for case in CASES for item in case.convert().fates}
    assert found == set(FATES)


def test_the_loader_of_yaml_reads_what_was_meant() -> None:
    """Comments and quotes change nothing of a document."""
    for case in CASES:
        written = list(yaml.safe_load_all(Path(case.path / "out.yaml").read_text()))
        assert [item for item in written if item] == [item.document for item in case.convert().objects]
