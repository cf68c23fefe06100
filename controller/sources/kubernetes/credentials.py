"""Who we are to the API server, kept current: tokens and certificates that rotate, and plugins that issue them.

Rules, those of client-go:
- Files are read again every minute: a pod's projected token, a kubeconfig (its rotation may write tokens, certificates,
  even another plugin into it) and what it names: `tokenFile`, certificates and their CA. What cannot be read changes
  nothing: the last good credentials stay.
- A plugin runs again shortly before what it issued expires. Where it takes its time, requests go on meanwhile.
- A 401 renews once; the request is sent again where that gave something new. Plugins run at most once a second, and
  ever less often where it was for nothing.
- A plugin that fails is tried again, ever less often; until then requests fail with its reason. Nothing here ends the
  process.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
import time
from collections.abc import Awaitable, Callable

from ... import caught, plain_file
from .access import MAX_FILE, Configuration, Connections, CredentialsError, NotInPodError, read_pod
from .exec_plugin import Issued, Plugin, PluginError, is_token

#: Seconds between looks at files.
REREAD = 60.0
#: Seconds by which what a plugin issued is renewed early: at most these, and at most this part of its life.
EARLY, EARLY_PART = 60.0, 0.1
#: Seconds that requests wait for a plugin while what it issued before is good: a Lease has little time.
PATIENCE = 1.0
#: Seconds between two runs of a plugin, and between tries where they fail or are for nothing.
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 60.0

#: Puts what files say now into a configuration; returns the plugin that they name, if any.
Read = Callable[[Configuration], Awaitable[Plugin | None]]


class Credentials:
    """Credentials for one API server, and the connections that were made with them.

    Attributes:
        api: asks with them.
        number: another one after each renewal that changed something.
        fault: why the last renewal failed; empty where it did not.
    """

    def __init__(self, configuration: Configuration, read: Read | None = None, plugin: Plugin | None = None) -> None:
        """Begin with a configuration.

        Args:
            configuration: of the official client.
            read: puts what files say now into another one; None: nothing is read again.
            plugin: issues credentials; it runs before the first request.
        """
        self.number = 0
        self.fault = ""
        self._material = _material(configuration)
        self.api = _connecting(configuration)
        self._connections = configuration.connection_pool_maxsize
        self._read = read
        self._plugin = plugin
        self._issued: Issued | None = None
        #: There is something to ask with: until a plugin has issued it, requests would go out as anybody's.
        self._usable = plugin is None
        self._renewing = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None
        now = time.time()
        #: When files are read, when the plugin is run, and when a 401 may have it run, in seconds since 1970.
        self._reread = now + REREAD if read is not None else float("inf")
        self._rerun = now if plugin is not None else float("inf")
        self._rerun_early = now
        self._wait = SHORTEST_WAIT

    async def current(self) -> tuple[Connections, int]:
        """What to ask with, and its number.

        Raises:
            CredentialsError: a plugin has issued nothing that is still valid.
        """
        if time.time() >= min(self._reread, self._rerun):
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._renew_what_is_due())
            await asyncio.wait([self._renewal], timeout=PATIENCE if self._usable and not self._is_over() else None)
        if not self._usable or (self.fault and self._is_over()):
            raise CredentialsError(self.fault or "the credential plugin has issued nothing yet")
        return self.api, self.number

    def _is_over(self) -> bool:
        return self._issued is not None and self._issued.expires <= time.time()

    async def renewed(self, number: int) -> bool:
        """Renew what the API server answered with 401 to; true where there is something else now.

        Args:
            number: of what it was asked with.
        """
        async with self._renewing:
            now = time.time()
            if number == self.number and now >= self._rerun_early:
                self._reread = min(self._reread, now) if self._read is not None else self._reread
                self._rerun = now if self._plugin is not None else self._rerun
                await self._renew()
                # Where it helps, the next 401 is far away; where it does not, asking again and again would not either.
                self._rerun_early = time.time() + self._wait
                self._wait = min(self._wait * 2, LONGEST_WAIT)
            return number != self.number

    def limit_connections(self, most: int) -> None:
        """Have at most so many connections at once."""
        self._connections = self.api.configuration.connection_pool_maxsize = most

    async def close(self) -> None:
        """Close all connections."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
        await self.api.close()

    async def _renew_what_is_due(self) -> None:
        async with self._renewing:
            if time.time() >= min(self._reread, self._rerun):
                await self._renew()

    async def _renew(self) -> None:
        began = time.time()
        self._reread = began + REREAD if self._read is not None else float("inf")
        runs = False
        try:
            fresh = dataclasses.replace(self.api.configuration) if self._read is None else Configuration()
            fresh.connection_pool_maxsize = self._connections
            if self._read is not None:
                self._use(await self._read(fresh))
            runs = self._plugin is not None and began >= self._rerun
            if self._plugin is not None and runs:
                self._issued = await self._plugin.run()
                self._rerun = _due(self._issued)
            await self._take(fresh)
        # Whatever goes wrong in files, plugins and the official client, what we had stays.
        except Exception as error:
            self.fault = _words(error)
            if runs:
                self._rerun = time.time() + self._wait
                self._wait = min(self._wait * 2, LONGEST_WAIT)
            return
        self.fault, self._usable = "", self._plugin is None or self._issued is not None
        if began - self._rerun_early > LONGEST_WAIT:
            self._wait = SHORTEST_WAIT

    def _use(self, plugin: Plugin | None) -> None:
        """Have the plugin that the kubeconfig names now; another one issues anew, none ends what one issued."""
        if plugin == self._plugin:
            return
        self._plugin = plugin
        if plugin is None:
            self._issued, self._rerun = None, float("inf")
        else:
            self._rerun = 0.0

    async def _take(self, fresh: Configuration) -> None:
        issued, before = self._issued, self.api.configuration
        _strip_token(fresh)
        if issued is not None and issued.token:
            fresh.api_key["BearerToken"] = f"Bearer {issued.token}"
        with tempfile.TemporaryDirectory() as folder:  # the official client takes certificates from files only
            if issued is not None and issued.client_certificate_data:
                fresh.cert_file = _written(folder, "certificate", issued.client_certificate_data)
                fresh.key_file = _written(folder, "key", issued.client_key_data)
            material = _material(fresh)
            if material == self._material:
                if fresh.api_key != before.api_key:
                    before.api_key = fresh.api_key
                    self.number += 1
                return
            api = _connecting(fresh)
        previous, self.api, self._material = self.api, api, material
        self.number += 1
        # As client-go: who watches with a certificate that is no longer ours connects again.
        await previous.close()


async def from_pod() -> Credentials:
    """Credentials of the pod that we are in.

    Raises:
        NotInPodError: we are in none.
    """

    async def read(configuration: Configuration) -> Plugin | None:
        read_pod(dict(os.environ), configuration)
        return None

    return await _first(read)


async def from_kubeconfig(path: str | None, context: str | None) -> Credentials:
    """Credentials of a kubeconfig; a plugin is run when they are first used.

    Raises:
        CredentialsError: it cannot be read or used.
    """
    # Only here: see `access`.
    from . import kubeconfig

    async def read(configuration: Configuration) -> Plugin | None:
        return await kubeconfig.read(path, context, configuration)

    return await _first(read)


async def _first(read: Read) -> Credentials:
    configuration = Configuration()
    plugin = await read(configuration)
    _strip_token(configuration)
    return Credentials(configuration, read, plugin)


def _strip_token(configuration: Configuration) -> None:
    """Take the line end of a file from a token.

    Raises:
        CredentialsError: what is left is no token.
    """
    whole = configuration.api_key.get("BearerToken")
    if whole is None:
        return
    kind, _, token = whole.strip().partition(" ")
    if not is_token(token.strip()):
        raise CredentialsError("the token has white space or other characters that no header may have: write it anew")
    configuration.api_key["BearerToken"] = f"{kind} {token.strip()}"


def _due(issued: Issued) -> float:
    now, expires = time.time(), issued.expires
    return max(expires - min(EARLY, (expires - now) * EARLY_PART), now + SHORTEST_WAIT)


def _material(configuration: Configuration) -> tuple[object, ...]:
    """What connections are made with: they are made anew where it changes."""
    names = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    to = (configuration.host, configuration.verify_ssl, configuration.tls_server_name, configuration.proxy)
    return (*to, *(_content(name) if name else b"" for name in names))


def _words(error: Exception) -> str:
    """What went wrong, in words also where it is a fault that the official loader did not foresee."""
    known = isinstance(error, (CredentialsError, PluginError, NotInPodError, OSError))
    return str(error) if known else f"the kubeconfig cannot be used: {caught.describe(error)}"


def _connecting(configuration: Configuration) -> Connections:
    """What connects as a configuration says.

    Raises:
        CredentialsError: its certificates cannot be used.
    """
    try:
        return Connections(configuration)
    except OSError as error:  # of OpenSSL
        text = "the certificate and key of the client, or the CA's certificate, cannot be used"
        raise CredentialsError(f"{text}: {error}") from None


def _content(path: str) -> bytes:
    try:
        return plain_file.read(path, MAX_FILE, "certificate or key")
    except plain_file.PlainFileError as error:
        raise CredentialsError(str(error)) from None
    except OSError as error:
        raise CredentialsError(f"the certificate or key {path} cannot be read: {error.strerror}") from None


def _written(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path
