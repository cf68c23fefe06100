"""Credential plugins of a kubeconfig (`users[].user.exec`): run one, read what it issues.

The protocol is that of client-go ("client-go credential plugins" in the Kubernetes documentation): the plugin learns of
its cluster in `KUBERNETES_EXEC_INFO` and writes an ExecCredential to its standard output. Nobody sits before a gateway,
so a plugin never gets a terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import signal
import subprocess
from collections.abc import Mapping
from typing import Any

import msgspec

from ... import caught

#: Seconds that a plugin may take; it and its children are killed then.
LIMIT = 30.0
#: Seconds that the end of what was killed is waited for.
DEATH = 1.0
#: Bytes of standard output that are read, and of standard error that are shown.
MAX_OUTPUT, SHOWN = 1024 * 1024, 400


class PluginError(Exception):
    """A plugin that gave nothing to use; the message says which, why, and what it wrote."""


def is_token(text: str) -> bool:
    """Whether a token can stand in a field of HTTP: one with a line break cannot be sent (RFC 6750 section 2.1)."""
    return text.isascii() and text.isprintable() and " " not in text


class Issued(msgspec.Struct, frozen=True, rename="camel"):
    """What a plugin issued: a token, a certificate with its key (PEM), or both; `expiration_timestamp` ends them."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime.datetime | None = None

    @property
    def expires(self) -> float:
        """Seconds since 1970; endless where it does not say."""
        when = self.expiration_timestamp
        if when is None:
            return float("inf")
        return (when if when.tzinfo is not None else when.replace(tzinfo=datetime.UTC)).timestamp()


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: Issued | None = None


class Plugin:
    """One plugin, as a kubeconfig describes it."""

    def __init__(self, user: Mapping[str, Any], cluster: Mapping[str, Any], folder: str, limit: float = LIMIT) -> None:
        """Take its description.

        Args:
            user: `users[].user.exec`.
            cluster: `clusters[].cluster` of the same context.
            folder: of the kubeconfig; a command with a `/` is relative to it.
            limit: seconds that it may take.
        """
        command = str(user.get("command") or "")
        self._command = os.path.join(folder, command) if "/" in command else command
        self._arguments = [str(item) for item in user.get("args") or ()]
        self._version = str(user.get("apiVersion") or "")
        self._hint = str(user.get("installHint") or "")
        self._limit = limit
        spec: dict[str, Any] = {"interactive": False}
        if user.get("provideClusterInfo"):
            spec["cluster"] = {name: value for name, value in cluster.items() if name in _CLUSTER_FIELDS}
        info = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        self._variables = {str(item["name"]): str(item["value"]) for item in user.get("env") or ()}
        self._variables["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(info).decode()
        self._description = (self._command, self._arguments, self._version, self._variables)

    def __eq__(self, other: object) -> bool:
        """Whether another one issues the same: the same command, told the same."""
        return isinstance(other, Plugin) and self._description == other._description

    def __hash__(self) -> int:
        return hash(self._command)

    async def run(self) -> Issued:
        """Have it issue credentials.

        Raises:
            PluginError: it issued none.
        """
        try:
            process, output = await asyncio.get_running_loop().subprocess_exec(
                _Output,
                self._command,
                *self._arguments,
                env={**os.environ, **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            hint = f"; {self._hint}" if self._hint else ""
            raise self._failed(f"cannot be run: {error.strerror or error}{hint}") from None
        try:
            await asyncio.wait([output.closed], timeout=self._limit)
            if not output.closed.done():
                raise self._failed(f"did not end within {self._limit:g} s and was killed")
        finally:
            # It and what it has started: also when the one who waits for it is cancelled.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.get_pid(), signal.SIGKILL)
            process.close()  # what has left its group may hold the pipes for ever
            await asyncio.wait([output.closed], timeout=DEATH)
        status = process.get_returncode()
        if status:
            text = output.errors[-SHOWN:].decode(errors="replace").strip()
            raise self._failed(f"ended with status {status}" + (f": {text}" if text else ""))
        return self._read(bytes(output.answer))

    def _read(self, out: bytes) -> Issued:
        if len(out) > MAX_OUTPUT:
            raise self._failed(f"wrote more than {MAX_OUTPUT:,} bytes")
        try:
            found = msgspec.json.decode(out, type=_ExecCredential)
        except caught.UNREADABLE as error:
            raise self._failed(f"wrote no ExecCredential: {error}") from None
        if found.kind != "ExecCredential" or found.api_version != self._version:
            text = f"wrote a {found.kind} of {found.api_version}, the kubeconfig asks for an ExecCredential"
            raise self._failed(f"{text} of {self._version}")
        issued = found.status
        if issued is None or not (issued.token or issued.client_certificate_data):
            raise self._failed("issued neither status.token nor status.clientCertificateData")
        if issued.token and not is_token(issued.token):
            raise self._failed("issued a status.token with white space or other characters that no header may have")
        if bool(issued.client_certificate_data) != bool(issued.client_key_data):
            raise self._failed("issued one of status.clientCertificateData and status.clientKeyData without the other")
        return issued

    def _failed(self, reason: str) -> PluginError:
        return PluginError(f"the credential plugin {self._command or '(no command)'} of the kubeconfig {reason}")


#: Fields of a cluster in a kubeconfig that an ExecCredential has too.
_CLUSTER_FIELDS = frozenset(
    {"server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url"}
)


class _Output(asyncio.SubprocessProtocol):
    """All that a plugin writes, so that it never waits for a full pipe; little more than `MAX_OUTPUT` of it is kept.

    Attributes:
        answer: of its standard output.
        errors: of its standard error.
        closed: done once it has ended and nobody has its pipes any more.
    """

    def __init__(self) -> None:
        self.answer, self.errors = bytearray(), bytearray()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.answer if fd == 1 else self.errors
        if len(kept) <= MAX_OUTPUT:
            kept += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
