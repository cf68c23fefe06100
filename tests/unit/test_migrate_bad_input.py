"""Bad input of `sluicegate migrate`: each is told with object, file, line and what to do, and all else converts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str]]
PREFIX = "nginx.ingress.kubernetes.io/"

#: An Ingress; `%s` are its name, annotations, class and more of its spec.
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: shop
  annotations: {annotations}
spec:
  ingressClassName: {ingress_class}
  rules:
  - host: {name}.example.com
    http:
      paths:
      - path: {path}
        pathType: {kind}
        backend: {{service: {{name: {service}, port: {port}}}}}
"""


def manifest(
    annotations: str = "{}",
    *,
    name: str = "bad",
    ingress_class: str = "nginx",
    path: str = "/",
    kind: str = "Prefix",
    service: str = "web",
    port: str = "{number: 80}",
) -> str:
    return INGRESS.format(
        name=name,
        annotations=annotations,
        ingress_class=ingress_class,
        path=path,
        kind=kind,
        service=service,
        port=port,
    )


def noted(name: str, value: str) -> str:
    return f'{{{PREFIX}{name}: "{value}"}}'


#: What is wrong, the line of the Ingress where it stands, and words of what is told.
BAD = {
    "nonsense-number": (manifest(noted("proxy-body-size", "much")), 6, "a size such as 8m is expected"),
    "nonsense-flag": (manifest(noted("ssl-redirect", "perhaps")), 6, "true or false is expected"),
    "nonsense-list": (manifest(noted("allowlist-source-range", "10.0.0.0/99")), 6, "no list of CIDR blocks"),
    "misspelt": (manifest(noted("proxy-bodysize", "1m")), 6, "there is no such annotation"),
    "snippet": (manifest(noted("configuration-snippet", "deny all;")), 6, "configuration of nginx is not converted"),
    "missing-secret": (
        manifest(f"{{{PREFIX}auth-type: basic, {PREFIX}auth-secret: nobody}}"),
        6,
        "the Secret shop/nobody is not here",
    ),
    "missing-service": (manifest(port="{name: http}"), 13, "Service"),
    "missing-map": (manifest(noted("custom-headers", "shop/nothing")), 6, "the ConfigMap shop/nothing is not here"),
    "look-around": (
        manifest(noted("use-regex", "true"), path="/(?!api)", kind="ImplementationSpecific"),
        13,
        "RE2 cannot say",
    ),
    "back-reference": (
        manifest(noted("use-regex", "true"), path=r"/(a)\1", kind="ImplementationSpecific"),
        13,
        "RE2 cannot say",
    ),
    "broken-expression": (manifest(noted("use-regex", "true"), path="/(", kind="ImplementationSpecific"), 13, ""),
    "path-type": (manifest(kind="Odd"), 13, ""),
    "no-path": (manifest(path="relative"), 13, ""),
}


@pytest.fixture
def report(command: Run, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """The report on something bad, with an Ingress that is good behind it."""

    def run(text: str) -> dict[str, Any]:
        (tmp_path / "in.yaml").write_text(f"{text}---\n{manifest(name='good')}")
        status, written = command("migrate", tmp_path / "in.yaml", "-o", "json")
        document: dict[str, Any] = json.loads(written)
        assert status in {1, 3}
        routes = {item["metadata"]["name"] for item in document["objects"] if item["kind"] == "HTTPRoute"}
        assert "good-good.example.com" in routes
        return document

    return run


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told(report: Callable[[str], dict[str, Any]], tmp_path: Path, case: str) -> None:
    text, line, words = BAD[case]
    document = report(text)
    told = [*document["fates"], *document["problems"]]
    found = [item for item in told if item["object"] == "Ingress/shop/bad" and item["line"] == line]
    found = [item for item in found if words in item["message"] and item.get("fate") not in {"converted"}]
    assert found, told
    assert all(item["path"] == str(tmp_path / "in.yaml") for item in found)
    assert any(item["remedy"] for item in found), found


@pytest.mark.parametrize(
    ("value", "message", "remedy"),
    [
        ("8", "not 8:", 'put it in quotes: "8"'),
        ("false", "not false:", 'put it in quotes: "false"'),
        ("1.5", "not 1.5:", 'put it in quotes: "1.5"'),
        ("[a]", "not a list:", "write a text"),
    ],
)
def test_an_annotation_without_quotes_has_its_name_and_line(
    report: Callable[[str], dict[str, Any]], tmp_path: Path, value: str, message: str, remedy: str
) -> None:
    names = [f"{PREFIX}proxy-body-size", f"{PREFIX}ssl-redirect"]
    annotations = f'\n    {PREFIX}app-root: "/a"\n    {names[0]}: {value}\n    {names[1]}: {value}'
    found = report(manifest(annotations))["problems"]
    assert [(item["object"], item["path"], item["line"], item["field"], item["remedy"]) for item in found] == [
        ("Ingress/shop/bad", str(tmp_path / "in.yaml"), 8 + number, f'metadata.annotations["{name}"]', remedy)
        for number, name in enumerate(names)
    ]
    assert all(message in item["message"] for item in found)


#: Keys of the controller's ConfigMap with a value that is none, and words of what is told.
BAD_SETTINGS = {
    "proxy-body-size": ("lots", "a size such as 8m is expected; 1m holds"),
    "http-redirect-code": ("999", "one of 301, 302, 307, 308 is expected; 308 holds"),
    "hsts-max-age": ("x", "a whole number is expected; 31536000 holds"),
    "limit-req-status-code": ("700", "a status from 400 to 599 is expected; 503 holds"),
    "custom-http-errors": ("a,b", "a list of statuses from 400 to 599 is expected; what is right of it holds"),
    "keep-alive-requests": ("x", "a whole number is expected; 1000 holds"),
    "large-client-header-buffers": ("x", "a number and a size such as 4 8k is expected; 4 8k holds"),
    "load-balance": ("zzz", "one of round_robin, ewma is expected; round_robin holds"),
    "ssl-protocols": ("TLSv9", "TLSv1.2 TLSv1.3 holds"),
    "ssl-redirect": ("perhaps", "true or false is expected; true holds"),
    "proxy-connect-timeout": ("soon", "a whole number is expected; 5 holds"),
    "proxy-next-upstream-timeout": ("soon", "a whole number is expected; 0 holds"),
    "whitelist-source-range": ("nope", "paths of Ingresses without a list of their own answer 500"),
    "denylist-source-range": ("q", "paths of Ingresses without a list of their own answer 500"),
    "block-cidrs": ("q", "a list of CIDR blocks is expected; all paths answer 500"),
    "proxy-real-ip-cidr": ("10.0.0.0/8,q", "a list of CIDR blocks is expected; what is right of it holds"),
    "hide-headers": ("a b", "a list of names of fields is expected; what is right of it holds"),
    "global-auth-signin": ("nope", "a URL with scheme and host is expected; it counts as not written"),
    "global-auth-signin-redirect-param": ("a b", "a name is expected; rd holds"),
    "no-tls-redirect-locations": ("/a,x y", "a list of paths is expected; what is right of it holds"),
    "global-auth-method": ("ASK", "is expected; GET holds"),
}


def with_settings(data: str) -> str:
    return f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: in}}
data:
  {data}
---
{manifest(name="good")}"""


@pytest.mark.parametrize("key", BAD_SETTINGS)
def test_a_bad_setting_is_told(command: Run, tmp_path: Path, key: str) -> None:
    value, words = BAD_SETTINGS[key]
    (tmp_path / "in.yaml").write_text(with_settings(f'{key}: "{value}"'))
    status, written = command("migrate", tmp_path / "in.yaml", "--config-map", "in/settings", "-o", "json")
    found = [item for item in json.loads(written)["fates"] if item["subject"] == key]
    assert [(item["fate"], item["line"], item["object"]) for item in found] == [
        ("invalid", 5, "ConfigMap/in/settings")
    ], found
    assert words in found[0]["message"]
    assert found[0]["remedy"]
    assert status == 3


@pytest.mark.parametrize("key", ["global-auth-signin", "global-auth-method", "hide-headers", "whitelist-source-range"])
def test_an_empty_setting_counts_as_not_written(command: Run, tmp_path: Path, key: str) -> None:
    (tmp_path / "in.yaml").write_text(with_settings(f'{key}: ""'))
    document = json.loads(command("migrate", tmp_path / "in.yaml", "--config-map", "in/settings", "-o", "json")[1])
    assert [item["fate"] for item in document["fates"] if item["subject"] == key] == ["converted"]
    routes = [item for item in document["objects"] if item["kind"] == "HTTPRoute"]
    assert any(rule.get("backendRefs") for item in routes for rule in item["spec"]["rules"])


@pytest.mark.parametrize(("provider", "key"), [("nginx", "proxy-body-size"), ("f5", "client-max-body-size")])
def test_a_size_that_is_none_keeps_the_limit(command: Run, tmp_path: Path, provider: str, key: str) -> None:
    (tmp_path / "in.yaml").write_text(with_settings(f"{key}: lots"))
    arguments = ("migrate", tmp_path / "in.yaml", "--provider", provider, "--config-map", "in/settings", "-o", "json")
    document = json.loads(command(*arguments)[1])
    sizes = [item["spec"]["body"] for item in document["objects"] if item["kind"] == "ClientPolicy"]
    assert sizes == [{"maxSize": "1Mi"}]


def test_a_list_of_the_settings_that_is_none_opens_nothing(command: Run, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(with_settings("whitelist-source-range: nope"))
    document = json.loads(command("migrate", tmp_path / "in.yaml", "--config-map", "in/settings", "-o", "json")[1])
    routes = [item for item in document["objects"] if item["kind"] == "HTTPRoute"]
    assert routes
    assert not any(rule.get("backendRefs") for item in routes for rule in item["spec"]["rules"])


def test_pages_and_statuses_that_a_setting_cannot_have_are_told(command: Run, tmp_path: Path) -> None:
    """They are right there, and nothing here is like them."""
    data = 'custom-http-errors: "404"\n  limit-req-status-code: "444"'
    text = with_settings(data).replace("annotations: {}", f"annotations: {noted('limit-rps', '5')}")
    (tmp_path / "in.yaml").write_text(text)
    document = json.loads(command("migrate", tmp_path / "in.yaml", "--config-map", "in/settings", "-o", "json")[1])
    told = {item["subject"]: (item["fate"], item["line"]) for item in document["fates"]}
    assert told["custom-http-errors"] == ("no-equivalent", 5)
    assert told["limit-req-status-code"] == ("converted-with-difference", 6)


@pytest.mark.parametrize(
    ("provider", "key", "fate"),
    [
        ("nginx", "client-body-timeout", "converted-with-difference"),
        ("nginx", "gzip-level", "dropped-harmless"),
        ("nginx", "zipkin-collector-host", "dropped-harmless"),
        ("nginx", "gzip-lewel", "unknown-annotation"),
        ("nginx", "wholly-made-up", "unknown-annotation"),
        ("f5", "otel-exporter-endpoint", "no-equivalent"),
        ("f5", "keepalife", "unknown-annotation"),
    ],
)
def test_only_what_never_was_is_called_so(command: Run, tmp_path: Path, provider: str, key: str, fate: str) -> None:
    (tmp_path / "in.yaml").write_text(with_settings(f'{key}: "5"'))
    arguments = ("migrate", tmp_path / "in.yaml", "--provider", provider, "--config-map", "in/settings", "-o", "json")
    found = [item for item in json.loads(command(*arguments)[1])["fates"] if item["subject"] == key]
    assert [(item["fate"], item["line"]) for item in found] == [(fate, 5)]


@pytest.mark.parametrize(
    ("name", "value", "settings", "parts"),
    [
        ("proxy-read-timeout", "30s", "", {"timeouts": {"firstByte": "1m", "stall": "1m"}}),
        ("proxy-read-timeout", "30s", 'proxy-read-timeout: "45"', {"timeouts": {"firstByte": "45s", "stall": "1m"}}),
        ("proxy-connect-timeout", "1m", "", {"timeouts": {"connect": "5s"}}),
        ("proxy-read-timeout", "30", "", {"timeouts": {"firstByte": "30s", "stall": "1m"}}),
        ("proxy-next-upstream-timeout", "10s", "", None),
        ("proxy-next-upstream-timeout", "10", "", {"retries": {"within": "10s"}}),
    ],
)
def test_times_have_no_unit(
    command: Run, tmp_path: Path, name: str, value: str, settings: str, parts: dict[str, Any] | None
) -> None:
    """ingress-nginx reads these by `strconv.Atoi`: with a unit the setting holds, or the default."""
    (tmp_path / "in.yaml").write_text(
        with_settings(settings or 'worker-processes: "1"').replace(
            "annotations: {}", f"annotations: {noted(name, value)}"
        )
    )
    document = json.loads(command("migrate", tmp_path / "in.yaml", "--config-map", "in/settings", "-o", "json")[1])
    made = [item["spec"] for item in document["objects"] if item["kind"] == "BackendPolicy"]
    assert [{key: part for key, part in item.items() if key != "targetRefs"} for item in made] == (
        [parts] if parts is not None else []
    )
    (told,) = [item for item in document["fates"] if item["subject"] == f"{PREFIX}{name}"]
    wrong = "a whole number of seconds without a unit is expected" in told["message"]
    assert wrong == (told["fate"] == "invalid") == (not value.isdecimal())


@pytest.mark.parametrize("value", ["30s", "30"])
def test_times_of_another_controller_have_one(command: Run, tmp_path: Path, value: str) -> None:
    annotations = f'{{nginx.org/proxy-read-timeout: "{value}"}}'
    (tmp_path / "in.yaml").write_text(manifest(annotations))
    document = json.loads(command("migrate", tmp_path / "in.yaml", "--provider", "f5", "-o", "json")[1])
    made = [item["spec"]["timeouts"] for item in document["objects"] if item["kind"] == "BackendPolicy"]
    assert made == [{"firstByte": "30s"}]


SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop}
spec: {ports: [{port: 80}]}
"""


@pytest.mark.parametrize(("name", "told"), [("other", True), ("web", False)])
def test_a_service_that_is_not_among_those_given_is_told(command: Run, tmp_path: Path, name: str, told: bool) -> None:
    (tmp_path / "in.yaml").write_text(manifest() + SERVICE.replace("NAME", name))
    document = json.loads(command("migrate", tmp_path / "in.yaml", "-o", "json")[1])
    found = [item for item in document["fates"] if "the Service shop/web is not here" in item["message"]]
    assert [(item["object"], item["line"], item["fate"]) for item in found] == (
        [("Ingress/shop/bad", 13, "converted-with-difference")] if told else []
    )
    assert all(item["remedy"] for item in found)


def test_without_services_none_is_missing(command: Run, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(manifest())
    document = json.loads(command("migrate", tmp_path / "in.yaml", "-o", "json")[1])
    assert not [item for item in document["fates"] if "Service" in item["message"] and "not here" in item["message"]]


def test_the_secret_of_the_default_certificate_that_is_missing_is_told(command: Run, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(manifest())
    arguments = ("migrate", tmp_path / "in.yaml", "--default-certificate", "in/cert", "-o", "json")
    status, written = command(*arguments)
    (found,) = [item for item in json.loads(written)["fates"] if item["subject"] == "--default-certificate"]
    assert (found["object"], found["fate"]) == ("Secret/in/cert", "converted-with-difference")
    assert (found["remedy"], status) == ("see that the cluster has it", 3)
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: in}\n"
    (tmp_path / "in.yaml").write_text(manifest() + secret)
    assert "--default-certificate" not in command(*arguments)[1]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--tcp-services-configmap", "in/tcp"), 1, "the ConfigMap in/tcp is not there: no TCP port is converted"),
        (("--udp-services-configmap", "in/udp"), 1, "the ConfigMap in/udp is not there: no UDP port is converted"),
        (("--tcp-services-configmap", "tcp"), 2, "--tcp-services-configmap: 'tcp' is not a namespace and a name"),
        (("--tcp-services-configmap", "in/tcp", "--provider", "f5"), 2, "are those of ingress-nginx"),
        (("--default-namespace", "No Name"), 2, "--default-namespace: 'No Name' is not a name"),
    ],
)
def test_ports_and_namespaces_that_are_none(
    command: Run, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    (tmp_path / "in.yaml").write_text(manifest())
    found, told = command("migrate", tmp_path / "in.yaml", *arguments)
    assert found == status, told
    assert words in told


def test_a_namespace_is_for_files(command: Run) -> None:
    status, told = command("migrate", "--kubernetes", "--default-namespace", "shop")
    assert (status, "--default-namespace is for files" in told) == (2, True)


_SETTING = "is a setting of the whole controller, a key of its ConfigMap"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("hsts-max-age", f"take it out: `hsts-max-age` {_SETTING}"),
        ("hsts-preload", f"take it out: `hsts-preload` {_SETTING}"),
        ("server-tokens", f"take it out: `server-tokens` {_SETTING}"),
        ("ssl-protocols", f"take it out: `ssl-protocols` {_SETTING}"),
        ("enable-brotli", f"take it out: `enable-brotli` {_SETTING}"),
        ("limit-req-status-code", f"take it out: `limit-req-status-code` {_SETTING}"),
        (
            "limit-req-statuscode",
            "the nearest name is that of a setting of the whole controller, a key of its ConfigMap:"
            " limit-req-status-code",
        ),
        ("cors-enable", f"the nearest one that there is: {PREFIX}enable-cors"),
        ("proxy-bodysize", f"the nearest one that there is: {PREFIX}proxy-body-size"),
        ("x-forwarded-for", "take it out: the gateway says it by itself"),
        ("websocket-service", "as websocket-services, which is none either: take it out: WebSockets need nothing"),
        ("wholly-made-up", "take it out"),
    ],
)
def test_what_to_write_for_an_annotation_that_never_was(
    report: Callable[[str], dict[str, Any]], name: str, remedy: str
) -> None:
    found = [item for item in report(manifest(noted(name, "1")))["fates"] if item["subject"] == f"{PREFIX}{name}"]
    assert [(item["fate"], item["remedy"]) for item in found] == [("unknown-annotation", remedy)]


@pytest.mark.parametrize("option", ["--gateway-class", "--ingress-class"])
@pytest.mark.parametrize("value", ["X Y", "No Name", "a_b", "-a"])
def test_an_option_that_is_no_name_is_refused(command: Run, tmp_path: Path, option: str, value: str) -> None:
    (tmp_path / "in.yaml").write_text(manifest())
    status, written = command("migrate", tmp_path / "in.yaml", f"{option}={value}")
    assert status == 2
    assert f"{option}: {value!r} is not a name" in written
    assert "kind:" not in written


def test_a_path_that_is_not_there_has_the_status_of_wrong_options(command: Run, tmp_path: Path) -> None:
    status, written = command("migrate", tmp_path / "nowhere")
    assert (status, "no such file or directory" in written) == (2, True)


def test_a_class_of_somebody_else_is_told(command: Run, tmp_path: Path) -> None:
    (tmp_path / "in.yaml").write_text(f"{manifest(ingress_class='other')}---\n{manifest(name='good')}")
    document = json.loads(command("migrate", tmp_path / "in.yaml", "-o", "json")[1])
    assert document["ingresses"] == 1
    (found,) = [item for item in document["fates"] if item["object"] == "Ingress/shop/bad"]
    assert (found["line"], found["message"]) == (8, "there is no class other here: left out")
    assert found["remedy"].startswith("--ingress-class other if it is meant")
    assert {item["metadata"]["name"] for item in document["objects"] if item["kind"] == "HTTPRoute"} == {
        "good-good.example.com"
    }


def test_what_is_no_ingress_is_told(report: Callable[[str], dict[str, Any]]) -> None:
    document = report("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: bad}\nspec: {rules: 5}\n")
    (found,) = document["problems"]
    assert (found["object"], found["line"]) == ("Ingress/default/bad", 4)
