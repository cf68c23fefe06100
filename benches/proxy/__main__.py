"""Runs the comparison, prints a table, writes JSON and a plot."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benches.proxy import backends, builds, report
from benches.proxy.load import measure, pace_of
from benches.proxy.peers import PEERS, REFERENCE
from benches.proxy.peers.site import Backends, Certificate, Peer, Site, make_certificate
from benches.proxy.processes import (
    CORES,
    OTHER_CORES,
    PROXY_CORES,
    machine_seconds,
    own_seconds,
    raise_descriptors,
    started,
)
from benches.proxy.shapes import IDLE_CONNECTIONS, SHAPES, Driver, Shape
from benches.proxy.verdict import Row, Sample, rows_of, troubles

RESULTS = Path(__file__).parents[1] / "results"
#: Ports are fixed: everything is on loopback and ends with this process. Ten for each proxy, and ten for one more of it
#: that is started anew where memory is measured.
FIRST_PORT = 21_000
#: The peer whose most sets the pace.
PACEMAKER = "nginx"


@dataclass(frozen=True)
class Running:
    """A proxy that runs, and where another one of it can be started."""

    peer: Peer
    pid: int
    make: Callable[[Site], Peer]
    spare: Site


def main() -> int:
    arguments = parse()
    shapes = [SHAPES[name] for name in arguments.shape or SHAPES]
    if raise_descriptors() < 3 * IDLE_CONNECTIONS:
        raise SystemExit(f"at least {3 * IDLE_CONNECTIONS} descriptors are needed: ulimit -Hn")
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # nginx's workers are another user where it is started by root
        peers = {name: PEERS[name] for name in arguments.peers}
        if arguments.builds:
            peers = builds.peers_of(arguments.builds, folder)
        running = start_all(stack, folder, peers)
        steps = steps_of(shapes, running, arguments.rounds)
        if not steps:
            raise SystemExit("none of these peers can be measured in any of these shapes")
        began, machine, own = time.monotonic(), machine_seconds(), own_seconds()
        rates: dict[tuple[int, str], float] = {}
        for number, (round_, shape, name) in enumerate(steps, 1):
            rate, each = None, running[name]
            if shape.paced:  # the same for all of a round
                if (round_, shape.name) not in rates:
                    rates[round_, shape.name] = pace_of(shape, running[PACEMAKER].peer, folder)
                rate = rates[round_, shape.name]
            sample = one(shape, each, folder, arguments.seconds, rate)
            told = f"{report.number(sample.value)} {shape.figure}, {sample.per_second:,.0f}/s, {sample.busy:.0%} busy"
            kept = f"round {round_}" if round_ else "warm-up"
            print(f"[{number}/{len(steps)}] {kept}, {shape.name}, {name}: {told}", file=sys.stderr, flush=True)
            if round_:
                samples[shape.name, name].append(sample)
        strange = machine_seconds() - machine - (own_seconds() - own)
        others = max(0.0, strange / (time.monotonic() - began) / CORES)
    if arguments.builds:
        earlier, *later = arguments.builds
        for each in later:
            found = builds.compare(shapes, samples, earlier, each)
            builds.show(found, earlier, each, troubles(samples, others))
        return 0
    rows = rows_of(shapes, samples)
    names = arguments.peers
    settings = {"rounds": arguments.rounds, "seconds": arguments.seconds, "peers": names, "others": round(others, 3)}
    document = report.document(rows, samples, settings)
    if arguments.output == "json":
        print(json.dumps(document, indent=2))
    else:
        report.show(rows, troubles(samples, others), arguments.rounds)
    write(arguments.results, document, rows, is_whole=not arguments.shape and set(names) == set(PEERS))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.proxy", description=__doc__)
    parser.add_argument("--shape", action="append", choices=SHAPES, metavar="NAME", help=", ".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=5, help="that count; one before them warms up")
    parser.add_argument("--seconds", type=int, default=3, help="of load in each round")
    parser.add_argument("--peers", default=list(PEERS), type=lambda text: text.split(","), help=",".join(PEERS))
    parser.add_argument(
        "--builds",
        type=builds.parse_builds,
        metavar="NAME=PATH,NAME=PATH",
        help="in place of peers: native libraries, or source trees that are built, the earlier first",
    )
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument(
        "--results", type=Path, help=f"folder for proxy.json and proxy.svg; else {RESULTS}, if all is run"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return arguments


def start_all(
    stack: contextlib.ExitStack, folder: Path, peers: Mapping[str, Callable[[Site], Peer]]
) -> dict[str, Running]:
    ports = Backends(http=FIRST_PORT, grpc=FIRST_PORT + 1, udp=FIRST_PORT + 2)
    certificate = make_certificate(folder)
    for name, command, listens in (
        ("http", backends.http(folder, ports.http), [ports.http]),
        ("grpc", backends.grpc(folder, ports.grpc), [ports.grpc]),
        ("udp", backends.udp(ports.udp), []),
    ):
        stack.enter_context(started(command, OTHER_CORES, listens, folder / f"{name}.out"))
    running = {}
    for number, (name, make) in enumerate(peers.items(), 1):
        site, spare = (site_of(folder, ports, certificate, name, 2 * number + more) for more in (0, 1))
        peer = make(site)
        running[name] = Running(peer, stack.enter_context(run(peer, site)), make, spare)
    return running


def site_of(folder: Path, ports: Backends, certificate: Certificate, name: str, number: int) -> Site:
    own = folder / f"{name}-{number}"
    own.mkdir()
    return Site(own, FIRST_PORT + 10 * number, ports, certificate)


@contextlib.contextmanager
def run(peer: Peer, site: Site) -> Iterator[int]:
    """Run a proxy; its process."""
    listens = [port for entry, port in peer.ports.items() if entry != "udp"]
    with started(peer.command, PROXY_CORES, listens, site.folder / "out") as process:
        yield process.pid


def steps_of(shapes: list[Shape], running: Mapping[str, Running], rounds: int) -> list[tuple[int, Shape, str]]:
    """Rounds, in each all shapes, in each all proxies: so a noisy neighbour meets all alike. Round 0 warms up."""
    for shape in shapes:
        if shape.paced and PACEMAKER not in running:
            print(f"# {shape.name} is left out: its pace is a part of what {PACEMAKER} can do", file=sys.stderr)
    return [
        (round_, shape, name)
        for round_ in range(rounds + 1)
        for shape in shapes
        if not shape.paced or PACEMAKER in running
        for name, each in running.items()
        if shape.entry in each.peer.ports and name not in shape.spared and (shape.reference or name != REFERENCE)
        if round_ or shape.driver is not Driver.IDLE
    ]


def one(shape: Shape, each: Running, folder: Path, seconds: int, rate: float | None) -> Sample:
    """One round of one proxy; memory is that of a new process, since what was freed before would be used again."""
    if shape.driver is not Driver.IDLE:
        return measure(shape, each.peer, each.pid, folder, seconds, rate)
    with tempfile.TemporaryDirectory(dir=each.spare.folder) as place:
        site = Site(Path(place), each.spare.first_port, each.spare.backends, each.spare.certificate)
        peer = each.make(site)
        with run(peer, site) as pid:
            return measure(shape, peer, pid, folder, seconds, rate)


def write(chosen: Path | None, document: dict[str, object], rows: list[Row], *, is_whole: bool) -> None:
    """Write the results; those of a part only where a folder was given."""
    if chosen is None and not is_whole:
        print("not written: not every shape with every peer; --results FOLDER writes it", file=sys.stderr)
        return
    folder = chosen or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "proxy.json").write_text(json.dumps(document, indent=2) + "\n")
    report.plot(rows, folder / "proxy.svg")
    print(f"written: {folder / 'proxy.json'}, {folder / 'proxy.svg'}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
