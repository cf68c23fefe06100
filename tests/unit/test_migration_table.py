"""The table of ingress-nginx' annotations is whole, and the documentation is made of it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

import migration_page
from sluicegate.controller.ingress import NGINX, PROVIDERS, Annotation, Provider, f5, features, nginx
from sluicegate.controller.ingress.emit.policies import GATEWAY_FEATURES, POLICY_FEATURES
from sluicegate.controller.ingress.emit.rule_features import RULE_FEATURES
from sluicegate.controller.ingress.emit.services import SERVICE_FEATURES
from sluicegate.controller.ingress.f5.provider import GROUPS as F5_GROUPS
from sluicegate.controller.ingress.nginx.groups.snippets import ADVICE
from sluicegate.controller.ingress.nginx.provider import GROUPS
from sluicegate.controller.ingress.rows import Class
from sluicegate.controller.ingress.traefik.provider import GROUPS as TRAEFIK_GROUPS

#: Groups of the providers besides the first one.
OTHERS = {"f5": F5_GROUPS, "traefik": TRAEFIK_GROUPS}
#: Classes of the 136 annotations: standard, experimental, ours, dropped, none.
CLASSES = {"S": 39, "X": 11, "P": 68, "D": 10, "N": 8}
#: Features that hosts, routes and redirects are made of.
OF_ROUTES = {
    "Aliases",
    "AppRoot",
    "Canary",
    "ClientCertificates",
    "ClientCiphers",
    "Closed",
    "ExactPaths",
    "HttpsRedirect",
    "OpenPaths",
    "Passthrough",
    "Redirect",
    "RegexPaths",
    "RelativeRedirects",
    "StrictTransport",
    "WwwRedirect",
}


def rows() -> list[Annotation]:
    return list(NGINX.annotations.values())


def test_all_of_them_are_there_once() -> None:
    assert len(rows()) == 136
    assert Counter(row.kind for row in rows()) == CLASSES
    assert set(CLASSES) == set(get_args(Class))
    names = [name for row in rows() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names)) == len(NGINX.rows)
    assert {row.name: row.aliases for row in rows() if row.aliases} == {
        "allowlist-source-range": ("whitelist-source-range",),
        "limit-allowlist": ("limit-whitelist",),
    }


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_row_says_what_becomes_of_it(row: Annotation) -> None:
    assert row.words
    assert not row.words.endswith(".")
    assert not row.group or row.group in GROUPS
    if row.fate == "converted":
        assert row.group
    if row.kind == "D":
        assert row.fate == "dropped-harmless"
    if row.kind == "N":
        assert (row.fate, bool(row.advice)) == ("no-equivalent", True)


def test_every_group_is_read_for_some_row() -> None:
    assert {row.group for row in rows()} - {""} == GROUPS.keys()


def test_directives_of_snippets_are_on_the_page() -> None:
    """The guide has the commonest ones; the report has all of these."""
    text = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
    shown = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text.partition("## Snippets")[2].partition("\n## ")[0]))
    assert {name for name in shown if not any(name.startswith(known) for known in ADVICE)} == set()


def test_settings_of_the_documentation_are_in_the_table() -> None:
    """All keys of ingress-nginx' `configmap.md` at 1.15.1: none of them is ever called invented."""
    names = (Path(__file__).parent / "nginx_settings.txt").read_text().split()
    assert len(names) == len(set(names)) == 192
    assert set(names) - NGINX.settings.keys() == set()
    assert all(row.words and not row.words.endswith(".") for row in NGINX.settings.values())


@pytest.mark.parametrize(("package", "provider"), [(nginx, NGINX), (f5, PROVIDERS["f5"])])
def test_settings_that_are_converted_are_read(package: ModuleType, provider: Provider) -> None:
    """By the group, or by what is about the whole Gateway."""
    folder = Path(str(package.__file__)).parent
    text = "".join(path.read_text() for path in folder.rglob("*.py") if path.name not in {"settings.py", "table.py"})
    converted = {name for name, row in provider.settings.items() if row.fate == "converted"}
    assert {name for name in converted if not re.search(f"[\"']{name}[\"']", text)} == set()


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_what_never_was_is_no_row(provider: Provider) -> None:
    assert not provider.invented.keys() & provider.rows.keys()
    owned = {f"{provider.prefix}{name}" for name in (*provider.invented, *provider.rows)}
    assert all(name.startswith(provider.owned) for name in owned)


@pytest.mark.parametrize("name", OTHERS)
def test_the_table_of_another_controller_is_whole(name: str) -> None:
    provider, groups = PROVIDERS[name], OTHERS[name]
    names = [each for row in provider.annotations.values() for each in (row.name, *row.aliases)]
    assert len(names) == len(set(names)) == len(provider.rows)
    assert {row.group for row in provider.annotations.values()} - {""} == set(groups)
    for row in provider.annotations.values():
        assert row.words, row.name
        assert not row.words.endswith("."), row.name
        assert row.group or row.fate != "converted", row.name
        assert row.kind != "D" or row.fate == "dropped-harmless", row.name
        assert row.kind != "N" or (row.fate == "no-equivalent" and row.advice), row.name


def test_every_feature_is_said_by_something() -> None:
    """A feature that nothing says would be a loss that nobody is told."""
    known = {
        name
        for name, item in vars(features).items()
        if isinstance(item, type) and issubclass(item, features.Feature) and item is not features.Feature
    }
    said = {item.__name__ for item in (*RULE_FEATURES, *POLICY_FEATURES, *SERVICE_FEATURES, *GATEWAY_FEATURES)}
    assert known == said | OF_ROUTES
    assert not said & OF_ROUTES


def test_the_pages_are_those_of_the_tables() -> None:
    """Where this fails: `python tools/migration_page.py`."""
    for path, text in migration_page.files().items():
        assert path.read_text() == text
