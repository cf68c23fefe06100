"""What `check` says of policies: each fault once, where it belongs, with names that people can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import (
    Manifest,
    backend,
    backend_policy,
    backend_tls_policy,
    by,
    config_map,
    dump,
    gateway,
    http_filter,
    listener,
    opaque,
    policy,
    route,
    rule,
    service,
    target,
)

Command = Callable[..., tuple[int, str]]

WORLD = (gateway(), route({**rule("/", "app"), "name": "first"}, name="shop"), *service("app", ("10.0.0.1", 80)))
SHOP = target("HTTPRoute", "shop")
KEYS = {"secretRefs": [{"name": "clients"}]}


@pytest.fixture
def check(command: Command, tmp_path: Path) -> Callable[..., str]:
    """What `check` writes of the route and some policies."""

    def run(*policies: Manifest | str, options: tuple[str, ...] = ()) -> str:
        (tmp_path / "world.yaml").write_text(dump(*WORLD))
        texts = [item if isinstance(item, str) else dump(item) for item in policies]
        (tmp_path / "policies.yaml").write_text("---\n".join(texts))
        return command("check", "--for", "standalone", *options, tmp_path)[1]

    return run


def under(text: str, title: str) -> list[str]:
    """The lines below a title."""
    found: list[str] = []
    is_below = False
    for line in text.splitlines():
        is_below = line.startswith(title) or (is_below and line.startswith("  "))
        if is_below and line.startswith("  "):
            found.append(line.strip())
    return found


ABSENT = "Problems of reference"


def test_what_is_not_in_these_files_is_told_in_one_place(check: Callable[..., str]) -> None:
    missing = policy(
        "AccessPolicy",
        "staff",
        SHOP,
        apiKey=KEYS,
        external={"protocol": "HTTP", "backendRef": backend("oauth", 80)},
    )
    text = check(missing, policy("AccessPolicy", "lost", target("HTTPRoute", "gone"), csrf={}))
    told = " ".join(under(text, ABSENT))
    assert all(name in told for name in ("Secret default/clients", "Service default/oauth", "HTTPRoute default/gone"))
    assert under(text, "Problems:") == []


def test_so_is_what_filters_refer_to(check: Callable[..., str]) -> None:
    """The same Secret that is there and has nothing is a problem."""
    filtered = route(
        {**rule("/a", "app"), "filters": by("absent")},
        {**rule("/b", "app"), "filters": by("proof")},
        {**rule("/c", "app"), "filters": by("pages")},
        {**rule("/d", "app"), "filters": by("odd")},
        name="filtered",
    )
    text = check(
        filtered,
        http_filter("proof", credential={"header": "X-Key", "secretRef": {"name": "gone"}}),
        http_filter("pages", errorPages=[{"statuses": ["404"], "configMapRef": {"name": "page"}}]),
        http_filter("odd", credential={"header": "X-Key", "secretRef": {"name": "odd"}}),
        opaque("odd", x="y"),
    )
    told = under(text, ABSENT)
    assert [any(name in line for line in told) for name in ("HTTPFilter absent", "Secret gone", "ConfigMap page")] == [
        True,
        True,
        True,
    ]
    [problem] = under(text, "Problems:")
    assert "Secret odd has none of the keys" in problem


def test_what_is_there_and_cannot_be_used_is_a_problem(check: Callable[..., str]) -> None:
    text = check(policy("AccessPolicy", "staff", SHOP, basic={"secretRef": {"name": "staff"}}), opaque("staff", x="y"))
    [told] = under(text, "Problems:")
    assert "Secret default/staff has no key .htpasswd or htpasswd or auth" in told


@pytest.mark.parametrize(
    ("named", "remedy"),
    [
        (target("HTTPRoute", "gone"), "HTTPRoute default/gone does not exist; name an HTTPRoute that exists"),
        (
            target("HTTPRoute", "shop", "gone"),
            "HTTPRoute default/shop has no rule named gone; name an HTTPRoute, and a rule of it, that exists",
        ),
    ],
    ids=["route", "rule"],
)
def test_a_target_that_is_not_there_is_told_once(check: Callable[..., str], named: Manifest, remedy: str) -> None:
    [told] = under(check(policy("AccessPolicy", "lost", named, csrf={})), ABSENT)
    assert told.endswith(f"AccessPolicy/default/lost: spec.targetRefs[0]: {remedy}")


def test_a_target_that_no_gateway_leads_to(check: Callable[..., str]) -> None:
    alone = route(rule("/", "app"), name="alone", parents=[{"name": "other"}])
    text = check(alone, policy("AccessPolicy", "alone", target("HTTPRoute", "alone"), csrf={}))
    assert "no Gateway leads to the target, so the policy has no effect" in text


def test_two_policies_for_one_route(check: Callable[..., str]) -> None:
    [told] = under(check(*(policy("AccessPolicy", name, SHOP, csrf={}) for name in "ab")), "Problems:")
    assert told.endswith("already; keep one policy for each HTTPRoute, or rule of it")
    at_rule = target("HTTPRoute", "shop", "first")
    [told] = under(check(*(policy("AccessPolicy", name, at_rule, csrf={}) for name in "ab")), "Problems:")
    assert told.endswith("already; keep one policy for each rule of an HTTPRoute")


def test_a_refused_policy_is_told_once_with_what_follows(check: Callable[..., str]) -> None:
    broken: Any = policy("AccessPolicy", "staff", SHOP, authorization=5)
    for options in ((), ("--no-conditions",)):
        text = check(broken, options=options)
        [told] = under(text, "Problems:")
        assert "AccessPolicy/default/staff: spec.authorization: " in told
        outcome = "requests for HTTPRoute default/shop are answered 500, connections are reset"
        assert f"AccessPolicy/default/staff  is refused: {outcome}" in text.splitlines()
    report = json.loads(check(broken, options=("-o", "json")))
    assert report["closed"] == {"AccessPolicy/default/staff": outcome}
    assert len(report["problems"]) == 1


def test_two_refused_policies_of_one_route(check: Callable[..., str]) -> None:
    """Each is told with its own fault, and neither that the other one is there."""
    both = [policy("AccessPolicy", name, SHOP, authorization=5) for name in "ab"]
    text = check(*both)
    told = under(text, "Problems:")
    assert [line.partition("error: ")[2].partition(": ")[0] for line in told] == [
        "AccessPolicy/default/a",
        "AccessPolicy/default/b",
    ]
    assert all("spec.authorization" in line for line in told)
    assert text.count("Accepted=False (Invalid): it cannot be used as it is written: ") == 2


def test_one_without_a_name_is_called_by_its_file_and_line(
    check: Callable[..., str], explain: Command, tmp_path: Path
) -> None:
    nameless = policy("AccessPolicy", "A_b", SHOP, csrf={})
    text = check(nameless)
    [told] = under(text, "Problems:")
    assert "AccessPolicy/default/A_b: metadata.name: " in told
    assert "AccessPolicy/default/A_b  is refused: requests for HTTPRoute default/shop" in text
    assert "AccessPolicy/default/(policies.yaml:1)  " in text
    assert "|" not in text
    text = explain(tmp_path, "-r", "http://shop.test:8080/")[1]
    line = next(line for line in text.splitlines() if line.startswith("  policy"))
    assert " of AccessPolicy/default/(policies.yaml:1): refuses: it cannot be used as it is written: " in line
    assert "metadata.name" in line
    # Of what is no YAML there is nothing but the place.
    told_of = under(check(dump(nameless) + "  a: b: c\n"), "Problems:")
    assert any("AccessPolicy/default/(policies.yaml:" in line for line in told_of), told_of


#: An expression of a rule that denies, and what it looks up without having asked for it.
EXPRESSIONS = [
    ("'x' in request.headers['x-deny']", "request.headers['x-deny']"),
    ('"x" in request.headers[ "x-deny" ]', "request.headers['x-deny']"),
    ("'x-deny' in request.headers && 'x' in request.headers['x-deny']", ""),
    ("'x-other' in request.headers && 'x' in request.headers['x-deny']", "request.headers['x-deny']"),
    ("identity.claims.tenant == 'red'", "identity.claims['tenant']"),
    ("has(identity.claims.tenant) && identity.claims.tenant == 'red'", ""),
    ("'tenant' in identity.claims && identity.claims['tenant'] == 'red'", ""),
    ("request.headers.exists(name, name == 'x-deny')", ""),
    ("request.path.startsWith('/a')", ""),
]


@pytest.mark.parametrize(("expression", "lacking"), EXPRESSIONS)
def test_a_rule_that_denies_all_who_lack_something(check: Callable[..., str], expression: str, lacking: str) -> None:
    def told(**rule: Any) -> list[str]:
        rules = [{"when": expression, **rule}]
        return under(
            check(policy("AccessPolicy", "staff", SHOP, authorization={"rules": rules, "default": "Allow"})),
            "Problems:",
        )

    found = told(action="Deny")
    assert len(found) == bool(lacking), found
    if lacking:
        assert f"denies everybody without {lacking}: an expression that fails denies; ask for it first: " in found[0]
    assert told(action="Allow") == []
    guarded = told(action="Deny", headers=[{"name": "X-Deny", "values": ["x"]}])
    assert guarded == (found if "claims" in lacking else [])


PASSWORDS = {"secretRef": {"name": "users"}}
USERS = opaque("users", auth="ann:$2b$10$m5aGKoQVTGLE1yOS/lB7k.YKYuS/zBweruwMSI3vMsIVlfcPKaniC\n")
FIRST, GATEWAY = target("HTTPRoute", "shop", "first"), target("Gateway", "gateway")
BY_USER = {"default": "Allow", "rules": [{"action": "Deny", "users": ["mallory"]}]}
BY_CLAIM = {"rules": [{"claims": [{"name": "role", "values": ["admin"]}]}]}
LIMIT = {"limits": [{"name": "own", "key": ["user"], "requests": 1, "per": "1s"}]}
ASKED_OF_ALL = "the credentials there are of policies that override, which everybody is asked for"
NOBODY_HAS_IT = "no policy there has a credential that can be shown"


@pytest.mark.parametrize(
    ("policies", "told"),
    [
        # A rule that denies by who asks lets everybody through where nobody can say it.
        (
            [policy("AccessPolicy", "own", SHOP, authorization=BY_USER)],
            f"authorization.rules[0] denies nobody at Gateway/default/gateway/http: {NOBODY_HAS_IT}",
        ),
        (
            [policy("AccessPolicy", "own", SHOP, authorization=BY_CLAIM, basic=PASSWORDS)],
            "authorization.rules[0] allows nobody at Gateway/default/gateway/http: no policy there has jwt",
        ),
        (
            [policy("AccessPolicy", "own", SHOP, exempt={"methods": ["GET"]})],
            f"exempt spares nobody anything at Gateway/default/gateway/http: {NOBODY_HAS_IT}",
        ),
        (
            [policy("RateLimitPolicy", "own", SHOP, local=LIMIT)],
            f"local.limits[0] takes all who ask for one at Gateway/default/gateway/http: {NOBODY_HAS_IT}",
        ),
        (
            [policy("AccessPolicy", "own", GATEWAY, certificate={})],
            "certificate lets nobody in at Gateway/default/gateway/http: no certificate of a client is validated there",
        ),
        # To rules that override what routes ask for proves nothing.
        (
            [
                policy("AccessPolicy", "own", GATEWAY, strategy="Overrides", authorization=BY_USER),
                policy("AccessPolicy", "below", SHOP, basic=PASSWORDS),
            ],
            f"authorization.rules[0] denies nobody at Gateway/default/gateway/http: {NOBODY_HAS_IT}",
        ),
        # What overrides asks everybody, and so it does of whom it does not exempt itself.
        (
            [
                policy("AccessPolicy", "own", SHOP, exempt={"methods": ["GET"]}),
                policy("AccessPolicy", "above", GATEWAY, strategy="Overrides", basic=PASSWORDS),
            ],
            f"exempt spares nobody anything at Gateway/default/gateway/http: {ASKED_OF_ALL}",
        ),
        (
            [
                policy("AccessPolicy", "own", FIRST, exempt={"methods": ["GET"]}),
                policy("AccessPolicy", "above", GATEWAY, strategy="Overrides", basic=PASSWORDS),
                policy("AccessPolicy", "beside", SHOP, basic=PASSWORDS),
            ],
            "",
        ),
        # Somebody else may ask for credentials: at a rule of the route, at its Gateway, at the routes of a Gateway.
        (
            [
                policy("AccessPolicy", "own", SHOP, authorization=BY_USER),
                policy("AccessPolicy", "other", FIRST, basic=PASSWORDS),
            ],
            "",
        ),
        (
            [
                policy("RateLimitPolicy", "own", FIRST, local=LIMIT),
                policy("AccessPolicy", "other", GATEWAY, basic=PASSWORDS),
            ],
            "",
        ),
        ([policy("AccessPolicy", "own", GATEWAY, authorization=BY_USER)], ""),
        ([policy("AccessPolicy", "own", SHOP, certificate={}, basic=PASSWORDS)], ""),
        (
            [policy("AccessPolicy", "own", SHOP, certificate={"mode": "Optional"}, authorization={"default": "Allow"})],
            "",
        ),
    ],
)
def test_who_asks_where_nobody_can_say_it(check: Callable[..., str], policies: list[Manifest], told: str) -> None:
    """What is about users is for nothing where no policy has a credential; so is a certificate that none validates."""
    document = json.loads(check(USERS, *policies, options=("--output", "json")))
    codes = {"no-credential", "no-client-validation"}
    assert [item["message"] for item in document["problems"] if item["code"] in codes] == [told] * bool(told)
    [own] = [item for item in document["objects"] if item["object"].endswith("/own") and "Policy/" in item["object"]]
    [accepted, *_] = own["status"]["ancestors"][0]["conditions"]
    assert accepted["status"] == "True"
    assert accepted["message"] == "The policy is accepted" + f"; {told}" * bool(told)


FLOWS = (
    gateway(listener("flows", 9000, "TCP"), name="flows"),
    gateway(listener(), listener("t", 9001, "TCP"), name="both"),
)
OF_REQUESTS = {"body": {"maxSize": "1Mi"}, "headers": {"maxCount": 3}, "accessLog": {"mode": "Errors"}}
BY_FIELD = {"limits": [{"name": "own", "key": ["header:x-key"], "requests": 1, "per": "1s"}]}


@pytest.mark.parametrize(
    ("kind", "parent", "spec", "told"),
    [
        ("ClientPolicy", "gateway", {"tls": {"minVersion": "1.3"}}, {"tls": "no TLS ends there"}),
        (
            "ClientPolicy",
            "gateway",
            {"clientCertificate": {}},
            {"clientCertificate": "no certificate of a client is validated there"},
        ),
        ("ClientPolicy", "flows", OF_REQUESTS, dict.fromkeys(OF_REQUESTS, "connections come there, and no requests")),
        (
            "RateLimitPolicy",
            "flows",
            {"local": BY_FIELD},
            {"local.limits[0]": "connections come there, and no requests"},
        ),
        # At one of the listeners it means something.
        ("ClientPolicy", "both", OF_REQUESTS, {}),
        ("RateLimitPolicy", "both", {"local": BY_FIELD}, {}),
        ("ClientPolicy", "gateway", {"tls": {"mode": "Disabled"}, "connections": {"max": 3}}, {}),
        ("ClientPolicy", "flows", {"connections": {"max": 3}}, {}),
    ],
)
def test_parts_that_no_listener_has_a_use_for(
    check: Callable[..., str], kind: str, parent: str, spec: Manifest, told: dict[str, str]
) -> None:
    document = json.loads(
        check(*FLOWS, policy(kind, "own", target("Gateway", parent), **spec), options=("--output", "json"))
    )
    found = {item["field"]: item["message"] for item in document["problems"] if item["code"] == "policy-part-unused"}
    name = f"Gateway/default/{parent}/{'http' if parent == 'gateway' else 'flows'}"
    assert found == {f"spec.{part}": f"{part} means nothing at {name}: {why}" for part, why in told.items()}


@pytest.mark.parametrize(
    ("cost", "outcome"),
    [("2", "none would ever pass"), ("0", "nothing would be counted"), ("-1", "nothing would be counted")],
)
def test_a_cost_that_is_none(check: Callable[..., str], cost: str, outcome: str) -> None:
    """A limit of which nothing is ever taken would be none."""
    limits = [{"name": "own", "requests": 1, "per": "1h", "cost": cost}]
    text = check(policy("RateLimitPolicy", "own", SHOP, local={"limits": limits}))
    assert f"a request takes {cost}, and 1 may come at once: {outcome}" in text


SLOW = "Hash knows no slow start: an endpoint that is new has all of its keys at once"


@pytest.mark.parametrize(
    ("spec", "others", "told"),
    [
        (
            {"tls": {"minVersion": "1.3"}},
            [],
            {
                "tls": "tls means nothing at Service default/app: no BackendTLSPolicy says that TLS is spoken there,"
                " so nothing is encrypted"
            },
        ),
        (
            {"tls": {"minVersion": "1.3"}},
            [backend_tls_policy("tls", "app", "app.test", "ca"), config_map("ca", b"-")],
            {},
        ),
        ({"tls": {}, "limits": {"requests": 1}}, [], {}),
        (
            {"loadBalancing": {"type": "Hash", "hash": {"key": ["client"]}, "slowStart": "5s"}},
            [],
            {"loadBalancing.slowStart": SLOW},
        ),
    ],
)
def test_what_means_nothing_for_a_service(
    check: Callable[..., str], spec: Manifest, others: list[Manifest], told: dict[str, str]
) -> None:
    document = json.loads(check(backend_policy("own", "app", **spec), *others, options=("--output", "json")))
    found = {item["field"]: item["message"] for item in document["problems"] if item["code"] == "policy-part-unused"}
    assert found == {f"spec.{field}": message for field, message in told.items()}


def _jwk(**changes: str) -> dict[str, str]:
    """The public key of RFC 8037, appendix A.2, with parts changed."""
    return {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", **changes}


WEAK = {"kty": "oct", "kid": "old", "k": "c2VjcmV0"}
SHARED = "is a shared secret, which whoever verifies could sign with"


@pytest.mark.parametrize("reference", ["configMapRef", "secretRef"])
@pytest.mark.parametrize(
    ("keys", "severity", "code", "said"),
    [
        ([_jwk()], "", "", ""),
        # Sets have keys for other things; nothing is wrong with these.
        ([_jwk(), _jwk(use="enc")], "", "", ""),
        ([WEAK, _jwk()], "warning", "unusable-key", f'keys[0] (kid "old") {SHARED}'),
        (
            [_jwk(), _jwk(kid="p", crv="P-999"), "text"],
            "warning",
            "unusable-key",
            'keys[1] (kid "p") is on an unknown curve (crv), keys[2] is no object',
        ),
        (
            [WEAK, _jwk(use="enc")],
            "error",
            "invalid-policy-ref",
            f'no key that can verify a signature; keys[0] (kid "old") {SHARED}, keys[1] is not for signatures (use)',
        ),
    ],
    ids=["good", "encrypts", "beside", "several", "all"],
)
def test_keys_of_a_set_that_verify_nothing(
    check: Callable[..., str], reference: str, keys: list[Any], severity: str, code: str, said: str
) -> None:
    """Each is named, with its reason, in the diagnostic and in the condition; what is private of it is not."""
    text = json.dumps({"keys": keys})
    holder = opaque("own", **{"jwks.json": text})
    if reference == "configMapRef":
        holder = {**config_map("own", b""), "data": {"jwks.json": text}}
    provider = {"name": "a", "issuer": "https://a.test", "audiences": ["a"], "keys": {reference: {"name": "own"}}}
    output = check(policy("AccessPolicy", "own", SHOP, jwt={"providers": [provider]}), holder, options=("-o", "json"))
    document = json.loads(output)
    told = [item for item in document["problems"] if item["object"] == "AccessPolicy/default/own"]
    assert [(item["severity"], item["code"]) for item in told] == ([(severity, code)] if code else [])
    assert all(said in item["message"] for item in told)
    [status] = [item["status"] for item in document["objects"] if item["object"] == "AccessPolicy/default/own"]
    conditions = status["ancestors"][0]["conditions"]
    assert any(said in item["message"] for item in conditions)
    assert WEAK["k"] not in output.replace(text, "")
