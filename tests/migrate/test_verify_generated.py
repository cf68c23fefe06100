"""Generated Ingresses: whatever is answered otherwise than by the model of ingress-nginx is named in the report.

`TEST_MIGRATE_SEEDS=2000` searches longer.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest
from generated_ingresses import generated, options_of
from ingress_objects import silent, verified
from migrate_cases import Case, cases

from sluicegate.testing.migration import verify

SEEDS = int(os.environ.get("TEST_MIGRATE_SEEDS", "200"))
#: Seeds of one test.
BLOCK = 20


@pytest.mark.parametrize("start", range(0, SEEDS, BLOCK))
def test_every_difference_is_named(start: int, record_property: Callable[[str, object], None]) -> None:
    figures: Counter[str] = Counter()
    faults: list[str] = []
    for seed in range(start, start + BLOCK):
        found, _ = verified(generated(seed), seed, **options_of(seed))
        figures += Counter(asked=found.asked, equal=found.equal, named=found.named, unnamed=found.unnamed)
        faults += [f"seed {seed}: {line}" for line in silent(found)]
    for name, number in figures.items():
        record_property(name, number)
    assert not faults, "\n".join(faults[:20])
    assert figures["unnamed"] == 0
    # Were everything named, nothing would be compared.
    assert figures["equal"] > figures["asked"] / 3, figures


@pytest.mark.parametrize(
    "case", [item for item in cases() if item.provider.name == "nginx"], ids=lambda case: case.name
)
def test_every_difference_of_a_case_is_named(case: Case) -> None:
    files, options = case.files(), case.options()
    found = verify(files.inventory, case.convert(), options)
    assert silent(found) == []
    assert found.unnamed == 0
