"""How long a conversion of many Ingresses takes: `make bench-migrate-many`.

`sluicegate migrate` is run as people run it, on a terminal, with 10,000 Ingresses and with a tenth of them: read from
files, converted, and written. Exit status 1: it took more of a processor than `LIMIT` (by the clock it is as long where
nobody else wants that), the cost of one grows with their number by more than `GROWTH`, or the terminal has seen no bar.
"""

from __future__ import annotations

import argparse
import datetime
import os
import pty
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

RESULTS = Path(__file__).parents[1] / "results" / "migrate-many.json"
NUMBER, SHARE, FILES = 10_000, 10, 100
#: Seconds of a processor that the most may take, and how much dearer each of them may be than each of a tenth.
LIMIT, GROWTH = 20.0, 1.5
#: What people see of it.
_BAR = re.compile(rb"(reading|converting) \[[#.]{20}\]")
#: Lossy ones, so that the exit status is not 0.
LOSSY = 3
#: Annotations of one in so many: what charts have.
_ANNOTATIONS = (
    {"proxy-body-size": "8m", "proxy-read-timeout": "600"},
    {"enable-cors": "true", "limit-rps": "10"},
    {"use-regex": "true", "rewrite-target": "/$2"},
    {"auth-url": "http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth", "affinity": "cookie"},
)


class Taken(NamedTuple):
    """What a run took.

    Attributes:
        seconds: by the clock.
        processor: seconds of processors.
        bars: which bars the terminal has seen.
    """

    seconds: float
    processor: float
    bars: frozenset[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.migrate.many", description=__doc__)
    parser.add_argument("--update", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--number", type=int, default=NUMBER, help="Ingresses (default: %(default)s)")
    given = parser.parse_args()
    few, many = run(given.number // SHARE), run(given.number)
    growth = many.processor / SHARE / few.processor
    within = many.processor <= LIMIT and growth <= GROWTH and many.bars == {"reading", "converting"}
    print(
        f"{given.number:,} Ingresses: {many.processor:.1f} s of a processor (limit {LIMIT:.0f}), {many.seconds:.1f} s "
        f"by the clock; each costs {growth:.2f} times what each of {given.number // SHARE:,} does (limit {GROWTH}); "
        f"bars: {', '.join(sorted(many.bars)) or 'none'}"
    )
    if given.update:
        document = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "ingresses": given.number,
            "processor_seconds": round(many.processor, 1),
            "growth": round(growth, 2),
        }
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return 0 if within else 1


def run(number: int) -> Taken:
    """Convert so many."""
    with tempfile.TemporaryDirectory(prefix="bench-migrate-") as folder:
        for index in range(FILES):
            path = Path(folder) / f"{index:03}.yaml"
            path.write_text("---\n".join(map(ingress, range(index, number, FILES))))
        leader, follower = pty.openpty()
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "sluicegate", "migrate", folder]
        with Path(os.devnull).open("wb") as nowhere:
            process = subprocess.Popen(command, stdout=nowhere, stderr=follower)
            os.close(follower)
            seen = b"".join(read(leader))
            status = process.wait()
        seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if status != LOSSY:
        raise SystemExit(f"migrate ended with status {status}: {seen[-2000:].decode(errors='replace')}")
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Taken(seconds, processor, frozenset(name.decode() for name in _BAR.findall(seen)))


def read(terminal: int) -> Iterator[bytes]:
    """What is written to a terminal, until its last user is gone."""
    try:
        while data := os.read(terminal, 65536):
            yield data
    except OSError:  # EIO: nobody has it open any more
        return
    finally:
        os.close(terminal)


def ingress(number: int) -> str:
    """One with a host of its own, two paths, and what one in a few has."""
    own = _ANNOTATIONS[number % len(_ANNOTATIONS)]
    annotations = "".join(f'    nginx.ingress.kubernetes.io/{key}: "{value}"\n' for key, value in own.items())
    kind, path = ("ImplementationSpecific", "/api(/|$)(.*)") if "use-regex" in own else ("Prefix", "/api")
    return f"""apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web-{number}
  namespace: team-{number % 50}
  annotations:
{annotations}spec:
  ingressClassName: nginx
  tls: [{{hosts: [host-{number}.example.com], secretName: host-{number}}}]
  rules:
  - host: host-{number}.example.com
    http:
      paths:
      - {{path: "{path}", pathType: {kind}, backend: {{service: {{name: api-{number}, port: {{number: 80}}}}}}}}
      - {{path: /login, pathType: Exact, backend: {{service: {{name: web-{number}, port: {{number: 80}}}}}}}}
"""


if __name__ == "__main__":
    sys.exit(main())
