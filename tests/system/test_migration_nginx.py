"""Cases of the migration against a real nginx: the same requests to it and to the converted manifests on the engine.

nginx runs what the annotations would have become in ingress-nginx (`tests/migrate/nginx_configuration.py`, which knows
nothing of the converter or of the model). Three things hold of every request:

- the model of `migrate --verify` answers what nginx answers;
- the table that `migrate --verify` asks answers what the engine answers;
- where nginx and the engine differ, the report of the conversion names it.

With `-s` the figures are printed. `TEST_MIGRATE_PROBES=5000` asks more of each case.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import nginx_process
import pytest
import wire
from migrate_cases import Case, cases
from system_certificates import Authority, Pair
from system_gateway import Gateway
from system_manifests import service
from system_nginx import OFFSET, Twins, fits

from sluicegate.controller.ingress.probes import Answer, Probe, plan
from sluicegate.testing.migration.compare import differences
from sluicegate.testing.migration.premises import Naming
from sluicegate.testing.migration.verify import by_host

#: Requests of a case.
PROBES = int(os.environ.get("TEST_MIGRATE_PROBES", "150"))
CASES = [case for case in cases() if fits(case)]


@pytest.fixture(scope="module")
def binary() -> str:
    found = nginx_process.program()
    if found is None:
        pytest.skip(nginx_process.MISSING)
    return found


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.sign("example.com")


@pytest.fixture(scope="module")
def engine(start: Callable[..., Gateway], binary: str) -> Gateway:
    """One for all cases: each writes its manifests over those before it."""
    return start(*service("nobody", ("192.0.2.1", 80)), arguments=("--port-offset", str(OFFSET)))


@pytest.fixture(scope="module")
def figures() -> Iterator[Counter[str]]:
    """What is printed at the end."""
    found: Counter[str] = Counter()
    yield found
    print(f"\n{found['cases']} cases, {found['asked']} requests: {found['equal']} equal, {found['named']} named")


def asked(twins: Twins) -> list[Probe]:
    """Some of the requests of the plan, the same every time; the first ones are the plain ones of each host."""
    found = list(plan(twins.inventory.ingresses))
    return found if len(found) <= PROBES else random.Random(0).sample(found, PROBES)


def line(probe: Probe, said: Answer, seen: Answer) -> str:
    wrong = ", ".join(differences(probe, said, seen))
    found = [f"{item} {item.fields} {item.sent}" for item in (said, seen)]
    return f"{probe.curl} [{probe.edge}] from {probe.client}: {wrong}: said: {found[0]}; seen: {found[1]}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_differs_without_a_word(
    case: Case, binary: str, engine: Gateway, pair: Pair, figures: Counter[str], tmp_path: Path
) -> None:
    twins = Twins(case)
    naming = Naming(twins.objects, twins.conversion.losses, by_host(twins.inventory.ingresses))
    model: list[str] = []
    table: list[str] = []
    silent: list[str] = []
    counts: Counter[str] = Counter(cases=1)
    try:
        twins.run(binary, engine, pair, tmp_path)
        for probe in asked(twins):
            found = twins.ask(probe)
            counts["asked"] += 1
            if differences(probe, found.model, found.nginx):
                model.append(line(probe, found.model, found.nginx))
            said = wire.as_seen(found.table.answer)
            if differences(probe, said, found.engine):
                table.append(line(probe, said, found.engine))
            different = differences(probe, found.nginx, found.engine)
            if not different:
                counts["equal"] += 1
            elif naming.names(probe, found.model, found.table, different) is None:
                silent.append(line(probe, found.nginx, found.engine))
            else:
                counts["named"] += 1
    finally:
        twins.close()
    figures.update(counts)
    faults = {"the model says what nginx does not": model, "the table says what the engine does not": table}
    faults["nobody names it"] = silent
    assert not any(faults.values()), "\n".join(
        f"{what}: {item}" for what, items in faults.items() for item in items[:10]
    )
    assert counts["equal"], "were everything different, nothing would be compared"


def test_most_cases_are_asked() -> None:
    """Were they left out one by one, nobody would see it."""
    assert len(CASES) >= 80
