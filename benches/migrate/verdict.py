"""How an answer of converted manifests is judged. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from sluicegate.controller.ingress import Inventory
from sluicegate.controller.ingress.model import Objects
from sluicegate.controller.ingress.probes import Probe
from sluicegate.testing.migration.compare import differences
from sluicegate.testing.migration.converted import Converted
from sluicegate.testing.migration.premises import Naming
from sluicegate.testing.migration.verify import by_host

from .converters import Result


class Verdict(StrEnum):
    """What an answer is, beside that of ingress-nginx."""

    EQUAL = "equal"
    TOLD = "told"
    SILENT = "silent"
    REFUSED = "refused"


class Tally(msgspec.Struct):
    """Figures of a converter.

    Attributes:
        inputs: number of inputs.
        clean: of those without a wrong answer that nobody told.
        requests: number of requests, by verdict.
    """

    inputs: int = 0
    clean: int = 0
    requests: dict[str, int] = msgspec.field(default_factory=lambda: {str(item): 0 for item in Verdict})

    def add(self, verdicts: Counter[Verdict]) -> None:
        """Count an input."""
        self.inputs += 1
        self.clean += not verdicts[Verdict.SILENT] and not verdicts[Verdict.REFUSED]
        for verdict, number in verdicts.items():
            self.requests[verdict] += number


def judge(result: Result, inventory: Inventory, objects: Objects, probes: Iterable[Probe]) -> Counter[Verdict]:
    """Ask requests of what a converter made.

    Args:
        result: of the converter.
        inventory: what was converted.
        objects: what the model, which is right, is made of.
        probes: the requests.
    """
    found = list(probes)
    if result.refused:
        return Counter({Verdict.REFUSED: len(found)})
    table = Converted(result.conversion, inventory)
    # What every host has otherwise comes from the gateway, whoever converted.
    gateway = Naming(objects, (), by_host(inventory.ingresses))
    counts: Counter[Verdict] = Counter()
    for probe in found:
        right, made = gateway.model.answer(probe), table.answer(probe)
        different = differences(probe, right, made.answer)
        if not different:
            counts[Verdict.EQUAL] += 1
        elif gateway.names(probe, right, made, different) is not None or result.tells(probe, right, made, different):
            counts[Verdict.TOLD] += 1
        else:
            counts[Verdict.SILENT] += 1
    return counts
