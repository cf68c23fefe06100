"""All cases of policies on one Gateway, and on another one the same without their policies; how both are asked."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from api import LIMIT, Api, Object, condition, kubectl
from backend_cases import AUTHORITY
from faults import LABEL, Serving
from harness.network import NODE_ADDRESS
from policy_cases import CASES
from policy_parts import (
    GATEWAY,
    GROUP,
    PLAIN,
    Answer,
    Case,
    Probe,
    Seen,
    config_map,
    named,
    objects,
    secret,
    without_policy,
)
from system_backends import Backend, Received
from traffic import get

from sluicegate.controller.translate.infrastructure.plane import ADMIN_PORT

TLS_PORT = 443


def until(holds: Callable[[], object], what: str) -> None:
    """Ask again until it holds."""
    deadline, pause = time.monotonic() + LIMIT, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"not within {LIMIT:g} s: {what}"
        pause.wait(0.05)


def gateway(name: str, **rest: object) -> Object:
    """A Gateway with HTTP and HTTPS, which validates the certificates that clients have."""
    reference = {"group": "", "kind": "ConfigMap", "name": "authority"}
    frontend = {"default": {"validation": {"caCertificateRefs": [reference], "mode": "AllowInsecureFallback"}}}
    https = {
        "name": "https",
        "protocol": "HTTPS",
        "port": TLS_PORT,
        "tls": {"certificateRefs": [{"name": "certificate"}]},
    }
    spec = {
        "gatewayClassName": "sluicegate",
        "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}, https],
        "tls": {"frontend": frontend},
        **rest,
    }
    return named(name, "Gateway", f"{GROUP}/v1", spec)


def address_of(api: Api, serving: Serving, name: str) -> str:
    """Where a Gateway is, once it is programmed."""
    found = api.until("Gateway", serving.namespace, name, lambda item: condition(item, "Programmed") == "True")
    return str(found["status"]["addresses"][0]["value"])


@dataclass
class Behind:
    """The backends of one case, or of its twin: in the test itself, so that it knows what they got."""

    case: Case
    backends: list[Backend] = field(default_factory=list)
    #: They answer.
    go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go.set()
        for answering in self.case.own:

            def answer(request: Received, answering: Callable[[Received], bytes | None] = answering) -> bytes | None:
                assert self.go.wait(LIMIT)
                return answering(request)

            tls = self.case.tls() if self.case.tls is not None else None
            self.backends.append(Backend(answer, listener=socket.create_server((NODE_ADDRESS, 0)), tls=tls))

    def arrived(self) -> int:
        return sum(len(each.requests) for each in self.backends)

    def close(self) -> None:
        self.go.set()
        for each in self.backends:
            each.close()


@dataclass(frozen=True)
class World:
    """All cases, and their twins."""

    api: Api
    serving: Serving
    #: By name of the Gateway.
    addresses: Mapping[str, str]
    tls: Mapping[bool, ssl.SSLContext]
    #: By name of the case or its twin.
    behind: Mapping[str, Behind]

    def ask(self, name: str, probe: Probe, *, gateway: str = GATEWAY) -> Answer:
        """Send a request of a case."""
        address = self.addresses[gateway]
        if probe.certificate is None:
            connection = http.client.HTTPConnection(address, 80, timeout=LIMIT)
        else:
            context = self.tls[probe.certificate]
            connection = http.client.HTTPSConnection(address, TLS_PORT, timeout=LIMIT, context=context)
        try:
            fields = {"Host": f"{name}.example.com", **probe.headers}
            connection.request(probe.method, probe.path, probe.body, fields)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def until_answered(self, name: str, probe: Probe, *, gateway: str = GATEWAY) -> Answer:
        """Ask until the route is there, and every balancer knows the address; returns that answer."""
        found: list[Answer] = []

        def is_answered() -> bool:
            with contextlib.suppress(ConnectionRefusedError):
                found[:] = [self.ask(name, probe, gateway=gateway)]
            return bool(found) and found[0].status != http.client.NOT_FOUND

        until(is_answered, f"there is a route of {name}")
        return found[0]

    def complaint(self, case: Case, name: str, *, gateway: str = GATEWAY) -> str:
        """What does not follow of what should; empty: all does."""
        answers = list(self._answers(case, name, gateway))
        for probe, answer in zip(case.probes, answers, strict=True):
            if wrong := differs(probe, answer):
                return wrong
        seen = Seen(
            answers,
            self.behind[name].backends,
            lambda method: self._logged(f"{name}.example.com", method, gateway),
            lambda: self._metrics(f"{case.kind}/{self.serving.namespace}/{name}", gateway),
        )
        if case.seen is None or case.seen(seen):
            return ""
        return f"{case.seen.__name__}: {[(each.status, each.body[:60]) for each in answers]}"

    def _answers(self, case: Case, name: str, gateway: str) -> Iterator[Answer]:
        if not case.together:
            # The first one is asked until there is a route: it may count, so that is its answer.
            yield self.until_answered(name, case.probes[0], gateway=gateway)
            for probe in case.probes[1:]:
                yield self.ask(name, probe, gateway=gateway)
            return
        self.until_answered(name, case.probes[0], gateway=gateway)
        behind = self.behind[name]
        behind.go.clear()
        with ThreadPoolExecutor(len(case.probes)) as pool:
            try:
                sent = []
                for probe in case.probes:
                    before = behind.arrived()
                    sent.append(pool.submit(self.ask, name, probe, gateway=gateway))
                    until(
                        lambda before=before: sent[-1].done() or behind.arrived() > before,  # type: ignore[misc]
                        "it is at a backend, or refused",
                    )
            finally:
                behind.go.set()
        for each in sent:
            yield each.result()

    def _pod(self, gateway: str) -> Object:
        [pod] = self.api.list("Pod", self.serving.namespace, labelSelector=f"{LABEL}={gateway}")
        return pod

    def _metrics(self, policy: str, gateway: str) -> list[str]:
        body = get(self._pod(gateway)["status"]["podIP"], "admin", "/metrics", ADMIN_PORT).body
        return [line for line in body.splitlines() if f'policy="{policy}"' in line]

    def _logged(self, host: str, method: str, gateway: str) -> Sequence[Object]:
        found: list[Object] = []

        def is_logged() -> bool:
            said = kubectl("logs", "-n", self.serving.namespace, self._pod(gateway)["metadata"]["name"])
            lines = [json.loads(line) for line in said.splitlines() if f'"{host}"' in line]
            found[:] = [line for line in lines if line.get("authority") == host]
            return any(line["method"] == method for line in found)

        until(is_logged, f"a line of {method} to {host}")
        return found


def differs(probe: Probe, answer: Answer) -> str:
    """What of an answer is not as it should be; empty: nothing."""
    name, _, part = probe.answered.partition(": ")
    if (
        answer.status == (probe.status or answer.status)
        and (not name or part in answer.headers.get(name, ""))
        and (not name or name in answer.headers)
        and probe.shows in answer.body
    ):
        return ""
    return f"{probe}: {answer.status} {answer.headers} {answer.body[:400]}"


@pytest.fixture(scope="module")
def world(api: Api, serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Make everything at once, as one `kubectl apply` does."""
    pair, client = AUTHORITY.sign("*.example.com"), AUTHORITY.sign("ann.example.com", client=True)
    certificate = secret("certificate", **{"tls.crt": pair.certificate, "tls.key": pair.key})
    logs = {"parametersRef": {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "logs"}}
    found = [
        {**certificate, "type": "kubernetes.io/tls"},
        config_map("authority", **{"ca.crt": AUTHORITY.pem.decode()}),
        named("logs", "GatewayParameters", "sluicegate.dev/v1alpha1", {"proxy": {"accessLog": True}}),
        gateway(GATEWAY, infrastructure=logs),
        gateway(PLAIN, infrastructure=logs),
    ]
    behind: dict[str, Behind] = {}
    try:
        for case_name, case in CASES.items():
            for name, policy in ((case_name, True), (without_policy(case_name), False)):
                behind[name] = Behind(case)
                addresses = [each.address for each in behind[name].backends]
                found += objects(name, case, addresses, policy=policy)
        api.apply(found, serving.namespace)
        contexts = {}
        for with_certificate in (False, True):
            # The names of cases are no addresses: what is asked here is who the client is.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if with_certificate:
                context.load_cert_chain(*client.write(Path(tmp_path_factory.mktemp("client")), "client"))
            contexts[with_certificate] = context
        places = {name: address_of(api, serving, name) for name in (GATEWAY, PLAIN)}
        yield World(api, serving, places, contexts, behind)
    finally:
        for each in behind.values():
            each.close()
