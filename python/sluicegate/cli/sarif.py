"""Diagnostics as SARIF 2.1.0, which code hosts show beside the lines that they are about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sluicegate.controller.api import CLUSTER, Diagnostic, readable

from .sarif_rules import DIFFERENT_ANSWER, rule

if TYPE_CHECKING:  # what no diagnostic needs is not loaded for `check`
    from sluicegate.controller.ingress import Fate, Loss
    from sluicegate.testing.migration import Difference

    from .migration_report import MigrationReport

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_LEVELS_OF_FATES: dict[Fate, str] = {
    "no-equivalent": "error",
    "invalid": "error",
    "unknown-annotation": "warning",
    "converted-with-difference": "warning",
    "dropped-harmless": "note",
    "converted": "note",
}
#: Paths of what is in no file: not known, standard input, a cluster.
_NO_FILES = frozenset({"", "-", CLUSTER.path})


def to_sarif(found: Sequence[Diagnostic], version: str) -> dict[str, Any]:
    """Make a log of one run."""
    return _log([_of_diagnostic(item) for item in found], version)


def migration_sarif(report: MigrationReport, version: str) -> dict[str, Any]:
    """Make a log of a migration: what could not be read, losses as the text has them, and answers that differ."""
    differences = report.verification.differences if report.verification is not None else ()
    losses = (item for item in report.fates if item.is_loss)
    found = [*map(_of_diagnostic, report.problems), *map(_of_loss, losses), *map(_of_difference, differences)]
    return _log(found, version)


def _log(results: list[dict[str, Any]], version: str) -> dict[str, Any]:
    names = sorted({item["ruleId"] for item in results})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "sluicegate",
                        "version": version,
                        "informationUri": "https://github.com/sluicegate/sluicegate",
                        "rules": [rule(name) for name in names],
                    }
                },
                "results": [{**item, "ruleIndex": names.index(item["ruleId"])} for item in results],
            }
        ],
    }


def _of_diagnostic(item: Diagnostic) -> dict[str, Any]:
    return _result(item.code, _LEVELS[item.severity], item.text, item.path, item.line, item.object)


def _of_loss(item: Loss) -> dict[str, Any]:
    about = "".join(f"{part}: " for part in (item.object, item.subject, item.host) if part)
    text = f"{about}{item.message}{f'; {item.remedy}' if item.remedy else ''}"
    return _result(item.fate, _LEVELS_OF_FATES[item.fate], text, item.path, item.line, item.object)


def _of_difference(item: Difference) -> dict[str, Any]:
    told = f"; told: {item.named[0]}" if item.named else ""
    text = f"{item.curl}: there: {item.theirs}; here: {item.ours}{told}"
    return _result(DIFFERENT_ANSWER, "note" if item.named else "error", text)


def _result(rule_id: str, level: str, text: str, path: str = "", line: int = 0, about: str = "") -> dict[str, Any]:
    location: dict[str, Any] = {}
    if path not in _NO_FILES:
        region = {"region": {"startLine": line}} if line else {}
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(path)}, **region}
    if about:
        location["logicalLocations"] = [{"fullyQualifiedName": readable(about), "kind": "resource"}]
    return {"ruleId": rule_id, "level": level, "message": {"text": text}, "locations": [location] if location else []}


def _uri(path: str) -> str:
    """Relative paths stay so, for code hosts look for them below the repository; others need a scheme (3.4.4)."""
    plain = os.path.normpath(path)
    return quote(plain) if not os.path.isabs(plain) else f"file://{quote(plain)}"
