"""Examples of Hypothesis from seeded octets: the same ones in every run, each drawn without regard to those before.

Hypothesis's own generation mixes in constants of the modules that happen to be loaded, and makes variations of what it
had; so what a run reaches would differ with the tests that ran before it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import InMemoryExampleDatabase

#: What one example may be drawn from; the largest takes less than a third.
MAX_OCTETS = 16_384


def run_examples(check: Callable[[], None], count: int, *, seed: int = 0, shrinks: bool = True) -> None:
    """Call a test that `given` has made with `count` examples.

    Args:
        check: The test.
        count: Examples.
        seed: Of what they are drawn from.
        shrinks: Whether an example that fails is made smaller before it is shown.

    Raises:
        AssertionError: the test's own, or an example could not be drawn.
    """
    tried = settings(
        database=InMemoryExampleDatabase(),
        deadline=None,
        phases=(Phase.reuse, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )(check)
    random = Random(seed)
    try:
        for _ in range(count):
            assert tried.hypothesis.fuzz_one_input(random.randbytes(MAX_OCTETS)) is not None
    except AssertionError:
        if shrinks:
            tried()  # the example that failed is in the database
        raise
