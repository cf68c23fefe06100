"""What annotations are seen to do: how backends are spoken to, how long they have, which is chosen, what stands in."""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
from collections import Counter
from collections.abc import Callable

import grpc
from system_annotation import HTTP, Behind, Entry, Here, after, entry
from system_annotations_access import Held
from system_annotations_routes import status, who
from system_backends import Answer, Received, response
from system_clients import Http2
from system_gateway import until
from system_grpc import call, channel

SECURE = {"backend_protocol": "HTTPS"}
KNOWN = {"proxy_ssl_name": "known.internal", "proxy_ssl_secret": "default/ca", "proxy_ssl_verify": "on"}
TLS = {"web": Behind(tls="known.internal")}
FOUR = {"web": Behind(endpoints=4)}
PAIR = {"web": Behind(endpoints=2)}
AFFINITY = {"affinity": "cookie"}


def failing() -> Answer:
    """Answers 503, and 200 to every other request."""
    asked: Counter[str] = Counter()

    def answer(request: Received) -> bytes:
        asked[request.target] += 1
        return response(b"there") if asked[request.target] % 2 == 0 else down()(request)

    return answer


def down() -> Callable[[Received], bytes]:
    return lambda _: response(status="503 Service Unavailable")


def late(seconds: float, status: str) -> Callable[[], Answer]:
    """Answers after some time."""

    def answer(_: Received) -> bytes:
        after(seconds)
        return response(status=status)

    return lambda: answer


def pages() -> Answer:
    return lambda request: response(f"page for {request.header('x-code')}".encode())


def missing() -> Answer:
    return lambda _: response(b"no", status="404 Not Found")


def cookie(here: Here) -> tuple[str, set[str]]:
    """The cookie that is set: its name, and its attributes."""
    first, *attributes = (here.get().header("set-cookie") or "").split(";")
    return first.partition("=")[0], {part.strip() for part in attributes}


def attribute(name: str) -> Callable[[Here], object]:
    """See an attribute of the cookie."""
    return lambda here: next((item for item in sorted(cookie(here)[1]) if item.partition("=")[0] == name), None)


def stays(here: Here) -> object:
    """See the name of the cookie, and how many endpoints a client with it has."""
    first = here.get().header("set-cookie") or ""
    found = here.several(40, "/", ("cookie", first.partition(";")[0]))
    return first.partition("=")[0], len({item.header("x-back") for item in found})


def moves(here: Here) -> object:
    """See the name of the cookie that a client gets whose endpoint is away: of another session, if any."""
    first = here.get()
    own = first.header("x-back")
    for number, endpoint in enumerate(here.endpoints()):
        if own == f"web-{number}":
            endpoint.close()
    found = here.get("/", ("cookie", (first.header("set-cookie") or "").partition(";")[0]))
    assert (found.status, found.header("x-back") != own) == (200, True)
    return (found.header("set-cookie") or "").partition("=")[0] or None


def spread(here: Here) -> object:
    """See how many endpoints one user has."""
    return len({item.header("x-back") for item in here.several(40, "/", ("x-user", "ann"))})


def beside_a_busy_one(here: Here) -> object:
    """See how many of two endpoints are asked while one has a request that it does not answer."""
    connection = Http2(here.address, HTTP)
    endpoints = here.endpoints()
    try:
        held = connection.open("GET", here.host, "/held")
        until(lambda: any(item.requests for item in endpoints), "the request has come")
        found = {connection.request("GET", here.host, "/beside").header("x-back") for _ in range(12)}
        for item in endpoints:
            assert isinstance(item.answer, Held)
            item.answer.released.set()
        assert connection.read(held).status == 200
    finally:
        connection.close()
    return len(found)


def connections(here: Here) -> object:
    """See whether each of five requests has a connection of its own."""
    assert [item.status for item in here.several(5)] == [200] * 5
    return here.backend().connections == 5


def speaks_grpc(here: Here) -> object:
    """See which server answers a call, or its status."""
    made = channel(here.address, HTTP, here.host)
    try:
        return call(made, "/shop.Cart/Get")["backend"]
    except grpc.RpcError as error:
        return error.code().name
    finally:
        made.close()


def over_tls(here: Here) -> object:
    """See who answers over TLS, if anybody does."""
    try:
        return here.get(tls=here.context()).header("x-back")
    except (ssl.SSLError, ConnectionError):
        return "nobody"


def suites(here: Here) -> object:
    """See which of two cipher suites of TLS 1.2 may be spoken."""
    found = []
    for name in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"):
        context = here.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(name)
        try:
            found.append(here.get(tls=context).status == 200)
        except (ssl.SSLError, ConnectionError):
            found.append(False)
    return found


def upload_ends(here: Here) -> object:
    """See whether an upload ends soon that the backend has begun to answer and does not read."""
    connection = here.connection()
    try:
        connection.send(f"POST / HTTP/1.1\r\nhost: {here.host}\r\ncontent-length: {1 << 30}\r\n\r\n".encode())
        connection.socket.settimeout(here.limit(2.5))
        sent = b"x" * (1 << 16)
        while True:
            connection.send(sent)
    except TimeoutError:
        return False
    except OSError:
        return True
    finally:
        connection.close()


def tries(here: Here) -> object:
    """See how often a request that fails is sent."""
    assert here.get().status == 503
    return len(here.backend().requests)


def collected(here: Here) -> object:
    """See how a body that comes in parts goes on."""
    connection = here.connection()
    try:
        connection.send(f"POST / HTTP/1.1\r\nhost: {here.host}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        connection.send(b"2\r\nab\r\n0\r\n\r\n")
        found = connection.read()
    finally:
        connection.close()
    return found.sent("content-length"), found.echo["body"]


def large(size: int) -> Callable[[Here], object]:
    """See the status of a body of so many octets."""
    return lambda here: here.get(method="POST", body=b"x" * size).status


def connected(here: Here) -> object:
    """See whether a backend to which no connection comes about is given up soon."""
    found: queue.Queue[int] = queue.Queue()
    asking = threading.Thread(target=lambda: found.put(here.get().status), daemon=True)
    asking.start()
    with contextlib.suppress(queue.Empty):
        return found.get(timeout=here.limit(2.0))
    return "waits"


def logged(here: Here) -> object:
    """See whether a request is written down: one behind it on the same connection is."""
    connection = here.connection()
    try:
        assert connection.request("GET", here.host, "/of-the-entry").status == 200
        assert connection.request("GET", "app-root.test", f"/behind-{here.host}").status == 200
    finally:
        connection.close()
    until(lambda: f"/behind-{here.host}" in here.side.log.read_text(), "the later request is written down")
    return "/of-the-entry" in here.side.log.read_text()


BACKENDS: list[Entry] = [
    entry("affinity", "cookie", stays, ("INGRESSCOOKIE", 1), ("", 2), services=PAIR),
    entry("session-cookie-name", "route", lambda here: cookie(here)[0], "route", "INGRESSCOOKIE", **AFFINITY),
    entry("session-cookie-path", "/shop", attribute("Path"), "Path=/shop", "Path=/", **AFFINITY),
    entry("session-cookie-expires", "60", attribute("Max-Age"), "Max-Age=60", None, **AFFINITY),
    entry("session-cookie-max-age", "60", attribute("Max-Age"), "Max-Age=60", None, **AFFINITY),
    entry(
        "session-cookie-domain", ".%host", attribute("Domain"), "Domain=session-cookie-domain.test", None, **AFFINITY
    ),
    entry("session-cookie-samesite", "Lax", attribute("SameSite"), "SameSite=Lax", None, **AFFINITY),
    entry("session-cookie-secure", "true", attribute("Secure"), "Secure", None, **AFFINITY),
    entry(
        "session-cookie-change-on-failure",
        "false",
        moves,
        None,
        "INGRESSCOOKIE",
        services={"web": Behind(endpoints=2)},
        **AFFINITY,
    ),
    entry("connection-proxy-header", "close", connections, True, False),
    entry("backend-protocol", "HTTPS", who(), "web", 502, services=TLS, **KNOWN),
    entry(
        "backend-protocol", "GRPC", speaks_grpc, "web", "UNAVAILABLE", label="grpc", services={"web": Behind(grpc=True)}
    ),
    entry("load-balance", "round_robin", beside_a_busy_one, 2, 1, services={"web": Behind(answer=Held, endpoints=2)}),
    entry("upstream-hash-by", "$http_x_user", spread, 1, 4, services=FOUR),
    entry(
        "upstream-hash-by-subset",
        "true",
        spread,
        2,
        1,
        services=FOUR,
        upstream_hash_by="$http_x_user",
        upstream_hash_by_subset_size="2",
    ),
    entry(
        "upstream-hash-by-subset-size",
        "2",
        spread,
        2,
        3,
        services=FOUR,
        upstream_hash_by="$http_x_user",
        upstream_hash_by_subset="true",
    ),
    entry("ssl-passthrough", "true", over_tls, "web", "nobody", services={"web": Behind(tls="%host")}),
    entry("proxy-ssl-secret", "default/ca", who(), "web", 503, services=TLS, proxy_ssl_name="known.internal", **SECURE),
    entry(
        "proxy-ssl-name",
        "known.internal",
        who(),
        "web",
        503,
        services=TLS,
        proxy_ssl_secret="default/ca",
        proxy_ssl_verify="on",
        **SECURE,
    ),
    entry(
        "proxy-ssl-protocols",
        "TLSv1.3",
        who(),
        503,
        "web",
        services={"web": Behind(tls="known.internal", version=ssl.TLSVersion.TLSv1_2)},
        **KNOWN,
        **SECURE,
    ),
    entry("proxy-ssl-verify", "off", who(), "web", 503, services=TLS, **SECURE),
    entry(
        "proxy-ssl-server-name",
        "off",
        lambda here: (here.get().status, set(here.backend().names)),
        (200, {None}),
        (200, {"known.internal"}),
        services=TLS,
        **KNOWN,
        **SECURE,
    ),
    entry(
        "proxy-ssl-ciphers",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        who(),
        503,
        "web",
        services={"web": Behind(tls="known.internal", suites="ECDHE-ECDSA-AES128-GCM-SHA256")},
        **KNOWN,
        **SECURE,
    ),
    entry("ssl-ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384", suites, [False, True], [True, True], tls=True),
    entry(
        "proxy-send-timeout",
        "1",
        upload_ends,
        True,
        False,
        services={"web": Behind(reads=False)},
        proxy_read_timeout="1",
        proxy_body_size="0",
    ),
    entry("proxy-body-size", "10", large(11), 413, 200),
    entry("proxy-request-buffering", "on", collected, ("2", "ab"), (None, "ab")),
    entry("proxy-connect-timeout", "1", connected, 504, "waits", services={"web": Behind(deaf=True)}),
    entry("proxy-read-timeout", "1", status(), 504, 200, services={"web": Behind(answer=late(1.5, "200 OK"))}),
    entry("proxy-next-upstream", "http_503", status(), 200, 503, services={"web": Behind(answer=failing)}),
    entry(
        "proxy-next-upstream-tries",
        "2",
        tries,
        2,
        3,
        services={"web": Behind(answer=down)},
        proxy_next_upstream="http_503",
    ),
    entry(
        "proxy-next-upstream-timeout",
        "1",
        tries,
        2,
        3,
        services={"web": Behind(answer=late(0.6, "503 Service Unavailable"))},
        proxy_next_upstream="http_503",
    ),
    entry(
        "custom-http-errors",
        "404",
        lambda here: here.get().body,
        b"page for 404",
        b"no",
        default_backend="@pages",
        services={"web": Behind(answer=missing), "pages": Behind(answer=pages)},
    ),
    entry(
        "default-backend",
        "@pages",
        lambda here: here.get().body,
        b"page for 404",
        b"no",
        custom_http_errors="404",
        services={"web": Behind(answer=missing), "pages": Behind(answer=pages)},
    ),
    entry(
        "disable-proxy-intercept-errors",
        "true",
        lambda here: here.get().body,
        b"no",
        b"page for 404",
        custom_http_errors="404",
        default_backend="@pages",
        services={"web": Behind(answer=missing), "pages": Behind(answer=pages)},
    ),
    entry("enable-access-log", "false", logged, False, True),
]
