"""`--backend default/cart=127.0.0.1:9001`: how it is written, what it wins over, what is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.processes.given_backends import GivenBackendError, given_backends
from sluicegate.processes.settings import SettingsError, load_settings

Run = Callable[..., tuple[int, str]]

SHOP = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec: {gatewayClassName: sluicegate, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [shop.test]
  rules:
  - matches: [{path: {value: /cart}}]
    backendRefs: [{name: cart, port: 80}]
  - matches: [{path: {value: /admin}}]
    backendRefs: [{name: cart, port: 81}]
  - backendRefs: [{name: web, port: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 3000}, {name: admin, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [127.0.0.9]}]
ports: [{port: 9}]
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    (tmp_path / "shop.yaml").write_text(SHOP)
    return str(tmp_path)


def endpoints(command: Run, shop: str, path: str, *arguments: str) -> tuple[list[str], str]:
    status, text = command("explain", shop, "-r", f"http://shop.test{path}", "-o", "json", *arguments)
    document = json.loads(text)
    return document["decision"]["endpoints"], " ".join(map(str, document["problems"])) + f" {status}"


def test_it_is_read_as_it_is_written() -> None:
    found = given_backends(
        [
            "default/cart=127.0.0.1:9001",
            "default/cart = localhost:9002",
            "default/cart=127.0.0.1:9001",
            "shop/web:80=[::1]:65535",
        ]
    )
    assert found == {
        ("default", "cart", 0): (("127.0.0.1", 9001), ("127.0.0.1", 9002)),
        ("shop", "web", 80): (("::1", 65535),),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default/cart", "does not say where the program listens"),
        ("cart=127.0.0.1:9001", "'cart' is no NAMESPACE/SERVICE"),
        ("default/Cart=127.0.0.1:9001", "'default/Cart' is no NAMESPACE/SERVICE"),
        ("default/cart:http=127.0.0.1:1", "'default/cart:http' is no NAMESPACE/SERVICE"),
        ("default/cart=cart.test:80", "'cart.test:80' is not an IP address"),
        ("default/cart=9001", "'9001' is not an IP address"),
        ("default/cart=fe80::1%lo:80", "is not an IP address"),
        ("default/cart=127.0.0.1:0", "0 is no port between 1 and 65535"),
        ("default/cart=127.0.0.1:65536", "65536 is no port"),
        ("default/cart=127.0.0.1:", "nothing is no port"),
        ("default/cart:0=127.0.0.1:1", "0 is no port"),
        ("default/cart=127.0.0.1:\u0661", "is no port"),
    ],
)
def test_what_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(GivenBackendError) as raised:
        given_backends([text])
    assert words in str(raised.value)
    with pytest.raises(SettingsError, match=r"^--backend: "):
        load_settings({"backend": [text]}, {})


def test_a_table_of_the_settings_file(tmp_path: Path) -> None:
    """What an upper layer says of a Service is all of it; other Services stay."""
    path = tmp_path / "sluicegate.toml"
    path.write_text('[backends]\n"default/cart" = ["127.0.0.1:1", "127.0.0.1:2"]\n"default/web" = "127.0.0.1:3"\n')
    assert load_settings({}, {}, str(path)).backend == (
        "default/cart=127.0.0.1:1",
        "default/cart=127.0.0.1:2",
        "default/web=127.0.0.1:3",
    )
    environment = {"SLUICEGATE_BACKEND": "default/cart=127.0.0.1:4, default/cart=127.0.0.1:5"}
    given = load_settings({"backend": ["default/web=127.0.0.1:6"]}, environment, str(path)).backend
    assert given == ("default/cart=127.0.0.1:4", "default/cart=127.0.0.1:5", "default/web=127.0.0.1:6")
    path.write_text('backend = "default/a=127.0.0.1:1"\n[backends]\n"default/b" = "127.0.0.1:2"\n')
    assert load_settings({}, {}, str(path)).backend == ("default/a=127.0.0.1:1", "default/b=127.0.0.1:2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("backends = 7\n", "backends: a table is expected"),
        ('[backends]\n"default/cart" = 7\n', "'7' is not an IP address"),
        ("backend = 7\n", "a list is expected"),
        ('backend = 7\n[backends]\n"default/cart" = "127.0.0.1:1"\n', "a list is expected"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "sluicegate.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_settings({}, {}, str(path))
    assert str(path) in str(raised.value)
    assert words in str(raised.value)


def test_it_wins_over_endpoint_slices_and_a_port_over_the_service(command: Run, shop: str) -> None:
    assert endpoints(command, shop, "/")[0] == ["127.0.0.9:9"]
    assert endpoints(command, shop, "/", "--backend", "default/web=127.0.0.1:7")[0] == ["127.0.0.1:7"]
    both = ("--backend", "default/cart=[::1]:7", "--backend", "default/cart:81=127.0.0.1:8")
    assert endpoints(command, shop, "/cart", *both)[0] == ["[::1]:7"]
    assert endpoints(command, shop, "/admin", *both)[0] == ["127.0.0.1:8"]


def test_what_is_missing_is_told_ready_to_copy(command: Run, shop: str) -> None:
    """And what is told works: the options of the remedies leave no problem."""
    status, text = command("check", shop, "--for", "standalone", "--fail-on", "warning", "-o", "json")
    assert status == 1
    problems = json.loads(text)["problems"]
    assert [item["code"] for item in problems] == ["no-endpoints", "no-endpoints"]
    options = [item["remedy"].removeprefix("say where its program listens: ").split() for item in problems]
    assert sorted(options) == [
        ["--backend", "default/cart:80=127.0.0.1:3000"],
        ["--backend", "default/cart:81=127.0.0.1:81"],
    ]
    arguments = [word for option in options for word in option]
    assert command("check", shop, "--for", "standalone", "--fail-on", "warning", *arguments)[0] == 0


def test_a_cluster_knows_its_endpoints(command: Run, shop: str) -> None:
    (Path(shop) / "shop.yaml").write_text(SHOP.replace("selector: {app: cart}, ", ""))
    arguments = ("--for", "cluster", "-o", "json", "--backend", "default/cart=127.0.0.1:1")
    problems = json.loads(command("check", shop, *arguments)[1])["problems"]
    told = [item["remedy"] for item in problems if item["code"] == "no-endpoints"]
    assert len(told) == 2
    assert all(text.startswith("add an EndpointSlice") for text in told)


def test_a_backend_of_nothing_is_told(command: Run, shop: str) -> None:
    arguments = ("--backend", "default/crat=127.0.0.1:1", "--backend", "default/web:81=127.0.0.1:1")
    _, text = command("check", shop, "--for", "standalone", "-o", "json", *arguments)
    told = {item["object"]: item for item in json.loads(text)["problems"] if item["code"] == "backend-not-found"}
    assert told["Service/default/crat"]["message"].endswith("no such Service; did you mean default/cart?")
    assert told["Service/default/web"]["remedy"] == "use one of its ports: 8080"
    assert len(told) == 2


def test_who_gives_backends_means_this_machine(command: Run, shop: str) -> None:
    (Path(shop) / "shop.yaml").write_text(SHOP.partition("apiVersion: discovery")[0].removesuffix("---\n"))
    assert command("check", shop)[1].startswith("Checked for a cluster")
    _, text = command("check", shop, "--backend", "default/cart=127.0.0.1:1")
    assert text.startswith("Checked for sluicegate serve: --backend says where programs listen")


def test_it_is_not_for_a_cluster(command: Run) -> None:
    status, text = command("serve", "--kubernetes", "--backend", "default/cart=127.0.0.1:1")
    assert status == 2
    assert "--backend is for manifests" in text
