"""Metrics on the wire: durations under OpenTelemetry's names, the number of series, OpenMetrics and its exemplars."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families
from prometheus_client.samples import Sample
from system_backends import Received, response
from system_clients import Http1, Http2
from system_gateway import Gateway, until
from system_manifests import gateway, listener, metadata, route, rule, service

SERVED, SENT = "http_server_request_duration_seconds", "http_client_request_duration_seconds"
OPEN = "application/openmetrics-text"
TRACED, PLAIN = 8080, 8081
HOST = "shop.test"
#: What a flood of requests has of them, and what is asked at once.
REQUESTS, AT_ONCE = 100_000, 100
#: Sets of labels that one path, or one endpoint, may have.
LIMIT_OF_PATH = 100
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


#: Answered without a backend.
ELSEWHERE = {
    "type": "RequestRedirect",
    "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}},
}


class World:
    def __init__(self, start: Any, backend: Any) -> None:
        gone = backend("gone")
        gone.close()
        self.good = backend("good")
        collector = backend(lambda _: response(b""))
        provider = {"backendRef": {"name": "collector", "port": 80}}
        traces = {
            "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
            "kind": "XTelemetryPolicy",
            "metadata": metadata("traces"),
            "spec": {
                "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway"}],
                "tracing": {"mode": "Enabled", "provider": provider, "samplingRate": {"numerator": 100}},
            },
        }
        self.gateway: Gateway = start(
            gateway(),
            gateway(listener(port=PLAIN), name="plain"),
            route(
                rule("/good", "good"),
                rule("/gone", "gone"),
                rule("/bad", "bad"),
                rule("/elsewhere", filters=[ELSEWHERE]),
                parents=[{"name": "gateway"}, {"name": "plain"}],
            ),
            *service("good", self.good.address),
            *service("gone", gone.address),
            *service("bad", backend(lambda _: response(b"", "503 Service Unavailable")).address),
            *service("collector", collector.address, protocol="http"),
            traces,
        )

    def scrape(self, accept: str = "", method: str = "GET") -> tuple[str, str]:
        """The content type, and the text."""
        connection = http.client.HTTPConnection(self.gateway.address, 19000, timeout=30)
        try:
            connection.request(method, "/metrics", headers={"accept": accept} if accept else {})
            found = connection.getresponse()
            return found.getheader("content-type") or "", found.read().decode()
        finally:
            connection.close()

    def samples(self, name: str) -> list[Sample]:
        """Of the text format; those of a histogram are named after it."""
        return [sample for family in families(self.scrape()[1]) for sample in family.samples if sample.name == name]

    def count(self, name: str, **labels: str) -> float:
        """Requests of a histogram that have exactly these labels."""
        found = [sample.value for sample in self.samples(f"{name}_count") if sample.labels == labels]
        return found[0] if found else 0

    def ask(self, client: Any, path: str, *fields: tuple[str, str], port: int = PLAIN, method: str = "GET") -> Any:
        each = client(self.gateway.address, port)
        try:
            return each.request(method, HOST, path, fields)
        finally:
            each.close()


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> World:
    return World(start, backend)


@pytest.mark.parametrize(
    ("method", "path", "status", "served", "sent"),
    [
        ("GET", "/good/1", 200, {"http_route": "/good"}, {"http_response_status_code": "200"}),
        ("BREW", "/good/2", 200, {"http_route": "/good"}, {"http_response_status_code": "200"}),
        ("GET", "/elsewhere", 302, {"http_route": "/elsewhere"}, None),
        ("GET", "/none", 404, {}, None),
        (
            "GET",
            "/bad",
            503,
            {"http_route": "/bad", "error_type": "503"},
            {"http_response_status_code": "503", "error_type": "503"},
        ),
        (
            "GET",
            "/gone",
            503,
            {"http_route": "/gone", "error_type": "upstream_connect"},
            {"error_type": "upstream_connect"},
        ),
    ],
)
def test_names_of_opentelemetry(
    world: World,
    client: Any,
    method: str,
    path: str,
    status: int,
    served: dict[str, str],
    sent: dict[str, str] | None,
) -> None:
    """Each request is counted with what the conventions have for it, and each try."""
    name = method if method == "GET" else "_OTHER"
    labels = {
        "http_request_method": name,
        "url_scheme": "http",
        "network_protocol_version": "2" if client is Http2 else "1.1",
        "http_response_status_code": str(status),
        **served,
    }

    def tries() -> float:
        wanted = {"http_request_method": name, **(sent or {})}
        found = world.samples(f"{SENT}_count")
        return sum(
            sample.value
            for sample in found
            if wanted.items() <= sample.labels.items()
            and sample.labels.keys() - wanted.keys() == {"server_address", "server_port"}
        )

    before, tried = world.count(SERVED, **labels), tries()
    assert world.ask(client, path, method=method).status == status
    until(lambda: world.count(SERVED, **labels) == before + 1, f"{labels}")
    assert (tries() > tried) == (sent is not None)


def test_an_endpoint_is_named_by_its_address(world: World, client: Any) -> None:
    address, port = world.good.address
    labels = {
        "http_request_method": "GET",
        "http_response_status_code": "200",
        "server_address": address,
        "server_port": str(port),
    }
    before = world.count(SENT, **labels)
    assert world.ask(client, "/good").status == 200
    assert world.count(SENT, **labels) == before + 1


def test_the_buckets_of_the_conventions(world: World, client: Any) -> None:
    assert world.ask(client, "/good").status == 200
    for name in (SERVED, SENT):
        bounds: dict[frozenset[tuple[str, str]], list[float]] = {}
        for sample in world.samples(f"{name}_bucket"):
            labels = {key: value for key, value in sample.labels.items() if key != "le"}
            bounds.setdefault(frozenset(labels.items()), []).append(float(sample.labels["le"]))
        assert bounds
        assert all(each == [*BOUNDS, float("inf")] for each in bounds.values())


def test_openmetrics_has_exemplars(world: World, client: Any) -> None:
    """Of the requests of a traced Gateway, and of their tries: the trace, the span, what it took and when."""
    found = world.ask(client, "/good", port=TRACED)
    _, trace, span, _ = found.sent("traceparent").split("-")

    def of_trace() -> dict[str, Any]:
        return {
            sample.name: sample
            for family in open_families(world.scrape(OPEN)[1])
            for sample in family.samples
            if sample.exemplar is not None and sample.exemplar.labels["trace_id"] == trace
        }

    names = {
        f"{SERVED}_bucket",
        f"{SENT}_bucket",
        "sluicegate_request_duration_seconds_bucket",
        "sluicegate_upstream_request_duration_seconds_bucket",
    }
    until(lambda: of_trace().keys() == names, f"exemplars of {trace}")
    of = of_trace()
    assert of[f"{SENT}_bucket"].exemplar.labels["span_id"] == span
    assert of[f"{SERVED}_bucket"].exemplar.labels["span_id"] != span
    for sample in of.values():
        assert 0 < sample.exemplar.value <= float(sample.labels["le"])
        assert float(sample.exemplar.timestamp) > 1_600_000_000


def test_what_is_not_traced_is_no_exemplar(world: World) -> None:
    """Nor is what a client says of a trace where nobody asked for traces."""
    trace = "ab" * 16
    assert world.ask(Http1, "/good", ("traceparent", f"00-{trace}-00f067aa0ba902b7-01"), port=PLAIN).status == 200
    assert trace not in world.scrape(OPEN)[1]


@pytest.mark.parametrize(
    ("accept", "is_open"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        (OPEN, True),
        (f"{OPEN};version=1.0.0;q=0.6,{OPEN};version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1", True),
        (f"{OPEN};version=2.0.0", False),
        (f"{OPEN};q=0.1,text/plain", False),
        (f"{OPEN};q=,;;=,,", False),
        ("x" * 7000, False),
    ],
)
def test_formats(world: World, accept: str, is_open: bool) -> None:
    """OpenMetrics is what asks for it has; the same figures in both, and HEAD says the same of itself."""
    world.ask(Http1, "/good", port=TRACED)
    kind, text = world.scrape(accept)
    assert world.scrape(accept, "HEAD") == (kind, "")
    if is_open:
        assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert text.endswith("\n# EOF\n")
        found = list(open_families(text))
        assert {family.type for family in found} >= {"counter", "gauge", "histogram", "summary"}
        names = {family.name for family in found}
        assert names == {family.name for family in families(world.scrape()[1])}
    else:
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
        assert "# EOF" not in text
        assert "trace_id" not in text


def series(gateway: Gateway) -> set[str]:
    """All of them, without their values."""
    return {line.rpartition(" ")[0] for line in gateway.admin("/metrics").splitlines() if not line.startswith("#")}


def flood(address: str, numbers: range, wrong: list[int]) -> None:
    """Requests with methods, hosts, paths and queries that were never seen; notes statuses that are wrong."""
    each = Http1(address, TRACED)
    for at in range(0, len(numbers), AT_ONCE):
        wanted = {
            number: ("/elsewhere", 302) if number % 3 else ("/none", 404) for number in numbers[at : at + AT_ONCE]
        }
        heads = (
            f"M{number} {path}/{number}?q={number} HTTP/1.1\r\nhost: h{number}.test\r\nx-n{number}: 1\r\n\r\n"
            for number, (path, _) in wanted.items()
        )
        each.send("".join(heads).encode())
        wrong += [status for _, status in wanted.values() if each.read().status != status]
    each.close()


def until_counted(gateway: Gateway, count: int) -> set[str]:
    """The series, once so many requests of methods that nobody knows were counted."""

    def counted() -> bool:
        every = (sample for family in families(gateway.admin("/metrics")) for sample in family.samples)
        of = (it for it in every if it.name == f"{SERVED}_count" and it.labels["http_request_method"] == "_OTHER")
        return sum(sample.value for sample in of) == count

    until(counted, f"{count} requests")
    return series(gateway)


def test_clients_make_no_series(start: Any) -> None:
    """However many methods, hosts and paths they come up with."""
    found: Gateway = start(gateway(), route(rule("/elsewhere", filters=[ELSEWHERE])))
    wrong: list[int] = []
    flood(found.address, range(3), wrong)
    before = until_counted(found, 3)
    halves = [range(part, REQUESTS, 2) for part in (0, 1)]
    threads = [threading.Thread(target=flood, args=(found.address, half, wrong)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert until_counted(found, REQUESTS + 3) == before


def test_series_leave_with_their_paths(start: Any, backend: Any) -> None:
    """What a route says no more has no series, once every worker has moved on; what it still says has gone on."""
    target = backend("target").address
    manifests = [gateway(), *service("target", target)]
    found: Gateway = start(*manifests, route(rule("/old", "target"), rule("/kept", "target")))
    client = Http1(found.address, TRACED)
    for path in ("/old", "/kept"):
        assert client.request("GET", HOST, path).status == 200

    def paths() -> Iterator[tuple[str, float]]:
        for family in families(found.admin("/metrics")):
            for sample in family.samples:
                if sample.name == f"{SERVED}_count" and "http_route" in sample.labels:
                    yield sample.labels["http_route"], sample.value

    assert dict(paths()) == {"/old": 1, "/kept": 1}
    found.write(*manifests, route(rule("/new", "target"), rule("/kept", "target")))
    assert client.request("GET", HOST, "/kept").status == 200
    # A worker moves on with its next request, or by itself within a second; the next configuration sees that.
    until(lambda: dict(paths()) == {"/kept": 2}, "the series of /old has left")
    client.close()


def test_what_is_beyond_the_limit_is_one_series_and_told(start: Any, backend: Any, client: Any) -> None:
    """A backend that answers with ever other statuses fills the room of its path and endpoint alone."""

    def answer(request: Received) -> bytes:
        return response(b"", f"{request.target.rpartition('/')[2]} Said")

    found: Gateway = start(
        gateway(),
        route(rule("/odd", "odd"), rule("/app", "app")),
        *service("odd", backend(answer).address),
        *service("app", backend("app").address),
    )
    each = client(found.address, TRACED)
    for status in [*range(400, 400 + LIMIT_OF_PATH + 20), 400]:
        assert each.request("GET", HOST, f"/odd/{status}").status == status
    assert each.request("GET", HOST, "/app").status == 200
    each.close()
    overflow = {"otel_metric_overflow": "true"}

    def counts(name: str) -> list[tuple[dict[str, str], float]]:
        every = (sample for family in families(found.admin("/metrics")) for sample in family.samples)
        return [(sample.labels, sample.value) for sample in every if sample.name == f"{name}_count"]

    until(lambda: sum(value for _, value in counts(SERVED)) == LIMIT_OF_PATH + 22, "all are counted")
    for name in (SERVED, SENT):
        of = counts(name)
        assert [value for labels, value in of if labels == overflow] == [20]
        assert len(of) == LIMIT_OF_PATH + 2
        assert [value for labels, value in of if labels.get("http_response_status_code") == "400"] == [2]
    told = [
        found.event(lambda event: event.get("code") == "metrics_limit" and SERVED in event["message"])["message"],
        found.event(lambda event: event.get("code") == "metrics_limit" and SENT in event["message"])["message"],
    ]
    assert all("otel_metric_overflow" in message for message in told)
