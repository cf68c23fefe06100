"""`serve --ingress`: what changes, what breaks, and what Ingresses and routes have in common, over HTTP/1.1 and HTTP/2.

That every annotation does what it did is in `test_migration.py`, which asks the same of Ingresses that are converted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend
from system_certificates import Authority
from system_clients import Http1, Http2, Response, tls_context
from system_gateway import Gateway
from system_manifests import Manifest, dump, metadata, route, rule, secret, service
from system_migration import ingress

Start = Callable[..., Gateway]
Client = type[Http1] | type[Http2]
OFFSET = 8000
ARGUMENTS = ("--ingress", "--port-offset", str(OFFSET))


def ask(gateway: Gateway, client: Client, host: str, target: str = "/", *, tls: bytes | None = None) -> Response:
    port = OFFSET + (443 if tls is not None else 80)
    alpn = ("h2",) if client is Http2 else ()
    context = tls_context(tls, *alpn) if tls is not None else None
    connection = client(gateway.address, port, context, host) if context is not None else client(gateway.address, port)
    try:
        return connection.request("GET", host, target)
    finally:
        connection.close()


def served_by(gateway: Gateway, client: Client, host: str, target: str = "/") -> str | int:
    """The backend that answers; the status where none does."""
    found = ask(gateway, client, host, target)
    return str(found.echo["backend"]) if found.status == 200 else found.status


@pytest.fixture(scope="module")
def services(backend: Callable[..., Backend]) -> list[Manifest]:
    return [item for name in ("old", "new", "api") for item in service(name, backend(name).address)]


def own_listeners(*hosts: str) -> Manifest:
    """A ListenerSet of the Gateway that is made for Ingresses."""
    listeners = [
        {"name": f"own-{number}", "hostname": host, "port": 80, "protocol": "HTTP"} for number, host in enumerate(hosts)
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ListenerSet",
        "metadata": metadata("own"),
        "spec": {"parentRef": {"name": "ingress:gateway"}, "listeners": listeners},
    }


def test_without_the_option_no_ingress_is_served(start: Start, services: list[Manifest]) -> None:
    gateway = start(ingress("a.test", ("/", "old")), *services, arguments=("--port-offset", str(OFFSET)))
    assert gateway.ready["listeners"] == []
    (told,) = [item for item in gateway.ready["problems"] if item["code"] == "unread-kind"]
    assert "--ingress" in told["remedy"]


def test_a_change_is_live(start: Start, services: list[Manifest], client: Client) -> None:
    gateway = start(ingress("a.test", ("/", "old")), *services, arguments=ARGUMENTS)
    assert served_by(gateway, client, "a.test") == "old"
    assert served_by(gateway, client, "b.test") == 404
    gateway.write(ingress("a.test", ("/", "new"), ("/api", "api")), ingress("b.test", ("/", "old")), *services)
    assert [served_by(gateway, client, "a.test", path) for path in ("/", "/api/x")] == ["new", "api"]
    assert served_by(gateway, client, "b.test") == "old"
    gateway.write(ingress("b.test", ("/", "old")), *services)
    assert served_by(gateway, client, "a.test") == 404
    assert served_by(gateway, client, "b.test") == "old"


def test_a_config_map_of_settings_is_followed(start: Start, services: list[Manifest]) -> None:
    def settings(size: str) -> Manifest:
        data = {"proxy-body-size": size}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("controller"), "data": data}

    def sent(octets: int) -> int:
        connection = Http1(gateway.address, OFFSET + 80)
        try:
            return connection.request("POST", "a.test", "/", (), b"x" * octets).status
        finally:
            connection.close()

    objects = (ingress("a.test", ("/", "old")), *services)
    options = (*ARGUMENTS, "--ingress-config-map", "default/controller")
    gateway = start(settings("10"), *objects, arguments=options)
    assert (sent(10), sent(11)) == (200, 413)
    gateway.write(settings("20"), *objects)
    assert (sent(20), sent(21)) == (200, 413)


def test_what_cannot_be_read_keeps_what_was_served(start: Start, services: list[Manifest], client: Client) -> None:
    good, other = ingress("a.test", ("/", "old")), ingress("b.test", ("/", "old"))
    gateway = start(good, other, *services, arguments=ARGUMENTS)
    wrong = dump(good).replace("number: 80", "number: eighty")
    told = gateway.write(text=f"{wrong}---\n{dump(ingress('b.test', ('/', 'new')), *services)}")
    assert any(item["object"] == "Ingress/default/a-test" for item in told["problems"])
    assert served_by(gateway, client, "a.test") == "old"
    assert served_by(gateway, client, "b.test") == "new"
    gateway.write(text=f"{dump(good, other, *services)}---\na: [\n")
    assert [served_by(gateway, client, host) for host in ("a.test", "b.test")] == ["old", "old"]


def test_certificates(start: Start, services: list[Manifest], client: Client, authority: Authority) -> None:
    """One that comes later, and that of hosts without one."""
    pair, other = authority.sign("a.test"), authority.sign("b.test")
    objects = (ingress("a.test", ("/", "old"), secret="a"), ingress("b.test", ("/", "new")), *services)
    default = secret("default", other.certificate, other.key, "certificates")
    options = (*ARGUMENTS, "--ingress-default-certificate", "certificates/default")
    gateway = start(default, *objects, arguments=options)
    assert ask(gateway, client, "b.test", tls=authority.pem).echo["backend"] == "new"
    assert ask(gateway, client, "a.test").status == 308
    gateway.write(default, secret("a", pair.certificate, pair.key), *objects)
    assert ask(gateway, client, "a.test", tls=authority.pem).echo["backend"] == "old"


def test_a_route_takes_over_path_by_path(start: Start, services: list[Manifest], client: Client) -> None:
    """By the listener that the Ingress has; and gives back."""
    source = ingress("a.test", ("/", "old"), ("/api", "old"), ("/deep/er", "old"))
    gateway = start(source, *services, arguments=ARGUMENTS)
    parents = [{"kind": "ListenerSet", "name": "ingress:a.test"}]
    moved = route(rule("/api", "api"), rule("/deep", "new"), parents=parents, hostnames=["a.test"])
    gateway.write(source, moved, *services)
    paths = ("/", "/api", "/deep", "/deep/er")
    # The same match: the route's. What is more specific comes first, whose ever it is.
    assert [served_by(gateway, client, "a.test", path) for path in paths] == ["old", "api", "new", "old"]
    gateway.write(source, *services)
    assert [served_by(gateway, client, "a.test", path) for path in paths] == ["old"] * 4


def test_a_listener_takes_over_and_the_ingress_stays_at_it(
    start: Start, services: list[Manifest], client: Client
) -> None:
    """As `migrate --existing-gateway` makes it: listeners first, then routes, then the Ingress goes."""
    source = ingress("a.test", ("/", "old"), ("/api", "old"))
    gateway = start(source, ingress("b.test", ("/", "old")), *services, arguments=ARGUMENTS)
    gateway.write(source, ingress("b.test", ("/", "old")), own_listeners("a.test"), *services)
    assert served_by(gateway, client, "a.test", "/api") == "old"
    parents = [{"kind": "ListenerSet", "name": "own"}]
    moved = route(rule("/", "new"), parents=parents, hostnames=["a.test"])
    gateway.write(source, ingress("b.test", ("/", "old")), own_listeners("a.test"), moved, *services)
    assert [served_by(gateway, client, "a.test", path) for path in ("/", "/api")] == ["new", "old"]
    gateway.write(ingress("b.test", ("/", "old")), own_listeners("a.test"), moved, *services)
    assert [served_by(gateway, client, "a.test", path) for path in ("/", "/api")] == ["new", "new"]
    assert served_by(gateway, client, "b.test") == "old"


def test_a_gateway_that_is_named_serves_them(start: Start, services: list[Manifest], client: Client) -> None:
    everywhere = {"namespaces": {"from": "All"}}
    own = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": metadata("edge", "infra"),
        "spec": {
            "gatewayClassName": "sluicegate",
            "allowedListeners": everywhere,
            "listeners": [{"name": "http", "port": 81, "protocol": "HTTP", "allowedRoutes": everywhere}],
        },
    }
    gateway = start(
        own, ingress("a.test", ("/", "old")), *services, arguments=(*ARGUMENTS, "--ingress-gateway", "infra/edge")
    )
    assert served_by(gateway, client, "a.test") == "old"
    owners = {item["id"].rsplit("/", 1)[0] for item in gateway.ready["listeners"]}
    assert owners == {"Gateway/infra/edge", "ListenerSet/default/ingress:a.test"}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sluicegate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_check_and_explain_name_the_ingress(tmp_path: Path) -> None:
    """Its file and line, and nothing that nobody has written."""
    path = tmp_path / "ingress.yaml"
    source = ingress("a.test", ("/", "web"), ("/api", "gone"), configuration_snippet="gzip on;", name="web")
    path.write_text(dump(source, *service("web", ("127.0.0.1", 80))))
    checked = json.loads(run("check", path, "--ingress", "-o", "json").stdout)
    problems = {item["code"]: item for item in checked["problems"]}
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "name: gone" in text)
    assert problems["backend-not-found"]["object"] == "Ingress/default/web"
    assert 0 < line - problems["backend-not-found"]["line"] < 6  # the path of the Ingress, which has it
    assert problems["ingress-loss"]["field"] == "nginx.ingress.kubernetes.io/configuration-snippet"
    assert "ingress:" not in json.dumps(checked)
    said = run("explain", path, "--ingress", "-r", "http://a.test/").stdout
    assert f"{path}:" in said
    assert "Ingress/default/web spec.rules[0].http.paths[0]" in said
    assert "ingress:" not in said.replace("default/ingress:gateway", "")  # which serving.md has


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--ingress-class", "No Name"),
        ("--ingress-config-map", "x"),
        ("--ingress-gateway", "a/b/c"),
        ("--ingress-provider", "apache"),
    ],
)
def test_options_that_cannot_be_used(tmp_path: Path, option: str, value: str) -> None:
    (tmp_path / "all.yaml").write_text(dump(ingress("a.test", ("/", "old"))))
    for command in ("serve", "check"):
        done = run(command, tmp_path, "--ingress", option, value)
        assert done.returncode == 2, done.stderr
        assert option in done.stderr


def test_backends_get_the_fields_of_ingress_nginx(start: Start, services: list[Manifest], client: Client) -> None:
    """As `migrate --forwarding-headers` writes it; without the option there are none."""
    options = (*ARGUMENTS, "--ingress-forwarding-headers")
    told = ask(start(ingress("a.test", ("/", "old")), *services, arguments=options), client, "a.test")
    names = ("x-real-ip", "x-forwarded-port", "x-forwarded-scheme", "x-scheme")
    assert [told.sent(name) for name in names] == [told.sent("x-forwarded-for"), "80", "http", "http"]
    usual = ask(start(ingress("a.test", ("/", "old")), *services, arguments=ARGUMENTS), client, "a.test")
    assert [usual.sent(name) for name in names] == [None] * 4


def test_listeners_and_routes_say_whose_they_are(start: Start, services: list[Manifest]) -> None:
    gateway = start(ingress("a.test", ("/", "old")), *services, arguments=ARGUMENTS)
    found: list[Any] = gateway.ready["listeners"]
    assert {item["id"] for item in found} == {
        "Gateway/default/ingress:gateway/http",
        "ListenerSet/default/ingress:a.test/http.a.test",
    }
