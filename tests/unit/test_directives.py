"""Snippets as directives, and what `if` and variables of nginx are in CEL."""

from __future__ import annotations

import pytest

from sluicegate.checks import native_checks
from sluicegate.controller.ingress import Cause
from sluicegate.controller.ingress.nginx.directives import Directive, Draft, parse, take
from sluicegate.controller.ingress.nginx.directives.conditions import condition
from sluicegate.controller.ingress.nginx.directives.parsing import MAX_DEPTH
from sluicegate.controller.ingress.nginx.variables import REQUEST_URI, REQUEST_URL, said


def expressible(pattern: str) -> bool:
    return native_checks().pattern(pattern).error is None


def read(text: str, *, of_server: bool = False) -> tuple[Draft, list[str]]:
    """What comes of a text, and the directives that nothing says."""
    draft = Draft(Cause("Ingress/shop/web"), of_server, expressible)
    directives = parse(text)
    assert directives is not None
    return draft, [item.name for item in directives if not take(item, draft)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("gzip on;", (Directive("gzip", ("on",)),)),
        ('a \'b c\' "d\\"e" # f;\n ;g h;', (Directive("a", ("b c", 'd"e')), Directive("g", ("h",)))),
        ('a \'b c\' "d\\"e" # f;\n g;', (Directive("a", ("b c", 'd"e', "g")),)),
        ("set $x ${y}z;", (Directive("set", ("$x", "${y}z")),)),
        ("if ($a = 1) { return 403; }", (Directive("if", ("($a", "=", "1)"), (Directive("return", ("403",)),)),)),
        ("location ~ [.]php$ {}", (Directive("location", ("~", "[.]php$"), ()),)),
        ("gzip on", None),
        ("gzip on; }", None),
        ("if ($a) { return 403;", None),
        ("{ gzip on; }", None),
        ("more_set_headers 'open;", None),
        ("a {" * (MAX_DEPTH + 2) + "}" * (MAX_DEPTH + 2), None),
    ],
)
def test_parsing(text: str, found: tuple[Directive, ...] | None) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", ("plain", False)),
        ("$host", ("request.host", True)),
        ("a ${scheme}b", ("'a ' + request.scheme + 'b'", True)),
        ("$scheme://$http_host$request_uri", (f"request.scheme + '://' + request.host + ({REQUEST_URI})", True)),
        ("it's $uri", ("'it\\'s ' + request.path", True)),
        ("$http_x_y", ("('x-y' in request.headers ? request.headers['x-y'][0] : '')", True)),
        ("$ssl_client_serial", None),
        ("5$", None),
    ],
)
def test_variables(text: str, found: tuple[str, bool] | None) -> None:
    assert said(text) == found
    if found is not None and found[1]:
        assert native_checks().expression(found[0], "text") is None


def test_expressions_of_every_question() -> None:
    for text in (REQUEST_URI, REQUEST_URL):
        assert native_checks().expression(text, "text") is None


USER_AGENT = "('user-agent' in request.headers ? request.headers['user-agent'] : [''])"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("($http_user_agent ~* curl)", f"{USER_AGENT}.exists(each, each.matches('(?i)curl'))"),
        ("($http_user_agent !~ curl)", f"!{USER_AGENT}.exists(each, each.matches('curl'))"),
        ("($http_user_agent = '')", f"{USER_AGENT}.exists(each, each == '\\'\\'')"),
        ("($request_method != GET)", "!(request.method == 'GET')"),
        ("($http_host ~ ^a)", "(request.host.matches('^a'))"),
        ("($args)", "(request.query != '' && request.query != '0')"),
        ("($cookie_a = 1)", None),
        ("($host = $other)", None),
        ("($http_a ~ '(?!b)')", None),
        ("(-f /x)", None),
        ("$host = a", None),
    ],
)
def test_conditions(text: str, found: str | None) -> None:
    assert condition(text.split(" "), expressible) == found
    if found is not None:
        assert native_checks().expression(found, "condition") is None


@pytest.mark.parametrize(
    "text",
    [
        "more_set_headers nonsense;",
        "more_set_headers -s 404 'X-A: 1';",
        "more_clear_headers 'X-*';",
        "add_header X-A $ssl_client_serial;",
        "add_header X-A 1 2;",
        "proxy_set_header Host other;",
        "proxy_set_header X-A;",
        "return 301 /path;",
        "return 200 $host;",
        "return;",
        "rewrite ^/a /b;",
        "rewrite ^/a|^/b /c break;",
        "rewrite ^/(?!a) /b break;",
        "rewrite ^/a /b?c=1 break;",
        "if ($host = a) { return 301 https://b; }",
        "if ($host = a) { set $x 1; return 403; }",
        "location /a { deny all; }",
        "sub_filter a b;",
        "deny 10.0.0.0/8 all;",
        "default_type;",
    ],
)
def test_what_nothing_says(text: str) -> None:
    _, left = read(text)
    assert left == [text.partition(" ")[0].rstrip(";")]


def test_a_server_takes_locations_that_refuse_and_no_fields_of_requests() -> None:
    draft, left = read(
        "location = /a { return 404; }\nlocation @b { deny all; }\nproxy_set_header X-A 1;", of_server=True
    )
    assert left == ["location"]
    assert draft.refusals == ["request.path == '/a'"]
    assert list(draft.differences) == [
        "what was answered 404 is answered 403",
        "proxy_set_header X-A never did anything there",
    ]
    assert not draft.requests


@pytest.mark.parametrize(
    ("text", "allowed", "denied"),
    [
        ("allow 10.0.0.0/8; deny all;", ("10.0.0.0/8",), ()),
        ("deny 10.0.0.1; deny 10.0.0.2;", (), ("10.0.0.1", "10.0.0.2")),
        ("deny 10.0.0.1; allow all;", (), ("10.0.0.1",)),
    ],
)
def test_lists_of_addresses(text: str, allowed: tuple[str, ...], denied: tuple[str, ...]) -> None:
    found = read(text)[0].addresses()
    assert found is not None
    assert (found.allowed, found.denied) == (allowed, denied)


@pytest.mark.parametrize("text", ["deny all;", "allow 10.0.0.1; deny 10.0.0.0/8; allow all;", "allow x; deny all;"])
def test_lists_that_are_no_list(text: str) -> None:
    """`deny all` alone too: a list of nobody is none that a policy has."""
    assert read(text)[0].addresses() is None
