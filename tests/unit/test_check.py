"""`sluicegate check` against the Gateway API's own examples, invalid examples and conformance manifests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from odd_objects import certificate

from go_modules import CONFORMANCE, GATEWAY_API, module
from sluicegate.cli.checked import SCHEMA_CODES, schema_diagnostics
from sluicegate.controller.sources.files import read
from sluicegate.schema import catalog, rules, violations

ROOT = Path(__file__).parents[2]

#: What the suite puts in before it applies a manifest.
PLACEHOLDERS = {
    "{GATEWAY_CONTROLLER_NAME}": "sluicegate.dev/controller",
    "PLACEHOLDER_USABLE_ADDRS": "192.0.2.1",
    "PLACEHOLDER_UNUSABLE_ADDRS": "192.0.2.2",
}


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    command = [sys.executable, "-m", "sluicegate", "check", *arguments]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, result.stdout


def problems(*arguments: str, stdin: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("--output", "json", *arguments, stdin=stdin)[1])["problems"]
    return found


def test_examples_have_no_schema_or_rule_error() -> None:
    folder = module(*GATEWAY_API) / "examples"
    assert len(list(folder.rglob("*.yaml"))) == 89
    found = problems(str(folder))
    assert [item for item in found if item["code"] in SCHEMA_CODES or item["code"] == "unreadable"] == []
    assert any(item["code"] == "backend-not-found" for item in found)


def test_conformance_manifests_have_no_schema_or_rule_error() -> None:
    folder = module(*CONFORMANCE)
    files = sorted([*(folder / "tests").rglob("*.yaml"), *(folder / "base").rglob("*.yaml")])
    assert len(files) >= 147
    found = [item for path in files for item in findings(path)]
    assert found == []


def findings(path: Path) -> list[str]:
    text = path.read_text()
    for name, value in PLACEHOLDERS.items():
        text = text.replace(name, value)
    reading = read(["-"], text)
    return [f"{path.name}: {item}" for item in (*reading.diagnostics, *schema_diagnostics(reading.documents))]


INVALID = sorted((module(*GATEWAY_API) / "hack" / "invalid-examples").rglob("*.yaml"))

#: The field that each file is about.
FIELDS = {
    "duplicate-header-match": "spec.rules[0].matches[0].headers[1]",
    "duplicate-listeners": "spec.listeners[1]",
    "duplicate-query-match": "spec.rules[0].matches[0].queryParams[1]",
    "hostname-tcp": "spec.listeners",
    "hostname-udp": "spec.listeners",
    "httproute-portless-backend": "spec.rules[0].backendRefs[0]",
    "httproute-portless-service": "spec.rules[0].backendRefs[0]",
    "invalid-addresses": "spec.addresses[8]",
    "invalid-backend-group": "spec.rules[0].backendRefs[0].group",
    "invalid-backend-kind": "spec.rules[0].backendRefs[0].kind",
    "invalid-backend-port": "spec.rules[0].backendRefs[0].port",
    "invalid-controller": "spec.controllerName",
    "invalid-filter-duplicate": "spec.rules[0].filters",
    "invalid-filter-duplicate-header": "spec.rules[0].filters[0].requestHeaderModifier.remove[1]",
    "invalid-filter-empty": "spec.rules[0].filters[0]",
    "invalid-filter-externalauth-bad-http-path": "spec.rules[0].filters[0].externalAuth.http.path",
    "invalid-filter-externalauth-empty": "spec.rules[0].filters[0]",
    "invalid-filter-externalauth-no-protocol": "spec.rules[0].filters[0].externalAuth.protocol",
    "invalid-filter-wrong-field": "spec.rules[0].filters[0]",
    "invalid-header-name": "spec.rules[0].matches[0].headers[0].name",
    "invalid-header-value": "spec.rules[0].filters[0].responseHeaderModifier.add[0].value",
    "invalid-hostname": "spec.hostnames[0]",
    "invalid-httpredirect-hostname": "spec.rules[0].filters[0].requestRedirect.hostname",
    "invalid-listener-name": "spec.listeners[0].name",
    "invalid-listener-port": "spec.listeners[0].port",
    "invalid-method": "spec.rules[0].matches[0].method",
    "invalid-path-alphanum-specialchars-mix": "spec.rules[0].matches[0].path",
    "invalid-path-specialchars": "spec.rules[0].matches[0].path",
    "invalid-request-redirect-with-backendref": "spec.rules[0]",
    "invalid-tls-mode": "spec.listeners",
    "missing-from": "spec.from",
    "missing-ns": "spec.from[0].namespace",
    "missing-to": "spec.to",
    "no-hostname": "spec.hostnames",
    "tlsconfig-tcp": "spec.listeners",
}


OWN = """
apiVersion: sluicegate.dev/v1alpha1
kind: RequestHeaderFilter
metadata: {name: a}
spec: %s
"""


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ("{set: [{name: x-a, value: b}], add: [{name: x-a, value: c}], remove: [x-b]}", None, ""),
        ("{}", "spec", "at least one of"),
        ("{set: [{name: HOST, value: b}]}", "spec.set", "cannot edit the host"),
        ("{add: [{name: host, value: b}]}", "spec.add", "cannot edit the host"),
        ("{remove: [Host]}", "spec.remove", "cannot edit the host"),
        ('{remove: ["a b"], set: [{name: "a b", value: c}]}', "spec.set[0].name", "does not match"),
        ("{set: [{name: a, value: b}, {name: a, value: c}]}", "spec.set[1]", "duplicate"),
    ],
)
def test_our_own_kinds(spec: str, field: str | None, words: str) -> None:
    found = violations(yaml.safe_load(OWN % spec))
    assert [item.field for item in found] == ([] if field is None else [field])
    assert all(words in item.message for item in found)


def test_the_schemas_of_our_own_kinds_are_those_of_the_crds() -> None:
    """Where this fails: `make schemas`."""
    crds = [yaml.safe_load(path.read_text()) for path in (ROOT / "deploy" / "crds").glob("*.yaml")]
    specs = [item["spec"] for item in crds if item["kind"] == "CustomResourceDefinition"]
    wanted = {(f"{item['group']}/{item['versions'][0]['name']}", item["names"]["kind"]) for item in specs}
    assert {key for key in catalog() if key[0].startswith("sluicegate.dev/")} == wanted


@pytest.mark.parametrize(
    ("name", "signer", "wrong"),
    [
        ("root", "", 0),
        ("a.test:signer:root", "a.test/signer", 0),
        ("a.test:signer:Root", "a.test/signer", 1),
        ("a.test:signer:root", "", 1),
        ("root", "a.test/signer", 1),
        ("a:root", "a", 1),
    ],
)
def test_names_of_trust_bundles(name: str, signer: str, wrong: int) -> None:
    document = {
        "apiVersion": "certificates.k8s.io/v1beta1",
        "kind": "ClusterTrustBundle",
        "metadata": {"name": name},
        "spec": {"trustBundle": certificate(), "signerName": signer},
    }
    assert len(violations(document)) == wrong


@pytest.mark.parametrize(
    ("bundle", "said"),
    [("pem", "no certificate"), (certificate().replace("M", "", 1), "block 0 is no X.509 certificate")],
    ids=("none", "broken"),
)
def test_trust_bundles_that_are_none(bundle: str, said: str) -> None:
    version = "certificates.k8s.io/v1beta1"
    spec = {"trustBundle": bundle}
    [found] = violations({"apiVersion": version, "kind": "ClusterTrustBundle", "metadata": {"name": "a"}, "spec": spec})
    assert found.field == "spec.trustBundle"
    assert said in found.message


def test_there_are_36_invalid_examples() -> None:
    assert len(INVALID) == 36


@pytest.mark.parametrize("path", INVALID, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_invalid_examples_are_refused_with_their_field(path: Path) -> None:
    found = list(schema_diagnostics(read([str(path)]).documents))
    assert FIELDS[path.stem] in {item.field for item in found}, [str(item) for item in found]
    assert all(item.line > 1 for item in found)


GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gateway
spec:
  gatewayClassName: sluicegate
  listeners:
  - name: http
    protocol: HTTP
    port: 80
"""


@pytest.mark.parametrize(
    ("change", "field", "line", "words"),
    [
        (("port: 80", "port: '80'"), "spec.listeners[0].port", 11, "without quotes"),
        (("port: 80", "prot: 80"), "spec.listeners[0].port", 9, "required"),
        (("port: 80", "port: 80\n    hostnam: a.test"), "spec.listeners[0].hostnam", 12, "did you mean hostname"),
        (("protocol: HTTP", "protocol: [HTTP]"), "spec.listeners[0].protocol", 10, "no string"),
        (("kind: Gateway", "kind: Gatewai"), "kind", 3, "did you mean Gateway"),
        (("io/v1", "io/v9"), "apiVersion", 2, "gateway.networking.k8s.io/v1"),
        (("name: gateway\n", "name: Gateway_1\n"), "metadata.name", 5, "lower-case"),
        (("name: gateway\n", "name: gateway\n  label: {}\n"), "metadata.label", 6, "did you mean labels"),
        (("name: gateway\n", "name: gateway\n  labels: {a: 1}\n"), 'metadata.labels["a"]', 6, "quote it"),
    ],
)
def test_mistakes_are_told_with_line_field_and_remedy(
    change: tuple[str, str], field: str, line: int, words: str
) -> None:
    found = problems("-", stdin=GATEWAY.replace(*change))
    [item] = [item for item in found if item["field"] == field and item["code"] != "invalid"]
    assert item["line"] == line
    assert words in f"{item['message']}; {item['remedy']}"


def test_clean_manifests_exit_with_zero(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    status, text = run(str(root / "examples" / "quickstart"))
    assert status == 0, text
    assert "HTTPRoute/default/example-httproute" in text
    assert "Accepted=True (Accepted)" in text
    assert "no problem" in text
    (tmp_path / "x.yaml").write_text(GATEWAY.replace("port: 80", "port: 0"))
    status, text = run(str(tmp_path))
    assert status == 1
    assert f"{tmp_path}/x.yaml:11: error: Gateway/default/gateway: spec.listeners[0].port: 0 is less than 1" in text


def test_sarif(tmp_path: Path) -> None:
    (tmp_path / "an x.yaml").write_text(GATEWAY.replace("port: 80", "port: 0"))
    status, text = run("--output", "sarif", str(tmp_path))
    assert status == 1
    [result] = [item for item in json.loads(text)["runs"][0]["results"] if item["ruleId"] == "schema"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/an%20x.yaml")
    assert place["region"]["startLine"] == 11


def test_core_kinds_are_looked_at() -> None:
    document = yaml.safe_load(
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{prt: 80, targetPort: http}], x: 1}}"
    )
    assert {item.field for item in violations(document)} == {"spec.ports[0].prt", "spec.ports[0].port", "spec.x"}
    document["spec"] = {"ports": [{"port": 80, "targetPort": 8080}], "selector": {"a": "b"}}
    assert violations(document) == []


def test_a_rule_that_reads_a_field_that_is_not_there_does_not_hold() -> None:
    listener = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Terminate"}}
    spec = {"gatewayClassName": "a", "listeners": [listener]}
    document = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    [found] = violations(document)
    assert (found.field, found.code) == ("spec.listeners[0].tls", "rule")
    assert found.message == "certificateRefs or options must be specified when mode is Terminate"


def without_a_field(value: Any) -> Iterator[Any]:
    """The value, with one field of it or of what is below it left out, each in its turn."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: less} for less in without_a_field(item))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from ([*value[:at], less, *value[at + 1 :]] for less in without_a_field(item))


def test_rules_need_only_the_fields_that_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule says another thing for being given fewer fields, or for being remembered."""
    folders = [module(*GATEWAY_API) / "examples", module(*GATEWAY_API) / "hack" / "invalid-examples"]
    written = [item.data for item in read(list(map(str, folders))).documents]
    documents = [document for item in written for document in (item, *without_a_field(item))]
    found = [violations(document) for document in documents]
    assert len({item for each in found for item in each if item.code == "rule"}) >= 25

    class Everything(frozenset[str]):
        def __contains__(self, name: object) -> bool:
            return True

    seen = rules._seen
    monkeypatch.setattr(rules, "_seen", lambda value, schema, names: seen(value, schema, Everything()))
    assert [violations(document) for document in documents] == found
