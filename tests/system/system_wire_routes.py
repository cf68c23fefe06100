"""Random routes for `test_wire_agrees`: each rule writes its own name into its answers."""

from __future__ import annotations

import random
from typing import Any

from system_manifests import (
    Manifest,
    backend,
    by,
    gateway,
    grpc_route,
    grpc_rule,
    http_filter,
    https,
    listener,
    policy,
    route,
    rule,
    target,
)
from system_wire_requests import TRUSTING_PORT

#: Listeners of the port for HTTP, of the one for HTTPS, and the one that believes its peer.
HTTP, HTTPS, TRUSTING = ("http", "any", "inner", "away"), ("secured", "secured-inner"), "trusting"
HOSTNAMES: tuple[list[str], ...] = ([], [], ["a.test"], ["*.a.test"], ["b.a.test"], ["*.test", "a.test"])
MATCHED = (
    *(("x-a", "1"), ("x-a", "1, 2"), ("x-b", "2"), ("cookie", "k=1; k=2"), ("origin", "https://shop.test")),
    *(("te", "trailers"), ("host", "a.test"), ("expect", "100-continue"), ("connection", "x-a")),
    *(("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http"), ("upgrade", "h2c"), ("content-length", "0")),
)
#: What a rule does with a request, and how often.
ACTIONS = {
    "forward": 60,
    "redirect": 10,
    "respond": 6,
    "fault": 4,
    # A share of nobody, a Service that is not there, one without endpoints, a filter that is not there, no backend.
    "weighted": 4,
    "missing": 4,
    "empty": 4,
    "invalid": 4,
    "nothing": 4,
}
#: HTTPFilters of rules beside those that answer.
OWN_FILTERS = ("substituted", "asked")


def listeners() -> Manifest:
    """The Gateway; of two of its listeners all requests are edited, of one all are answered."""
    return gateway(
        listener("http", hostname="*.test"),
        listener("any"),
        listener("inner", hostname="*.a.test", filters={"requests": by("edge")}),
        listener("away", hostname="away.test", filters={"requests": by("edge", "away")}),
        listener(TRUSTING, TRUSTING_PORT),
        https("secured", hostname="a.test"),
        https("secured-inner", hostname="*.a.test", filters={"requests": by("edge")}),
    )


def policies() -> list[Manifest]:
    """Whose word about where a request comes from counts."""
    believing = {"trustedProxies": ["127.0.0.0/8"]}
    return [policy("ClientPolicy", "believing", target("Gateway", "gateway", TRUSTING), clientAddress=believing)]


def filters() -> list[Manifest]:
    """HTTPFilters of rules and of listeners; there is none of the name `missing`."""
    return [
        http_filter("answer", respond={"status": 203, "headers": [{"name": "x-page", "value": "own"}], "body": "own"}),
        http_filter("fault", fault={"abort": {"status": 418}}),
        http_filter("refuse", respond={"status": 403, "body": "no"}),
        http_filter("substituted", rewrite={"pathRegex": {"pattern": "b+", "replacement": "B/../c"}}),
        http_filter("asked", headers={"request": _set("x-asked", expression="request.method + request.path")}),
        http_filter(
            "edge",
            headers={
                "request": _set("x-b", value="2") | {"add": [{"name": "x-a", "value": "2"}], "remove": ["cookie"]},
                "response": _set("x-by", value="edge"),
            },
        ),
        http_filter("away", respond={"status": 503, "headers": [{"name": "retry-after", "value": "9"}]}),
    ]


def _set(name: str, **value: str) -> dict[str, Any]:
    return {"set": [{"name": name, **value}]}


def draw_route(draw: random.Random, number: int) -> Manifest:
    """An HTTPRoute, `route-<number>`."""
    name = f"route-{number}"
    rules = [_rule(draw, f"{name}/{index}") for index in range(draw.choice((1, 1, 2)))]
    return route(*rules, name=name, parents=_parents(draw, rules), hostnames=draw.choice(HOSTNAMES))


def draw_grpc_route(draw: random.Random, number: int) -> Manifest:
    """A GRPCRoute, `calls-<number>`; its hostnames are HTTPRoutes' too."""
    name = f"calls-{number}"
    rules = [_grpc_rule(draw, f"{name}/{index}") for index in range(draw.choice((1, 1, 2)))]
    return grpc_route(*rules, name=name, parents=_parents(draw, rules), hostnames=draw.choice(HOSTNAMES))


def _parents(draw: random.Random, rules: list[Manifest]) -> list[Manifest]:
    """Where a route is attached: `decide` knows no peer that is believed, so what asks for its word is elsewhere."""
    everywhere = (*HTTP, *HTTPS)
    trusting = () if "x-forwarded-" in str(rules) else (TRUSTING,)
    sections = draw.choice(
        ((*everywhere, *trusting),) * 3 + (("http", *trusting), ("any",), ("inner", "secured"), HTTPS)
    )
    return [{"name": "gateway", "sectionName": name} for name in sections]


def _rule(draw: random.Random, name: str) -> Manifest:
    action = draw.choices(tuple(ACTIONS), tuple(ACTIONS.values()))[0]
    found = [_names(name)]
    if draw.random() < 0.3:
        found.append(_edits())
    if draw.random() < 0.4:
        found.append(_cors(draw))
    if action == "redirect":
        found.append(_redirect(draw))
    elif action == "respond":
        found += by(draw.choice(("answer", "refuse")))
    elif action in {"fault", "invalid"}:
        found += by("fault" if action == "fault" else "missing")
    elif draw.random() < 0.3:
        found.append(_rewrite(draw))
    elif draw.random() < 0.1:
        found += by(draw.choice(OWN_FILTERS))
    matches = [_match(draw) for _ in range(draw.choice((1, 1, 2, 3)))]
    return rule("/", *_backends(action, "app"), matches=matches, filters=found)


def _grpc_rule(draw: random.Random, name: str) -> Manifest:
    action = draw.choices(("forward", "weighted", "missing", "empty", "fault"), (75, 5, 5, 10, 5))[0]
    found = [_names(name), *([_edits()] if draw.random() < 0.3 else []), *(by("fault") if action == "fault" else [])]
    matches = [_grpc_match(draw) for _ in range(draw.choice((0, 1, 1, 2)))]
    return grpc_rule(*_backends(action, "calls"), **({"matches": matches} if matches else {}), filters=found)


def _backends(action: str, app: str) -> tuple[Manifest, ...]:
    if action in {"redirect", "nothing"}:
        return ()
    if action == "weighted":
        return backend("missing", weight=0), backend(app, weight=1)
    return (backend(action if action in {"missing", "empty"} else app),)


def _names(name: str) -> Manifest:
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": _set("x-rule", value=name)}


def _edits() -> Manifest:
    edits = _set("x-b", value="edited") | {"remove": ["x-a"]}
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": edits}


def _cors(draw: random.Random) -> Manifest:
    content = draw.choice(
        (
            {"allowOrigins": ["https://shop.test"], "allowMethods": ["PUT"], "allowHeaders": ["x-a"], "maxAge": 9},
            {"allowOrigins": ["https://*.shop.test", "http://a.test"], "exposeHeaders": ["x-a", "x-b"]},
            {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"], "exposeHeaders": ["*"]},
            {"allowOrigins": ["*"], "allowMethods": ["*"], "allowHeaders": ["*"], "allowCredentials": True},
        )
    )
    return {"type": "CORS", "cors": content}


def _rewrite(draw: random.Random) -> Manifest:
    content = draw.choice(
        (
            {"hostname": "new.test"},
            {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}},
            {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}, "hostname": "new.test"},
        )
    )
    return {"type": "URLRewrite", "urlRewrite": content}


def _redirect(draw: random.Random) -> Manifest:
    content = draw.choice(
        (
            {},
            {"scheme": "https"},
            {"hostname": "new.test", "statusCode": 301},
            {"port": 8444},
            {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}, "statusCode": 301},
        )
    )
    return {"type": "RequestRedirect", "requestRedirect": content}


def _match(draw: random.Random) -> Manifest:
    found: Manifest = {}
    kind = draw.choice(("PathPrefix", "PathPrefix", "Exact", "RegularExpression"))
    paths = (
        ("/a|/b", "/a/.*", "/[ab]+", "/a/<.+>", "/a%2Fb", "/pkg.+", ".*")
        if kind == "RegularExpression"
        else ("/a", "/a/b", "/b", "/ab", "/a/")
    )
    if draw.random() < 0.9:
        found["path"] = {"type": kind, "value": draw.choice(paths)}
    if draw.random() < 0.3:
        found["method"] = draw.choice(("GET", "POST", "PUT", "HEAD", "PATCH", "OPTIONS"))
    if draw.random() < 0.4:
        name, value = draw.choice(MATCHED)
        found["headers"] = [{"name": name, "value": value}]
        if name == "x-a" and draw.random() < 0.5:
            found["headers"] = [{"name": name, "value": "[12]", "type": "RegularExpression"}]
    if draw.random() < 0.2:
        found["queryParams"] = [{"name": "q", "value": draw.choice(("1", "2", '{"<1>"}`'))}]
    return found or {"path": {"type": "PathPrefix", "value": "/a"}}


def _grpc_match(draw: random.Random) -> Manifest:
    method = draw.choice(
        (
            {"service": "pkg.Shop", "method": "Get"},
            {"service": "pkg.Shop"},
            {"method": "Get"},
            {"type": "RegularExpression", "service": "pkg[.].+", "method": "G.+"},
        )
    )
    headers = [{"name": "x-a", "value": "1"}] if draw.random() < 0.2 else []
    return {"method": method, **({"headers": headers} if headers else {})}
