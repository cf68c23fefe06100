"""Credentials that rotate: plugins of a kubeconfig, token files, the token of a pod, certificates."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from api_server import ApiServer
from system_certificates import Authority, Pair

from sluicegate.controller.sources.kubernetes import access, credentials
from sluicegate.controller.sources.kubernetes.client import ApiError, Client
from sluicegate.controller.sources.kubernetes.exec_plugin import Plugin, PluginError
from sluicegate.controller.sources.kubernetes.resources import BY_KIND
from sluicegate.controller.sources.kubernetes.watch import Watch

COLLECTION = "/apis/gateway.networking.k8s.io/v1/httproutes"
VERSION = "client.authentication.k8s.io/v1"
LIMIT = 60.0


class Clock:
    """Seconds since 1970, as the test wants them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    def stamp(self, seconds: float) -> str:
        return datetime.datetime.fromtimestamp(self.now + seconds, datetime.UTC).isoformat()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(credentials, "time", found)
    return found


class Issuer:
    """A plugin that writes what the test wants, and counts how often it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ran = folder / "ran"
        self.script(f"echo x >> {self._ran}; cat {folder}/answer")

    def script(self, body: str) -> None:
        new = self.folder / "plugin.new"
        new.write_text(f"#!/bin/sh\n{body}\n")
        new.chmod(0o755)
        new.rename(self.folder / "plugin")

    def issue(self, **status: str) -> None:
        answer = {"apiVersion": VERSION, "kind": "ExecCredential", "status": status}
        (self.folder / "answer").write_text(json.dumps(answer))

    @property
    def runs(self) -> int:
        return len(self._ran.read_text().splitlines()) if self._ran.exists() else 0


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


def kubeconfig(folder: Path, server: str, user: dict[str, Any], **cluster: str) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "test", "user": user}],
    }
    (folder / "kubeconfig").write_text(json.dumps(document))
    return str(folder / "kubeconfig")


EXEC = {"exec": {"apiVersion": VERSION, "command": "./plugin", "interactiveMode": "Never"}}


@asynccontextmanager
async def asking(folder: Path, user: dict[str, Any]) -> AsyncIterator[tuple[ApiServer, Client]]:
    """An API server that wants tokens, and who asks it."""
    server = ApiServer()
    server.accepted = {"one"}
    await server.start()
    try:
        async with await Client.load(kubeconfig(folder, server.url, user)) as client:
            yield server, client
    finally:
        await server.stop()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, LIMIT))


async def refusal(client: Client) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await client.get(COLLECTION)
    return caught.value


# --- Plugins ----------------------------------------------------------------------------------------------------


def test_a_token_that_is_no_longer_accepted(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    """The plugin is asked again and the request is sent again; nobody sees the 401."""

    async def scenario() -> None:
        issuer.issue(token="one")
        async with asking(tmp_path, EXEC) as (server, client):
            for _ in range(3):
                await client.get(COLLECTION)
            assert (issuer.runs, server.unauthorized) == (1, 0)
            clock.now += 10
            server.accepted = {"two"}
            issuer.issue(token="two")
            await asyncio.gather(*(client.get(COLLECTION) for _ in range(5)))
            assert issuer.runs == 2
            assert server.unauthorized <= 5

    run(scenario())


def test_tokens_that_nobody_accepts_cost_few_runs(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    """A 401 has the plugin run once; however many there are, at most once a second, and ever less often."""

    async def scenario() -> None:
        issuer.issue(token="wrong")
        async with asking(tmp_path, EXEC) as (server, client):
            for _ in range(20):
                error = await refusal(client)
                assert error.status == 401
            assert issuer.runs == 2
            for _ in range(120):
                clock.now += 1
                await refusal(client)
            assert 3 <= issuer.runs <= 10
            clock.now += 120
            server.accepted = {"right"}
            issuer.issue(token="right")
            await client.get(COLLECTION)

    run(scenario())


def test_a_token_is_renewed_before_it_is_over(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    async def scenario() -> None:
        issuer.issue(token="one", expirationTimestamp=clock.stamp(600))
        async with asking(tmp_path, EXEC) as (server, client):
            await client.get(COLLECTION)
            clock.now += 500
            await client.get(COLLECTION)
            assert issuer.runs == 1
            clock.now += 50
            server.accepted = {"one", "two"}
            issuer.issue(token="two", expirationTimestamp=clock.stamp(600))
            await client.get(COLLECTION)
            assert (issuer.runs, server.unauthorized) == (2, 0)
            # The plugin fails while its token is good still: it serves on.
            clock.now += 550
            issuer.script("exit 1")
            await client.get(COLLECTION)
            clock.now += 60
            error = await refusal(client)
            assert error.status == 0
            assert "ended with status 1" in str(error)

    run(scenario())


def test_requests_go_on_while_a_plugin_takes_its_time(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    """A leader that waited as long as a plugin may take would lose its Lease, although its token is good."""

    async def scenario() -> None:
        issuer.issue(token="one", expirationTimestamp=clock.stamp(600))
        async with asking(tmp_path, EXEC) as (server, client):
            await client.get(COLLECTION)
            os.mkfifo(tmp_path / "end")
            issuer.script(f"echo x >> {tmp_path}/asked; read _ < {tmp_path}/end; cat {tmp_path}/answer")
            clock.now += 550
            for _ in range(2):
                await asyncio.wait_for(client.get(COLLECTION), 10)
            assert (tmp_path / "asked").read_text() == "x\n"
            # It is not cut short by those who did not wait: what it issues counts.
            server.accepted = {"two"}
            issuer.issue(token="two", expirationTimestamp=clock.stamp(600))
            os.close(os.open(tmp_path / "end", os.O_WRONLY))
            await asyncio.wait_for(client.get(COLLECTION), 10)

    run(scenario())


def test_a_plugin_that_fails_is_tried_again(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    """From the first time on; what it says is told, and it is not run for each request."""

    async def scenario() -> None:
        issuer.script(f"echo x >> {tmp_path}/failed; echo 'log in first' >&2; exit 3")
        async with asking(tmp_path, EXEC) as (_server, client):
            for _ in range(10):
                error = await refusal(client)
                assert error.status == 0
                assert f"{tmp_path}/./plugin" in str(error)
                assert "status 3: log in first" in str(error)
            assert (tmp_path / "failed").read_text() == "x\n"
            issuer.issue(token="one")
            issuer.script(f"cat {tmp_path}/answer")
            clock.now += 2
            await client.get(COLLECTION)

    run(scenario())


def test_a_watch_outlives_its_tokens(tmp_path: Path, issuer: Issuer) -> None:
    """With a plugin that has to be waited for at first; its trouble is told to people."""

    async def scenario() -> None:
        told: list[str] = []
        kinds: list[str] = []
        issuer.script("exit 9")
        async with asking(tmp_path, EXEC) as (server, client):

            def complain(_code: str, message: str, **_fields: object) -> None:
                told.append(message)
                issuer.issue(token="one")
                issuer.script(f"cat {tmp_path}/answer")

            watch = Watch(client, BY_KIND["HTTPRoute"], lambda event: kinds.append(type(event).__name__), complain)
            task = asyncio.create_task(watch.run())
            await server.wait(lambda: server.watchers(COLLECTION) == 1, LIMIT)
            server.accepted = {"two"}
            issuer.issue(token="two")
            server.end_watches()
            opened = server.watches
            await server.wait(lambda: server.watches > opened and server.watchers(COLLECTION) == 1, LIMIT)
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert "ended with status 9" in told[0]

    run(scenario())


async def result_of(plugin: Plugin) -> str:
    with pytest.raises(PluginError) as caught:
        await plugin.run()
    return str(caught.value)


BAD_PLUGINS = [
    ("echo no", "no ExecCredential"),
    ("exit 7", "status 7"),
    ("head -c 2000000 /dev/zero", "more than"),
    ("head -c 2000000 /dev/zero >&2; exit 2", "status 2"),
    (f'echo \'{{"apiVersion":"{VERSION}","kind":"ExecCredential","status":{{}}}}\'', "neither status.token"),
    (f'echo \'{{"apiVersion":"{VERSION}","kind":"ExecCredential"}}\'', "neither status.token"),
    ('echo \'{"apiVersion":"v1","kind":"ExecCredential","status":{"token":"t"}}\'', "ExecCredential of v1"),
    (
        f'echo \'{{"apiVersion":"{VERSION}","kind":"ExecCredential","status":{{"token":"a\\\\nb"}}}}\'',
        "no header may have",
    ),
    (
        f'echo \'{{"apiVersion":"{VERSION}","kind":"ExecCredential","status":{{"clientCertificateData":"c"}}}}\'',
        "without the other",
    ),
]


@pytest.mark.parametrize(("body", "words"), BAD_PLUGINS, ids=range(len(BAD_PLUGINS)))
def test_plugins_that_give_nothing_to_use(tmp_path: Path, issuer: Issuer, body: str, words: str) -> None:
    async def scenario() -> None:
        issuer.script(body)
        assert words in await result_of(Plugin(EXEC["exec"], {}, str(tmp_path)))

    run(scenario())


def test_a_plugin_that_does_not_end(tmp_path: Path, issuer: Issuer) -> None:
    """It and what it has started are killed; the event loop goes on meanwhile."""

    async def scenario() -> None:
        issuer.script(f"sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait")
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        assert "was killed" in await result_of(Plugin(EXEC["exec"], {}, str(tmp_path), limit=1.0))
        counting.cancel()
        assert turns > 100
        for name in ("self", "child"):
            stat = Path(f"/proc/{(tmp_path / name).read_text().strip()}/stat")
            while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":  # noqa: ASYNC110
                await asyncio.sleep(0)

    run(scenario())


def test_what_a_plugin_leaves_behind_holds_up_nobody(tmp_path: Path, issuer: Issuer) -> None:
    """What has left its process group keeps its pipes open, and is not killed with it."""

    async def scenario() -> None:
        os.mkfifo(tmp_path / "end")
        issuer.script(f"setsid sh -c 'read _ < {tmp_path}/end' & sleep 1000")
        plugin = Plugin(EXEC["exec"], {}, str(tmp_path), limit=1.0)
        before = len(os.listdir("/proc/self/fd"))
        try:
            assert "was killed" in await asyncio.wait_for(result_of(plugin), 10)
        finally:
            # Who stands in the pipe now is let go.
            os.close(os.open(tmp_path / "end", os.O_RDWR | os.O_NONBLOCK))
        assert len(os.listdir("/proc/self/fd")) <= before

    run(scenario())


def test_what_a_plugin_is_told(tmp_path: Path, issuer: Issuer) -> None:
    async def scenario() -> None:
        issuer.issue(token="one")
        issuer.script(
            f'echo "$KUBERNETES_EXEC_INFO" > {tmp_path}/info; echo "$1 $WHO" > {tmp_path}/said; cat {tmp_path}/answer'
        )
        user = {**EXEC["exec"], "args": ["first"], "env": [{"name": "WHO", "value": "me"}], "provideClusterInfo": True}
        cluster = {"server": "https://a", "certificate-authority-data": "QQ==", "certificate-authority": "/here"}
        assert (await Plugin(user, cluster, str(tmp_path)).run()).token == "one"
        info = json.loads((tmp_path / "info").read_text())
        assert info["spec"] == {
            "interactive": False,
            "cluster": {"server": "https://a", "certificate-authority-data": "QQ=="},
        }
        assert (tmp_path / "said").read_text() == "first me\n"
        missing = {**EXEC["exec"], "command": "no-such-plugin", "installHint": "install it from here"}
        assert "install it from here" in await result_of(Plugin(missing, {}, str(tmp_path)))

    run(scenario())


# --- Files ------------------------------------------------------------------------------------------------------


def test_a_token_file_that_rotates(tmp_path: Path, clock: Clock) -> None:
    """It is read again every minute, and at a 401; what cannot be read changes nothing."""

    async def scenario() -> None:
        file = tmp_path / "token"
        file.write_text("one\n")
        async with asking(tmp_path, {"tokenFile": "token"}) as (server, client):
            await client.get(COLLECTION)
            file.write_text("two\n")
            clock.now += credentials.REREAD
            server.accepted = {"two"}
            await client.get(COLLECTION)
            assert server.unauthorized == 0
            file.write_text("three\n")
            clock.now += 2
            server.accepted = {"three"}
            await client.get(COLLECTION)
            assert server.unauthorized == 1
            file.write_text("three\nfour\n")  # no request can have it
            clock.now += credentials.REREAD
            await client.get(COLLECTION)
            file.unlink()
            clock.now += credentials.REREAD
            await client.get(COLLECTION)
            server.accepted = set()
            clock.now += credentials.REREAD
            error = await refusal(client)
            assert error.status == 401
            assert "token" in str(error)

    run(scenario())


def test_a_kubeconfig_that_is_written_anew(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    """`kubeadm certs renew` and others write into the file itself; one that is broken meanwhile changes nothing."""

    async def scenario() -> None:
        async with asking(tmp_path, {"token": "one"}) as (server, client):

            async def after(user: dict[str, Any] | str, accepted: str) -> None:
                kubeconfig(tmp_path, server.url, user if isinstance(user, dict) else {})
                if isinstance(user, str):
                    (tmp_path / "kubeconfig").write_text(user)
                clock.now += credentials.REREAD
                server.accepted = {accepted}
                await client.get(COLLECTION)

            await client.get(COLLECTION)
            await after({"token": "two"}, "two")
            for broken in ("", "a: [", "[]", "{}"):
                await after(broken, "two")
            issuer.issue(token="three", expirationTimestamp=clock.stamp(10_000))
            await after(EXEC, "three")
            await after(EXEC, "three")
            assert issuer.runs == 1
            issuer.issue(token="four", expirationTimestamp=clock.stamp(10_000))
            await after({"exec": {**EXEC["exec"], "args": ["other"]}}, "four")
            assert issuer.runs == 2
            # A missing plugin, and then what makes it whole again.
            await after({"exec": {**EXEC["exec"], "command": "./no-such-plugin"}}, "four")
            await after({"token": "five"}, "five")
            assert server.unauthorized == 0
            # What is wrong with it is said where it is not accepted any more.
            (tmp_path / "kubeconfig").write_text("")
            server.accepted = {"six"}
            clock.now += credentials.REREAD
            assert "kubeconfig" in str(await refusal(client))
            kubeconfig(tmp_path, server.url, {"token": "six"})
            clock.now += credentials.REREAD
            await client.get(COLLECTION)

    run(scenario())


def test_another_server_of_the_same_cluster(tmp_path: Path, clock: Clock) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, {"token": "one"}) as (server, client):
            await client.get(COLLECTION)
            other = ApiServer()
            await other.start()
            try:
                kubeconfig(tmp_path, other.url, {"token": "one"})
                clock.now += credentials.REREAD
                await client.get(COLLECTION)
                assert (server.requests, other.requests) == (1, 1)
                assert client.host == other.url
            finally:
                await other.stop()

    run(scenario())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be used: it is empty; correct it"),
        ("[]", "cannot be used: an object is expected, not a list"),
        ("a: [", "cannot be used: it is no YAML (expected the node content, but found '<stream end>', line 1)"),
        (b"\xff\xfea", "cannot be used: it is no text"),
        ({"tokenFile": "nothing"}, "nothing, which the kubeconfig"),
        ({"tokenFile": "."}, "cannot be read: Is a directory"),
        (None, "there is no kubeconfig /"),
        ({"exec": [1]}, "cannot be used"),
        (
            {"exec": {"apiVersion": VERSION, "command": "true", "env": [{"name": "A"}]}},
            "cannot be used: KeyError: 'value'",
        ),
        ("127.0.0.1:6443", "the server of the cluster is no URL: '127.0.0.1:6443'"),
    ],
)
def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, text: Any, words: str) -> None:
    async def scenario() -> None:
        path = kubeconfig(tmp_path, "127.0.0.1:6443", text if isinstance(text, dict) else {"token": "t"})
        if text is None:
            Path(path).unlink()
        elif text != "127.0.0.1:6443" and not isinstance(text, dict):
            Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ApiError) as caught:
            await Client.load(path)
        assert words in str(caught.value)
        assert "kubeconfig" in str(caught.value)

    run(scenario())


def pipe(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    """Large, without being so on the disk."""
    path.touch()
    os.truncate(path, 1 << 33)


NO_FILES = [(pipe, "is no plain file, but a pipe"), (sparse, "is larger than")]
NAMED = ["kubeconfig", "tokenFile", "client-certificate", "client-key", "certificate-authority"]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("make", "words"), NO_FILES, ids=["pipe", "large"])
def test_only_plain_files_of_some_size_are_read(tmp_path: Path, name: str, make: Any, words: str) -> None:
    """Nobody waits for a pipe, and no memory is filled; in a process of its own, which can be ended meanwhile."""
    odd = tmp_path / "odd"
    make(odd)
    (tmp_path / "pair").touch()
    pair = {"client-certificate": "pair", "client-key": "pair"}
    user: dict[str, Any] = {"tokenFile": "odd"} if name == "tokenFile" else {"token": "t"}
    user |= {**pair, name: "odd"} if name in pair else {}
    cluster = {name: "odd"} if name == "certificate-authority" else {}
    path = str(odd) if name == "kubeconfig" else kubeconfig(tmp_path, "https://127.0.0.1:6443", user, **cluster)
    error = refused_in_a_process(f"await Client.load({path!r})")
    assert f"{odd} {words}" in error
    assert name == "kubeconfig" or f"in the kubeconfig {path}" in error
    assert ("name that" if make is pipe else "name another file") in error


@pytest.mark.parametrize("name", ["TOKEN_FILE", "CA_FILE"])
@pytest.mark.parametrize(("make", "words"), NO_FILES, ids=["pipe", "large"])
def test_files_of_a_pod_are_plain_ones(tmp_path: Path, name: str, make: Any, words: str) -> None:
    for file in ("TOKEN_FILE", "CA_FILE"):
        (tmp_path / file).write_text("x")
    (tmp_path / name).unlink()
    make(tmp_path / name)
    names = "; ".join(f"access.{file} = {str(tmp_path / file)!r}" for file in ("TOKEN_FILE", "CA_FILE"))
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    error = refused_in_a_process(f"{names}; access.read_pod({environment!r}, access.Configuration())")
    assert f"{tmp_path / name} {words}" in error


def refused_in_a_process(statements: str) -> str:
    """The error of what is refused, by a process with little memory, in time."""
    program = f"""
import asyncio, resource
from sluicegate.controller.sources.kubernetes import access
from sluicegate.controller.sources.kubernetes.client import Client
async def run():
    {statements}
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
asyncio.run(run())
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert found.returncode == 1
    return found.stderr.splitlines()[-1]


def test_certificates_that_are_not_there_are_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        missing = {"client-certificate": "nothing.crt", "client-key": "nothing.key"}
        with pytest.raises(ApiError, match=r"nothing\.crt"):
            await Client.load(kubeconfig(tmp_path, "https://127.0.0.1:6443", missing))
        (tmp_path / "ca.crt").write_text("nonsense")
        authority = {"certificate-authority": str(tmp_path / "ca.crt")}
        with pytest.raises(ApiError, match="the CA's certificate, cannot be used"):
            await Client.load(kubeconfig(tmp_path, "https://127.0.0.1:6443", {"token": "t"}, **authority))

    run(scenario())


@pytest.mark.parametrize("token", ["one\ntwo", "one two", "ön"])
def test_a_token_that_no_request_can_have_is_refused_at_the_start(tmp_path: Path, token: str) -> None:
    async def scenario() -> None:
        with pytest.raises(ApiError, match="no header may have"):
            async with asking(tmp_path, {"token": token}):
                pass

    run(scenario())


def test_the_token_of_a_pod_that_rotates(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    monkeypatch.setattr(access, "TOKEN_FILE", str(token))
    monkeypatch.setattr(access, "CA_FILE", str(authority))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")

    async def scenario() -> None:
        async with secured() as server:
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
            token.write_text("one\n")
            authority.write_bytes(server.authority.pem)
            async with await Client.load() as client:
                await client.get(COLLECTION)
                assert server.seen[-1].lower() == "bearer one"
                for content in (None, "", "two"):
                    token.unlink(missing_ok=True)
                    if content is not None:
                        token.write_text(content)
                    clock.now += credentials.REREAD
                    await client.get(COLLECTION)
                    assert server.seen[-1].lower() == f"bearer {content or 'one'}"

    run(scenario())


# --- Certificates -----------------------------------------------------------------------------------------------


class Secured:
    """An API server with TLS that says who asked: by certificate or by token."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.port = 0
        self.seen: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        certificate = request.transport.get_extra_info("peercert")
        names = [value for part in (certificate or {}).get("subject", ()) for _, value in part]
        self.seen.append(names[0] if names else request.headers.get("authorization", ""))
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})


@asynccontextmanager
async def secured() -> AsyncIterator[Secured]:
    server = Secured()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=server.authority.pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    with _written(server.authority.sign("127.0.0.1")) as names:
        context.load_cert_chain(*names)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    server.port = int(runner.addresses[0][1])
    try:
        yield server
    finally:
        await runner.cleanup()


def _written(pair: Pair) -> Any:
    import contextlib
    import tempfile

    @contextlib.contextmanager
    def write() -> Iterator[tuple[str, str]]:
        with tempfile.TemporaryDirectory() as folder:
            yield pair.write(Path(folder), "pair")

    return write()


def by_plugin(issuer: Issuer, clock: Clock) -> tuple[dict[str, Any], Callable[[Pair], None]]:
    def rotate(pair: Pair) -> None:
        data = {"clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode()}
        issuer.issue(**data, expirationTimestamp=clock.stamp(300))

    return EXEC, rotate


def by_kubeconfig(issuer: Issuer, _clock: Clock) -> tuple[dict[str, Any], Callable[[Pair], None]]:
    """The certificate is in the kubeconfig itself."""
    user: dict[str, Any] = {}

    def rotate(pair: Pair) -> None:
        parts = (("client-certificate-data", pair.certificate), ("client-key-data", pair.key))
        user.update({name: base64.b64encode(data).decode() for name, data in parts})
        path = issuer.folder / "kubeconfig"
        if path.exists():
            document = json.loads(path.read_text())
            document["users"][0]["user"] = user
            path.write_text(json.dumps(document))

    return user, rotate


def by_files(issuer: Issuer, _clock: Clock) -> tuple[dict[str, Any], Callable[[Pair], None]]:
    def rotate(pair: Pair) -> None:
        pair.write(issuer.folder, "client")

    return {"client-certificate": "client.crt", "client-key": "client.key"}, rotate


@pytest.mark.parametrize("how", [by_plugin, by_files, by_kubeconfig])
def test_client_certificates_that_rotate(tmp_path: Path, issuer: Issuer, clock: Clock, how: Any) -> None:
    user, rotate = how(issuer, clock)

    async def scenario() -> None:
        async with secured() as server:
            authority = tmp_path / "ca.crt"
            authority.write_bytes(server.authority.pem)
            rotate(server.authority.sign("first", client=True))
            path = kubeconfig(
                tmp_path, f"https://127.0.0.1:{server.port}", user, **{"certificate-authority": str(authority)}
            )
            async with await Client.load(path) as client:
                for name in ("first", "second"):
                    for _ in range(2):
                        await client.get(COLLECTION)
                        assert server.seen[-1] == name
                    rotate(server.authority.sign("second", client=True))
                    clock.now += 290
                # A key that does not fit, in the middle of a rotation: what was good goes on.
                wrong = Pair(server.authority.sign("third", client=True).certificate, server.authority.sign("x").key)
                rotate(wrong)
                clock.now += 289
                await client.get(COLLECTION)
                assert server.seen[-1] == "second"
            assert not [name for name in os.listdir(tmp_path) if name.endswith(".pem")]

    run(scenario())


def test_a_plugin_is_run_again_where_its_certificate_is_of_no_use(tmp_path: Path, issuer: Issuer, clock: Clock) -> None:
    """Nobody is asked as somebody else meanwhile: an API server that lets anybody in would answer 403."""

    async def scenario() -> None:
        async with secured() as server:
            certificates = [server.authority.sign(name, client=True) for name in ("wrong", "right")]
            authority = tmp_path / "ca.crt"
            authority.write_bytes(server.authority.pem)
            cluster = {"certificate-authority": str(authority)}
            path = kubeconfig(tmp_path, f"https://127.0.0.1:{server.port}", EXEC, **cluster)
            async with await Client.load(path) as client:
                for pair in (Pair(certificates[0].certificate, certificates[1].key), certificates[1]):
                    data = {"clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode()}
                    issuer.issue(**data)
                    clock.now += 2
                    if pair is not certificates[1]:
                        assert "the certificate and key of the client" in str(await refusal(client))
                        assert server.seen == []
                await client.get(COLLECTION)
                assert server.seen == ["right"]

    run(scenario())


def test_a_rotation_cancels_nobody_who_connects(
    tmp_path: Path, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the API server's address while connections are made anew gets an error, as of any connection."""
    user, rotate = by_files(issuer, clock)

    async def scenario() -> None:
        asked = asyncio.Event()

        async def resolve(*_arguments: Any, **_options: Any) -> Any:
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        authority = Authority()
        rotate(authority.sign("first", client=True))
        async with await Client.load(kubeconfig(tmp_path, "https://api.test", user)) as client:
            first = asyncio.create_task(client.get(COLLECTION))
            await asked.wait()
            rotate(authority.sign("second", client=True))
            clock.now += credentials.REREAD
            second = asyncio.create_task(client.get(COLLECTION))
            with pytest.raises(ApiError, match="renewed meanwhile"):
                await first
            second.cancel()  # this one is ours
            with pytest.raises(asyncio.CancelledError):
                await second

    run(scenario())


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://192.0.2.1:6443", "http://proxy.test:3128"),
        ("https://10.0.0.1:6443", None),
        ("https://api.internal:6443", None),
        ("http://192.0.2.1:8080", None),
    ],
)
def test_the_proxy_of_the_environment(url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.1,.internal")
    assert access.proxy_for(url) == proxy
