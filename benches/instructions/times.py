"""`make bench-steps`: how long each step of `steps` takes a request, on this machine.

The engine decides about a head, writes what goes to the backend and chooses its endpoint, again and again on one
thread, without a network (`Engine.bench`). Steps take turns, round by round, so that whatever else the machine does
meets all of them. A step takes what its round takes more than the same round without a policy; the median of the rounds
counts. Beside a token that nobody has seen before stands what the crypto library takes for a signature in the same
rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.instructions import steps
from sluicegate import _native

RESULTS = Path(__file__).parents[1] / "results" / "steps.json"
ADDRESS = "127.77.0.3"
ANY_PORT = 0
#: Nobody is there: nothing is sent.
BACKEND = 9
#: Of one round.
REQUESTS = 5_000
#: Of one round with new tokens: each of them has to be signed.
NEW_TOKENS = 200
ROUNDS = 101
PLAIN = "plain"
NEW_TOKEN, SIGNATURE = "jwt-new", "signature"
#: What a token that is new may take of what its signature takes.
SHARE = 1.1
STEPS = {**steps.STEPS, NEW_TOKEN: steps.NEW_TOKEN}


@dataclass(frozen=True)
class Time:
    """What a step takes.

    Attributes:
        nanoseconds: the median of the rounds.
        middle: from where to where the middle half of the rounds is.
        bar: nanoseconds that it may take.
    """

    nanoseconds: float
    middle: tuple[float, float]
    bar: float

    @property
    def verdict(self) -> str:
        """Whether it is within its bar."""
        return "reached" if self.nanoseconds <= self.bar else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.instructions.times", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each step (default: %(default)s)")
    parser.add_argument("--update", action="store_true", help=f"write what is measured to {RESULTS.name}")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        run = {name: stack.enter_context(prepared(step)) for name, step in STEPS.items()}
        run[SIGNATURE] = signature
        rounds = [{name: once() for name, once in run.items()} for _ in range(arguments.rounds)]
    bare = statistics.median(round_[SIGNATURE] for round_ in rounds)
    bars = {name: step.bar * 1_000 for name, step in STEPS.items() if step.bar}
    plain, times = times_of(rounds, {**bars, NEW_TOKEN: bare * SHARE})
    show(plain, bare, times)
    if arguments.update:
        write(plain, bare, times)
        print(f"written: {RESULTS}")
    return 0


@contextlib.contextmanager
def prepared(step: steps.Step) -> Iterator[Callable[[], float]]:
    """An engine with the configuration of a step; what is given runs a round: nanoseconds for each request.

    Of the processor's time, so that what else the machine does counts little.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head = steps.write(step, folder, ADDRESS, ANY_PORT, BACKEND)
        engine = _native.Engine((folder / "settings.json").read_bytes())
        try:
            report = json.loads(engine.apply((folder / "engine.json").read_bytes()))
            if any(listener.get("error") for listener in report["listeners"]):
                raise SystemExit(f"the engine cannot listen: {report}")

            def once() -> float:
                is_new = step is steps.NEW_TOKEN
                heads, times = ([steps.head(step) for _ in range(NEW_TOKENS)], 1) if is_new else ([head], REQUESTS)
                began = time.thread_time_ns()
                engine.bench(heads, times)
                return (time.thread_time_ns() - began) / (len(heads) * times)

            once()  # what is verified once is remembered from here on
            yield once
        finally:
            engine.shutdown()


def signature() -> float:
    """Nanoseconds of the processor's time that the crypto library takes to verify the signature of a token.

    Of tokens that are new as well: the same one again and again is verified a tenth faster, since a processor learns
    where its computation branches.
    """
    return _native.bench_signatures([steps.token() for _ in range(NEW_TOKENS)], steps.key_set())


def times_of(rounds: list[dict[str, float]], bars: dict[str, float]) -> tuple[float, dict[str, Time]]:
    """What a request without a policy takes, and what each step takes more. Nanoseconds; pure."""
    times = {}
    for name, bar in bars.items():
        more = [round_[name] - round_[PLAIN] for round_ in rounds]
        low, middle, high = statistics.quantiles(more, n=4)
        times[name] = Time(middle, (low, high), bar)
    return statistics.median(round_[PLAIN] for round_ in rounds), times


def show(plain: float, bare: float, times: dict[str, Time]) -> None:
    title = f"What policies take of a request's time, in nanoseconds; without any it takes {plain:,.0f}"
    table = Table(title=f"{title}, a signature alone {bare:,.0f}")
    for name in ("step", "nanoseconds", "middle half", "share", "bar", ""):
        table.add_column(name, justify="left" if name in {"step", ""} else "right")
    for name, found in times.items():
        low, high = found.middle
        share = f"{found.nanoseconds / plain:+.0%}"
        row = (f"{found.nanoseconds:,.0f}", f"{low:,.0f} to {high:,.0f}", share, f"{found.bar:,.0f}", found.verdict)
        table.add_row(STEPS[name].title, *row)
    Console().print(table)


def write(plain: float, bare: float, times: dict[str, Time]) -> None:
    figures = {
        name: {"nanoseconds": round(found.nanoseconds), "bar": round(found.bar), "verdict": found.verdict}
        for name, found in times.items()
    }
    document = {
        "unit": "nanoseconds of a request on one thread from its head to its endpoint, without a network",
        "machine": platform.machine(),
        "without policies": round(plain),
        "a signature of a token alone": round(bare),
        "steps": figures,
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
