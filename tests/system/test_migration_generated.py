"""Generated Ingresses on a real nginx: the model of `migrate --verify` answers what nginx answers.

The table that is compared with the model is held against the engine elsewhere (`test_migration_nginx.py`); so what
`tests/migrate/test_verify_generated.py` compares with the model is compared with nginx here. With `-s` the figures are
printed. `TEST_MIGRATE_SEEDS=1000` and `TEST_MIGRATE_PROBES=500` ask more.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nginx_process
import pytest
import wire
from generated_ingresses import generated
from ingress_objects import PREFIX, SETTINGS, inventory_of, model_of
from nginx_configuration import Place, configuration
from nginx_process import Nginx
from nginx_site import Site
from system_backends import Backend
from system_certificates import Authority, Pair
from system_gateway import own_address
from system_nginx import OFFSET, OTHERS, as_far

from sluicegate.controller.ingress.probes import plan
from sluicegate.testing.migration.compare import differences

SEEDS = int(os.environ.get("TEST_MIGRATE_SEEDS", "30"))
#: Requests of a seed, and seeds of a test.
PROBES = int(os.environ.get("TEST_MIGRATE_PROBES", "8"))
BLOCK = 50


@pytest.fixture(scope="module")
def binary() -> str:
    found = nginx_process.program()
    if found is None:
        pytest.skip(nginx_process.MISSING)
    return found


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.sign("example.com")


class Backends:
    """A backend for each port of a Service, the same for all seeds."""

    def __init__(self) -> None:
        self._found = {"authoriser": Backend(wire.backend("authoriser"))}

    def at(self, names: Iterable[str]) -> dict[str, tuple[str, int]]:
        """Where each is."""
        for name in names:
            if name not in self._found:
                self._found[name] = Backend(wire.backend(name))
        return {name: item.address for name, item in self._found.items()}

    def close(self) -> None:
        for item in self._found.values():
            item.close()


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    found = Backends()
    yield found
    found.close()


def for_nginx(seed: int) -> list[dict[str, Any]]:
    """The objects of a seed, without what the backends and clients of these tests cannot do."""
    documents = generated(seed)
    for item in documents:
        annotations = item["metadata"].get("annotations", {})
        for name in OTHERS:
            annotations.pop(f"{PREFIX}{name}", None)
    return documents


def is_taken(site: Site) -> bool:
    """Whether nginx takes the configuration.

    Not with a location twice in a server, unless they are expressions, and not with `www.` before a wildcard. What
    the configuration cannot say is left out too: the certificate of one name of a server that another one lacks.
    """
    if any("*" in host for host in site.redirects):
        return False
    secured: dict[str, bool] = {}
    for server in site.servers.values():
        for alias in server.aliases:
            if secured.setdefault(alias, server.certified) != server.certified or ("*" in alias and server.certified):
                return False
    for server in site.servers.values():
        places = [(item.path, item.exact) for item in server.locations]
        if len(set(places)) < len(places) and not server.regex:
            return False
    return True


@pytest.mark.parametrize("start", range(0, SEEDS, BLOCK))
def test_the_model_says_what_nginx_does(
    start: int, binary: str, pair: Pair, backends: Backends, tmp_path: Path
) -> None:
    counts: Counter[str] = Counter()
    faults: list[str] = []
    address, http, https = own_address(), 80 + OFFSET, 443 + OFFSET
    certificate = pair.write(tmp_path, "certificate")
    for seed in range(start, min(start + BLOCK, SEEDS)):
        documents = for_nginx(seed)
        site, model = Site(documents, "/".join(SETTINGS)), model_of(*documents)
        if not is_taken(site):
            counts["refused"] += 1
            continue
        at = backends.at(item.backend for item in site.upstreams.values() if item.is_there)
        place = Place(tmp_path, address, http, https, certificate, at, at["authoriser"], wire.PASSWORDS)
        nginx = Nginx(binary, configuration(site, place), tmp_path, address, http)
        try:
            asked = list(plan(inventory_of(documents).ingresses, seed))
            for probe in random.Random(seed).sample(asked, min(PROBES, len(asked))):
                said = model.answer(probe)
                seen = as_far(wire.ask(probe, wire.Entry(address, http, https)), said)
                counts["asked"] += 1
                wrong = differences(probe, said, seen)
                if wrong:
                    faults.append(
                        f"seed {seed}: {probe.curl} [{probe.edge}] from {probe.client}: {', '.join(wrong)}: "
                        f"said: {said} {said.fields}; seen: {seen} {seen.fields}"
                    )
        finally:
            nginx.stop()
    print(f"\n{dict(counts)}, {len(faults)} differ")
    assert not faults, "\n".join(faults[:20])
    assert counts["refused"] < BLOCK / 4, "most seeds are for nginx"
