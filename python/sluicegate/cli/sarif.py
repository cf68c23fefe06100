"""Diagnostics as SARIF 2.1.0, which code hosts show beside the lines that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from sluicegate.controller.api import Diagnostic

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def to_sarif(found: Sequence[Diagnostic], version: str) -> dict[str, Any]:
    """Make a log of one run."""
    rules = sorted({item.code for item in found})
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
                        "rules": [{"id": code, "name": code} for code in rules],
                    }
                },
                "results": [_result(item) for item in found],
            }
        ],
    }


def _result(item: Diagnostic) -> dict[str, Any]:
    region = {"region": {"startLine": item.line}} if item.line else {}
    return {
        "ruleId": item.code,
        "level": _LEVELS[item.severity],
        "message": {"text": item.text},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(item.path)}, **region}}],
    }
