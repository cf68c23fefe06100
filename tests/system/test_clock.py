"""A clock that jumps: tokens go by it, and neither budgets nor the age of keys do, nor anybody else."""

from __future__ import annotations

import json
import struct
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, response
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import gateway, policy, route, rule, service, target
from system_tokens import ISSUER, Issuer, bearer, key_set

PORT = 8080
HOST = "clock.test"
HOUR = 3600
#: The calendar's clock, so many seconds ahead as the first eight octets of a file say.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_AHEAD"), O_RDONLY);
    if (file < 0) abort();
    void *found = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (found == MAP_FAILED) abort();
    ahead = found;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*own)(clockid_t, struct timespec *);
    if (own == NULL) own = dlsym(RTLD_NEXT, "clock_gettime");
    int result = own(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && ahead != NULL) now->tv_sec += *ahead;
    return result;
}
"""


class Clock:
    """What a process that begins with `prefix` takes for the time."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ahead"
        self.set(0)
        (folder / "clock.c").write_text(CLOCK)
        library = folder / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "clock.c", "-ldl"], check=True)
        self.prefix = ("env", f"LD_PRELOAD={library}", f"CLOCK_AHEAD={self.file}")

    def set(self, seconds: int) -> None:
        with self.file.open("r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    return Clock(tmp_path_factory.mktemp("clock"))


def test_a_clock_that_jumps(start: Any, backend: Any, client: type[Http1] | type[Http2], clock: Clock) -> None:
    clock.set(0)
    issuer = Issuer("one")
    app: Backend = backend("app")
    login: Backend = backend(lambda _: response(key_set(issuer.jwk())))
    keys = {"backendRef": {"name": "login", "port": 80}, "path": "/keys", "refresh": "12h"}
    provider = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": keys}
    limit = {"name": "two", "requests": 2, "per": "1h"}
    running: Gateway = start(
        gateway(),
        *(route(rule(f"/{name}", "app"), name=name) for name in ("token", "limit", "open")),
        policy("AccessPolicy", "token", target("HTTPRoute", "token"), jwt={"providers": [provider]}),
        policy("RateLimitPolicy", "limit", target("HTTPRoute", "limit"), local={"limits": [limit]}),
        *service("app", app.address),
        *service("login", login.address),
        prefix=clock.prefix,
    )
    now = int(time.time())
    tokens = {
        "short": bearer(issuer.token(exp=now + 300)),
        "long": bearer(issuer.token(exp=now + 100 * HOUR)),
        "later": bearer(issuer.token(exp=now + 100 * HOUR, nbf=now)),
    }

    def status(path: str, *fields: tuple[str, str]) -> int:
        with closing(client(running.address, PORT)) as connection:
            return int(connection.request("GET", HOST, path, fields).status)

    until(lambda: status("/token", tokens["long"]) == 200, "the keys are there")
    assert [status("/limit") for _ in range(3)] == [200, 200, 429]
    for ahead, expected in (
        (0, {"short": 200, "long": 200, "later": 200}),
        # Keys that were fetched a moment ago are no older for that.
        (25 * HOUR, {"short": 401, "long": 200, "later": 200}),
        (-25 * HOUR, {"short": 200, "long": 200, "later": 401}),
        (1000 * HOUR, {"short": 401, "long": 401, "later": 401}),
        (-now, {"short": 200, "long": 200, "later": 401}),
        (0, {"short": 200, "long": 200, "later": 200}),
    ):
        clock.set(ahead)
        # The second time what was verified is remembered.
        for _ in range(2):
            assert {name: status("/token", token) for name, token in tokens.items()} == expected, ahead
        assert (status("/limit"), status("/open")) == (429, 200), ahead
        metrics = running.admin("/metrics")
        assert 'sluicegate_provider_keys{source="default/login:80/keys"} 1' in metrics
    assert len(login.requests) == 1
    assert json.loads(running.admin("/config"))
