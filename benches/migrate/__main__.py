"""`make bench-migrate`: the same Ingresses through `sluicegate migrate` and ingress2gateway, and requests to both.

Both outputs are loaded into the same native table, and asked the same requests as `sluicegate migrate --verify` asks.
Exit status 0: it was measured. 3: there is no ingress2gateway, which README.md says how to get.
"""

from __future__ import annotations

import argparse
import datetime
import random
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benches.migrate.converters import Result, ours, theirs
from benches.migrate.inputs import inputs
from benches.migrate.verdict import Tally, Verdict, judge
from sluicegate import __version__
from sluicegate.controller.ingress.probes import Probe, plan
from sluicegate.testing.migration.verify import objects_of

RESULTS = Path(__file__).parents[1] / "results" / "migrate.json"
NOT_MEASURED = 3
#: Requests of an input: more of them look at the same again.
PROBES = 400
CONVERTERS = ("sluicegate", "sluicegate --standard-only", "ingress2gateway")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.migrate", description=__doc__)
    parser.add_argument("--converter", default="ingress2gateway", help="the program (default: on the path)")
    parser.add_argument("--update", action="store_true", help="write benches/results/migrate.json")
    parser.add_argument("--each", action="store_true", help="print each input")
    given = parser.parse_args()
    binary = shutil.which(given.converter)
    if binary is None:
        print(f"NOT MEASURED: there is no {given.converter}; benches/migrate/README.md says how to get it")
        return NOT_MEASURED
    totals: dict[str, dict[str, Tally]] = {}
    each: dict[str, dict[str, dict[str, int]]] = {}
    refused: dict[str, str] = {}
    for group, case in inputs():
        inventory, options = case.files().inventory, case.options()
        objects = objects_of(inventory, options)
        probes = some(list(plan(inventory.ingresses)))
        made: dict[str, Result] = {
            CONVERTERS[0]: ours(inventory, options, objects, standard_only=False),
            CONVERTERS[1]: ours(inventory, options, objects, standard_only=True),
            CONVERTERS[2]: theirs(binary, case.documents(), inventory),
        }
        for name, result in made.items():
            counts = judge(result, inventory, objects, probes)
            totals.setdefault(group, {}).setdefault(name, Tally()).add(counts)
            each.setdefault(f"{group}/{case.name}", {})[name] = {str(item): counts[item] for item in Verdict}
        if made[CONVERTERS[2]].refused:
            refused[f"{group}/{case.name}"] = made[CONVERTERS[2]].refused
    show(totals)
    if given.each:
        print(msgspec.json.format(msgspec.json.encode({"each": each, "refused": refused}), indent=2).decode())
    if given.update:
        document = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "versions": {"sluicegate": __version__, "ingress2gateway": version(binary)},
            "totals": totals,
            "each": each,
            "refused": refused,
        }
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        print(f"written: {RESULTS}")
    return 0


def some(probes: list[Probe]) -> list[Probe]:
    """Some of the requests, the same every time."""
    return probes if len(probes) <= PROBES else random.Random(0).sample(probes, PROBES)


def version(binary: str) -> str:
    """What the program says that it is."""
    done = subprocess.run([binary, "version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].rpartition(" ")[2]


def show(totals: dict[str, dict[str, Tally]]) -> None:
    for group, tallies in totals.items():
        table = Table(title=f"{group}: requests to what came out, beside ingress-nginx")
        for title in ("converter", "inputs", "nothing wrong without a word", *map(str, Verdict)):
            table.add_column(title, justify="left" if title == "converter" else "right")
        for name, tally in tallies.items():
            figures = (tally.inputs, tally.clean, *(tally.requests[item] for item in Verdict))
            table.add_row(name, *(f"{figure:,}" for figure in figures))
        Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
