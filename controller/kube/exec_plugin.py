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
from collections.abc import Mapping
from typing import Any

import msgspec

#: Seconds that a plugin may take; it and its children are killed then.
LIMIT = 30.0
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
        return (when if when.tzinfo is not None else when.replace(tzinfo=datetime.timezone.utc)).timestamp()


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

    async def run(self) -> Issued:
        """Have it issue credentials.

        Raises:
            PluginError: it issued none.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._arguments,
                env={**os.environ, **self._variables},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            hint = f"; {self._hint}" if self._hint else ""
            raise self._failed(f"cannot be run: {error.strerror or error}{hint}") from None
        try:
            out, err = await asyncio.wait_for(_communicate(process), self._limit)
        except (asyncio.TimeoutError, TimeoutError):
            raise self._failed(f"did not end within {self._limit:g} s and was killed") from None
        finally:
            # It and what it has started: also when the one who waits for it is cancelled.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if process.returncode:
            text = err[-SHOWN:].decode(errors="replace").strip()
            raise self._failed(f"ended with status {process.returncode}" + (f": {text}" if text else ""))
        return self._read(out)

    def _read(self, out: bytes) -> Issued:
        if len(out) > MAX_OUTPUT:
            raise self._failed(f"wrote more than {MAX_OUTPUT:,} bytes")
        try:
            found = msgspec.json.decode(out, type=_ExecCredential)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
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


async def _communicate(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None  # noqa: S101 (both are pipes)
    assert process.stderr is not None  # noqa: S101
    out, err, _ = await asyncio.gather(_all_of(process.stdout), _all_of(process.stderr), process.wait())
    return out, err


async def _all_of(stream: asyncio.StreamReader) -> bytes:
    """All that is written, so that nobody waits for a full pipe; little more than `MAX_OUTPUT` of it is kept."""
    kept = b""
    while piece := await stream.read(64 * 1024):
        if len(kept) <= MAX_OUTPUT:
            kept += piece
    return kept
