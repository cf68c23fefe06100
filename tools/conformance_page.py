"""Write `docs/project/conformance.md`: what the conformance reports of the Gateway API say, profile by profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "tests" / "conformance" / "reports"
PAGE = ROOT / "docs" / "project" / "conformance.md"
_TREE = "https://github.com/sluicegate/sluicegate/blob/main/tests/conformance/reports"

_HEAD = """\
# Conformance

The conformance suites of the Gateway API, run against the controller as it is installed. The suite reads what to test
from `GatewayClass.status.supportedFeatures` ([features](../reference/features.md)): there is no feature flag, no skip
and no exemption. `make conformance VERSION={newest}` reproduces a report on a test cluster.

This page is written by `python tools/conformance_page.py` from the reports.
"""


def page() -> str:
    """The page as it should be."""
    versions = sorted((path.name for path in REPORTS.glob("v*")), reverse=True)
    return _HEAD.format(newest=versions[0]) + "".join(part for version in versions for part in _section(version))


def report(version: str) -> tuple[Path, dict[str, Any]]:
    """The report of a version, and where it is."""
    [path] = (REPORTS / version / "sluicegate").glob("*.yaml")
    return path, yaml.safe_load(path.read_text())


def _section(version: str) -> Iterator[str]:
    path, found = report(version)
    yield f"\n## {version}\n\n"
    version_of_ours, channel = found["implementation"]["version"], found["gatewayAPIChannel"]
    yield f"Sluicegate {version_of_ours}, {channel} channel, {found['date'][:10]}: "
    yield f"[the report]({_TREE}/{path.relative_to(REPORTS)}).\n\n"
    yield "| profile | core | | extended | | skipped | not supported |\n|---|---|---|---|---|---|---|\n"
    for profile in sorted(found["profiles"], key=lambda item: item["name"]):
        core, extended = profile["core"], profile["extended"]
        cells = (
            profile["name"],
            core["result"],
            f"{core['statistics']['Passed']} passed, {core['statistics']['Failed']} failed",
            extended["result"],
            f"{extended['statistics']['Passed']} passed, {extended['statistics']['Failed']} failed",
            str(core["statistics"]["Skipped"] + extended["statistics"]["Skipped"]),
            ", ".join(extended.get("unsupportedFeatures", ())) or "none",
        )
        yield f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
