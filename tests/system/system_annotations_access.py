"""What annotations are seen to do: who may ask, by address, password, certificate or another service, and how often."""

from __future__ import annotations

import base64
from collections.abc import Callable
from threading import Event

from system_annotation import Behind, Entry, Here, entry
from system_annotations_routes import shown, status
from system_backends import Answer, Received, echo, response
from system_clients import LIMIT

HERE, ELSEWHERE = "127.0.0.0/8", "192.0.2.0/24"
BASIC = {"auth_type": "basic", "auth_secret": "users"}
#: The password of the test's users.
ANN = ("authorization", f"Basic {base64.b64encode(b'ann:secret').decode()}")
BOB = ("authorization", f"Basic {base64.b64encode(b'bob:secret').decode()}")
CLIENT = {"auth_tls_secret": "default/clients"}
ASKED = {"auth_url": "http://@auth.default.svc.cluster.local/check"}
GOOD = ("cookie", "session=good")
PAGE = (("accept", "text/html"), ("sec-fetch-mode", "navigate"))


def authoriser() -> Answer:
    """Lets in who has a cookie."""

    def answer(request: Received) -> bytes:
        if "session=good" in (request.header("cookie") or ""):
            return response(headers=(("x-user", "ann"),))
        return response(status="401 Unauthorized")

    return answer


def renewing() -> Answer:
    """Lets everybody in, with a new cookie."""
    return lambda _: response(headers=(("set-cookie", "s=1"),))


def named_status() -> Answer:
    """Answers with the status that the path names."""
    return lambda request: response(status=f"{request.target[1:]} It")


def renewed(here: Here) -> object:
    """See which answers have the new cookie of the service that is asked."""
    return [here.get(f"/{status}").header("set-cookie") for status in (200, 302, 404)]


class Held:
    """Answers `/held` when it is told to, all else at once; each has a name of its own."""

    def __init__(self) -> None:
        self.released = Event()
        self._echo = echo(f"held-{id(self)}")

    def __call__(self, request: Received) -> bytes | None:
        assert request.target != "/held" or self.released.wait(LIMIT)
        return self._echo(request)


def certificate(name: str = "", field: str = "") -> Callable[[Here], object]:
    """See the status, or whether the backend gets a field, over TLS; `name`: with a certificate of it."""

    def ask(here: Here) -> object:
        found = here.get("/", tls=here.context(name))
        return found.sent(field) is not None if field else found.status

    return ask


def error_page(here: Here) -> object:
    """See where a page leads who has no certificate."""
    found = here.get("/", tls=here.context())
    return found.status, b"https://help.test/certificates" in found.body


def question(name: str) -> Callable[[Here], object]:
    """See a field of the question that a service is asked."""

    def ask(here: Here) -> object:
        assert here.get("/a", GOOD, ("user-agent", "tester"), ("x-team", "mine"), method="PUT").status == 200
        found = here.backend("auth").wait(1)[-1]
        return found.method if name == "method" else found.header(name)

    return ask


def questions(here: Here) -> object:
    """See how often a service is asked of three requests."""
    assert [item.status for item in here.several(3, "/", GOOD)] == [200] * 3
    return len(here.backend("auth").requests)


def asked_again(here: Here) -> object:
    """See whether a service is asked again within the time, when the first answer has been remembered."""
    pause, asked = Event(), here.backend("auth").requests
    left = here.limit(1.5)
    while len(asked) < 2 and left > 0:
        assert here.get("/", GOOD).status == 200
        pause.wait(0.1)
        left -= 0.1
    return len(asked)


def fresh(here: Here) -> object:
    """See whether each question to a service has a connection of its own."""
    assert [item.status for item in here.several(4, "/", GOOD)] == [200] * 4
    return here.backend("auth").connections == 4


def kept(here: Here) -> object:
    """See whether the connection to a service ends soon."""
    assert here.get("/", GOOD).status == 200
    return here.backend("auth").has_ended(here.limit(2.0))


def statuses(count: int) -> Callable[[Here], object]:
    """See the statuses of so many requests."""
    return lambda here: [item.status for item in here.several(count)]


def refused(count: int) -> Callable[[Here], object]:
    """See whether one of so many requests is refused."""
    return lambda here: 503 in {item.status for item in here.several(count)}


def beside(here: Here) -> object:
    """See the status of a request while another one is served."""
    first = here.connection()
    try:
        first.send(f"GET /held HTTP/1.1\r\nhost: {here.host}\r\n\r\n".encode())
        here.backend().wait(1)
        found = here.get("/beside").status
        answer = here.backend().answer
        assert isinstance(answer, Held)
        answer.released.set()
        assert first.read().status == 200
    finally:
        first.close()
    return found


def external(
    annotation: str, value: str, ask: Callable[[Here], object], seen: object, otherwise: object, **rest: str
) -> Entry:
    """An entry with a service that is asked."""
    services = {"auth": Behind(answer=authoriser)}
    given = ASKED if annotation != "auth-url" else {}
    return entry(annotation, value, ask, seen, otherwise, services=services, **given, **rest)


ACCESS: list[Entry] = [
    entry("allowlist-source-range", ELSEWHERE, status(), 403, 200),
    entry("denylist-source-range", HERE, status(), 403, 200),
    entry("satisfy", "any", status(), 200, 401, allowlist_source_range=HERE, **BASIC),
    entry("auth-type", "basic", status(), 401, 200, auth_secret="users"),
    entry("auth-secret", "users", status("/", ANN), 200, 500, auth_type="basic"),
    entry(
        "auth-secret-type",
        "auth-map",
        lambda here: [here.get("/", item).status for item in (ANN, BOB)],
        [200, 200],
        [500, 500],
        auth_type="basic",
        auth_secret="each",
    ),
    entry(
        "auth-realm",
        "Staff",
        shown("www-authenticate"),
        'Basic realm="Staff", charset="UTF-8"',
        'Basic realm="Authentication Required", charset="UTF-8"',
        **BASIC,
    ),
    external("auth-url", ASKED["auth_url"], status(), 401, 200),
    external(
        "auth-response-headers",
        "X-User",
        lambda here: here.get("/", GOOD, ("x-user", "eve")).sent("x-user"),
        "ann",
        "eve",
    ),
    external("auth-signin", "https://login.test/start", lambda here: here.get("/a", *PAGE).status, 302, 401),
    external(
        "auth-signin-redirect-param",
        "back",
        shown("location", "/a", *PAGE),
        "https://login.test/start?back=http%3A%2F%2Fauth-signin-redirect-param.test%2Fa",
        "https://login.test/start?rd=http%3A%2F%2Fauth-signin-redirect-param.test%2Fa",
        auth_signin="https://login.test/start",
    ),
    external("auth-method", "POST", question("method"), "POST", "GET"),
    external("auth-proxy-set-headers", "default/told", question("x-sent-from"), "gateway", None),
    external(
        "auth-request-redirect",
        "https://$host/back",
        question("x-auth-request-redirect"),
        "https://auth-request-redirect.test/back",
        "/a",
    ),
    external("auth-snippet", "proxy_set_header X-Team shop;", question("x-team"), "shop", None),
    external("auth-cache-key", "$remote_user", questions, 1, 3),
    entry(
        "auth-always-set-cookie",
        "true",
        renewed,
        ["s=1", "s=1", "s=1"],
        ["s=1", "s=1", None],
        services={"auth": Behind(answer=renewing), "web": Behind(answer=named_status)},
        **ASKED,
    ),
    external("auth-cache-duration", "401 5m", questions, 3, 1, auth_cache_key="$remote_user"),
    external("auth-cache-duration", "200 1s", asked_again, 2, 1, label="short", auth_cache_key="$remote_user"),
    external("auth-keepalive-requests", "1", fresh, True, False, auth_keepalive="10"),
    external("auth-keepalive-timeout", "1", kept, True, False, auth_keepalive="10"),
    entry("enable-global-auth", "false", status(), 200, 401, settings="asking"),
    entry("auth-tls-secret", "default/clients", certificate(), 401, 200, tls=True),
    entry("auth-tls-verify-client", "optional", certificate(), 200, 401, tls=True, **CLIENT),
    entry(
        "auth-tls-verify-client",
        "off",
        certificate("app.client.test", "x-forwarded-client-cert"),
        False,
        True,
        label="off",
        tls=True,
        auth_tls_pass_certificate_to_upstream="true",
        **CLIENT,
    ),
    entry(
        "auth-tls-error-page",
        "https://help.test/certificates",
        error_page,
        (401, True),
        (401, False),
        tls=True,
        **CLIENT,
    ),
    entry("auth-tls-match-cn", "^app[.]client[.]test$", certificate("eve.client.test"), 403, 200, tls=True, **CLIENT),
    entry(
        "auth-tls-pass-certificate-to-upstream",
        "true",
        certificate("app.client.test", "x-forwarded-client-cert"),
        True,
        False,
        tls=True,
        **CLIENT,
    ),
    entry("limit-rps", "1", refused(12), True, False),
    entry("limit-rpm", "1", statuses(7), [200] * 6 + [503], [200] * 7),
    entry("limit-burst-multiplier", "2", statuses(4), [200, 200, 200, 503], [200] * 4, limit_rpm="1"),
    entry("limit-connections", "1", beside, 503, 200, services={"web": Behind(answer=Held)}),
    entry("limit-allowlist", HERE, refused(8), False, True, limit_rpm="1"),
]
