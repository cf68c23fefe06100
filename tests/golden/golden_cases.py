"""Golden cases: what they are made of, and how their expected files come about.

A case is a directory `tests/golden/<area>/<case>/` with one aim:

- `in.yaml`: the objects; the first line is a comment that says the aim;
- `options.yaml` (optional): translator options, and the engine's `report` to merge;
- `ir.yaml`: the full transaction; `status.yaml`: conditions and problems, short; `infrastructure.yaml`: the manifests
  of data planes, only with the option `provision`; all written by `regenerate.py --write` and read by people before
  they are committed;
- `requests.yaml`: requests for the `decide` contract and what is expected of each decision, written by hand; the parity
  tests run them through every router.

Checks of certificates and patterns are fakes here: they look for words in the PEM text, so that no key is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from sluicegate import ir
from sluicegate.controller import api as model
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import (
    CertificateFacts,
    Checks,
    Options,
    PatternFacts,
    RouteLimits,
    Translation,
    Translator,
    ir_transaction,
    to_document,
)
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions

ROOT = Path(__file__).parent
WRITTEN = ("in.yaml", "requests.yaml")
OPTIONAL = ("options.yaml", "infrastructure.yaml")
GENERATED = ("ir.yaml", "status.yaml")
RUNNER_FILES = frozenset({"golden_cases.py", "regenerate.py", "test_golden.py"})


def fake_pattern(pattern: str) -> PatternFacts:
    """Stand in for the RE2 check."""
    try:
        re.compile(pattern)
    except re.error:
        return PatternFacts(error="not a regular expression")
    return PatternFacts(size=1_000 * len(pattern))


def fake_certificate(chain: bytes, key: bytes) -> CertificateFacts:
    """Read `names=a,b` and `not_after=N` from the text around the PEM blocks."""
    text = chain.decode()
    if "BEGIN CERTIFICATE" not in text or "PRIVATE KEY" not in key.decode():
        return CertificateFacts(error="no PEM certificate and key")
    names = re.search(r"names=(\S+)", text)
    not_after = re.search(r"not_after=(\d+)", text)
    return CertificateFacts(
        names=tuple(names[1].split(",")) if names else (), not_after=int(not_after[1]) if not_after else None
    )


CHECKS = Checks(pattern=fake_pattern, certificate=fake_certificate)


@dataclass(frozen=True)
class Case:
    """One golden case."""

    path: Path

    @property
    def name(self) -> str:
        """`<area>/<case>`."""
        return str(self.path.relative_to(ROOT))

    def objects(self) -> list[model.Object]:
        """The objects of `in.yaml`; the origin is the number of the document."""
        documents = yaml.safe_load_all((self.path / "in.yaml").read_text())
        return [model.decode(item, model.Origin("in.yaml", place)) for place, item in enumerate(documents, 1) if item]

    def options(self) -> dict[str, Any]:
        """Content of `options.yaml`."""
        path = self.path / "options.yaml"
        found: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {}
        return found

    def translator(self) -> Translator:
        """A new translator with the options of the case."""
        settings = {key: value for key, value in self.options().items() if key not in {"report", "controller_name"}}
        settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        if "provision" in settings:
            settings["provision"] = ProvisionOptions(**settings["provision"])
        if "routes" in settings:
            settings["routes"] = RouteLimits(**settings["routes"])
        name = self.options().get("controller_name", "sluicegate.dev/controller")
        return Translator(name, Options(checks=CHECKS, **settings))

    def translate(self) -> Translation:
        """Translate the case from nothing, and merge the report if there is one."""
        store = Store()
        store.load(self.objects())
        result = self.translator().translate(store.snapshot())
        report = self.options().get("report")
        return result if report is None else result.with_report(report)

    def expected_files(self) -> dict[str, str]:
        """Content of the generated files, by name."""
        result = self.translate()
        transaction = msgspec.json.decode(ir.encode(ir_transaction(None, result.ir, 1)))
        files = {"ir.yaml": dump(transaction), "status.yaml": dump(short(result))}
        if "provision" in self.options():
            files["infrastructure.yaml"] = dump(infrastructure(result))
        return files


def cases() -> Iterator[Case]:
    """All cases, sorted."""
    for path in sorted(ROOT.glob("*/*/in.yaml")):
        yield Case(path.parent)


def dump(value: object) -> str:
    """YAML as people like it: in the order given, long strings unbroken."""
    text: str = yaml.safe_dump(value, sort_keys=False, width=10_000, allow_unicode=True)
    return text


def short(result: Translation) -> dict[str, Any]:
    """Statuses with a line for each condition, and a line for each problem."""
    statuses = {str(key): _short(to_document(status)) for key, status in sorted(result.statuses.items())}
    problems = [
        f"{item.severity} {item.object} {item.field}: [{item.code}] {item.message} -> {item.remedy}"
        for item in result.diagnostics
    ]
    return {"statuses": statuses, "problems": problems}


def infrastructure(result: Translation) -> dict[str, Any]:
    """Data planes, by name."""
    return {
        key: {
            "gateways": [str(item) for item in plane.gateways],
            **({"kept": True} if plane.kept else {}),
            **({"retained": sorted(str(item) for item in plane.retained)} if plane.retained else {}),
            "objects": msgspec.json.decode(msgspec.json.encode(plane.objects)),  # nothing is shared: no anchors
        }
        for key, plane in sorted(result.infrastructure.items())
    }


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        made = {key: _short(item) for key, item in value.items()}
        if "conditions" in value:
            made["conditions"] = {
                item["type"]: f"{item['status']} {item['reason']} @{item['observedGeneration']}: {item['message']}"
                for item in value["conditions"]
            }
        if "supportedFeatures" in made:
            made["supportedFeatures"] = len(value["supportedFeatures"])
        if "supportedKinds" in made:
            made["supportedKinds"] = [item["kind"] for item in value["supportedKinds"]]
        made.pop("controllerName", None)
        return made
    if isinstance(value, (list, tuple)):
        return [_short(item) for item in value]
    return value
