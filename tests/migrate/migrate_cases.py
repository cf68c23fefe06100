"""Golden cases of migrations: what they are made of, and how their expected files come about.

A case is a directory `tests/migrate/cases/<case>/` with one aim:

- `in.yaml`: Ingresses and what they use; the first line is a comment that says the aim;
- `options.yaml` (optional): fields of `Options` by name, and `provider`, which is `nginx` without it;
- `out.yaml`: the manifests with their comments; `losses.yaml`: what became of annotations and fields, a line each.
  Both are written by `python tests/migrate/migrate_cases.py --write` and read by people before they are committed.

They stand apart from `tests/golden`, whose cases are all what the translator is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from sluicegate.checks import native_checks
from sluicegate.cli.annotated_yaml import write_manifests
from sluicegate.cli.ingress_files import IngressFiles, read_ingresses
from sluicegate.controller.ingress import PROVIDERS, Conversion, Name, Options, Provider, convert

ROOT = Path(__file__).parent / "cases"
#: Those of real charts, which have `asked.yaml` besides: requests, and what users of the chart expect of them.
CHARTS = Path(__file__).parent / "charts"
#: Fields of `Options` that are names of objects.
NAMES = ("config_map", "gateway", "default_certificate", "tcp_services", "udp_services")


class _Loader(yaml.SafeLoader):
    """Times are texts, as an API server gives them."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in rows if not tag.endswith(":timestamp")]
        for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True)
class Case:
    """One golden case."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.name

    def files(self) -> IngressFiles:
        """What `in.yaml` holds; places are of that file, wherever the tests run."""
        before = Path.cwd()
        os.chdir(self.path)
        try:
            return read_ingresses(["in.yaml"])
        finally:
            os.chdir(before)

    def documents(self) -> list[dict[str, Any]]:
        """The objects of `in.yaml`, as they are written."""
        return [item for item in yaml.load_all((self.path / "in.yaml").read_text(), _Loader) if item]

    def options(self) -> Options:
        """The options of the case."""
        found = self._written()
        found.pop("provider", None)
        for name in NAMES:
            if name in found:
                found[name] = Name(*found[name].split("/"))
        return Options(pattern_error=lambda pattern: native_checks().pattern(pattern).error, **found)

    def _written(self) -> dict[str, Any]:
        path = self.path / "options.yaml"
        return yaml.safe_load(path.read_text()) if path.exists() else {}

    @property
    def provider(self) -> Provider:
        """Whose Ingresses they are."""
        return PROVIDERS[self._written().get("provider", "nginx")]

    def convert(self) -> Conversion:
        """Convert the case."""
        return convert(self.files().inventory, self.provider, self.options())

    def expected_files(self) -> dict[str, str]:
        """Content of the generated files, by name."""
        conversion = self.convert()
        problems = [str(item) for item in self.files().problems]
        told = [*problems, *map(str, conversion.fates)]
        return {
            "out.yaml": "".join(f"{line}\n" for line in write_manifests(conversion.objects)),
            "losses.yaml": yaml.safe_dump(told, width=10_000, allow_unicode=True),
        }


def cases() -> Iterator[Case]:
    """All cases, sorted."""
    for path in sorted([*ROOT.glob("*/in.yaml"), *CHARTS.glob("*/in.yaml")]):
        yield Case(path.parent)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
    from regenerate import main

    sys.exit(main(cases(), __doc__))
