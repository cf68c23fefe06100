"""Features that are about the Services behind an Ingress: BackendTLSPolicy and BackendPolicy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ..backends import Backend
from ..features import Affinity, BackendTls, Balancing, Feature, FreshConnections, Protocol, Retry, RetryTime, Timeouts
from ..hosts import Host, Location
from .authorities import authority
from .output import Output, Target

#: Milliseconds until a connection is there, until an answer begins, and of tries again (BackendPolicy).
MAX_CONNECT, MAX_FIRST_BYTE, MAX_STALL, MAX_RETRIES = 3_600_000, 24 * 3_600_000, 24 * 3_600_000, 3_600_000
#: What says each: names for the test that nothing is forgotten.
SERVICE_FEATURES = frozenset({BackendTls, Balancing, FreshConnections, Protocol, RetryTime, Timeouts})


def emit_services(host: Host, output: Output) -> None:
    """Make the policies of the Services of a host's locations."""
    for location in host.locations:
        backends = [location.backend, location.canary.backend if location.canary is not None else None]
        for backend in backends:
            if backend is not None and backend.port and not backend.outside:
                _emit(location, backend, host, output)


def _emit(location: Location, backend: Backend, host: Host, output: Output) -> None:
    target: Target = {"group": "", "kind": "Service", "name": backend.service}
    name = output.names.give("BackendPolicy", backend.namespace, backend.service)
    timeouts, balancing = location.features.get(Timeouts), location.features.get(Balancing)
    if timeouts is not None:
        longer = "read" if timeouts.stall == timeouts.read else "send"
        written = (
            ("connect", timeouts.connect, MAX_CONNECT, "a time to connect", "connect"),
            ("firstByte", timeouts.read, MAX_FIRST_BYTE, "a time to wait", "read"),
            ("stall", timeouts.stall, MAX_STALL, "a time without an octet", longer),
        )
        value = {
            key: output.at_most_time(time, limit, what, timeouts.cause_of(word))
            for key, time, limit, what, word in written
            if time
        }
        output.policy("BackendPolicy", backend.namespace, name, [target], "timeouts", value, timeouts.causes)
    if balancing is not None:
        choice: dict[str, Any] = {"type": balancing.kind}
        if balancing.key:
            subset = {"subset": balancing.subset} if balancing.subset else {}
            choice["hash"] = {"key": list(balancing.key), **subset}
        output.policy("BackendPolicy", backend.namespace, name, [target], "loadBalancing", choice, balancing.causes)
    for part, content, feature in _parts(location, output):
        if content == {"sameSite": "Unset"} and output.options.standard_only:
            message = "the cookie is `SameSite=Strict`: pages of other sites that embed this one begin a new session"
            output.ledger.tell(feature.cause, "converted-with-difference", message, host=host.name)
            continue
        output.policy("BackendPolicy", backend.namespace, name, [target], part, content, feature.causes)
    tls = location.features.get(BackendTls)
    if tls is not None:
        _tls(tls, backend, host, output)


def _parts(location: Location, output: Output) -> Iterator[tuple[str, dict[str, Any], Feature]]:
    """Parts of the policy that say one feature each."""
    tls, fresh = location.features.get(BackendTls), location.features.get(FreshConnections)
    retry, affinity = location.features.get(Retry), location.features.get(Affinity)
    if tls is not None and (terms := _terms(tls)):
        yield "tls", terms, tls
    if fresh is not None:
        yield "connection", {"maxRequests": 1}, fresh
    time = location.features.get(RetryTime)
    retries: dict[str, Any] = {"methods": ["POST", "PATCH"]} if retry is not None and retry.repeats else {}
    if time is not None:
        retries["within"] = output.at_most_time(time.seconds * 1000, MAX_RETRIES, "a time of tries", time.cause)
    if retries:
        yield "retries", retries, cast("Feature", time or retry)
    if affinity is not None:
        is_sticky = location.canary is not None and location.canary.feature.sticky
        sticky = {"backends": "Sticky"} if is_sticky else {}
        yield "sessionCookie", {**_session_cookie(affinity), **sticky}, affinity


def _terms(feature: BackendTls) -> dict[str, Any]:
    """What a BackendPolicy says of TLS."""
    found: dict[str, Any] = {}
    if feature.versions:
        found |= {"minVersion": min(feature.versions), "maxVersion": max(feature.versions)}
    if feature.suites:
        found["cipherSuites"] = list(feature.suites)
    if feature.refuses_verification:
        found["verification"] = "Disabled"
    if feature.nameless:
        found["serverName"] = "Omitted"
    return found


def _session_cookie(feature: Affinity) -> dict[str, Any]:
    """Attributes of the cookie; its name, path and life are those of `sessionPersistence`."""
    found: dict[str, Any] = {"sameSite": feature.same_site or "Unset"}
    if feature.domain:
        found["domain"] = feature.domain
    if feature.secure is not None:
        found["secure"] = "Always" if feature.secure else "Never"
    if feature.returns:
        found["onFailure"] = "Keep"
    return found


def _tls(feature: BackendTls, backend: Backend, host: Host, output: Output) -> None:
    """A certificate of a backend is verified: one that nobody verified is told, unless somebody has written so."""
    namespace, service = backend.namespace, backend.service
    hostname = feature.hostname or f"{service}.{namespace}.svc"
    validation: dict[str, Any] = {"wellKnownCACertificates": "System", "hostname": hostname}
    authority = _authority(feature, backend, output)
    if authority is not None:
        validation = {
            "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": authority}],
            "hostname": hostname,
        }
    if not feature.verify and not (feature.refuses_verification and output.allows("BackendPolicy", feature.causes)):
        message = f"nobody looked at the certificates of {namespace}/{service}: here they are verified, for {hostname}"
        remedy = (
            "see that they are signed by a CA of the system, name their CA in caCertificateRefs,"
            " or set `tls.verification` of a BackendPolicy"
        )
        output.ledger.tell(feature.cause, "converted-with-difference", message, remedy, host=host.name)
    name = output.names.give("BackendTLSPolicy", namespace, service)
    target: Target = {"group": "", "kind": "Service", "name": service}
    output.policy("BackendTLSPolicy", namespace, name, [target], "validation", validation, feature.causes)


def _authority(feature: BackendTls, backend: Backend, output: Output) -> str | None:
    """The ConfigMap with the CA certificates of backends; None: those of the system hold."""
    if feature.secret is None:
        return None
    name = authority(feature.secret, backend.namespace, feature.causes, output)
    if name is None:
        message = f"the Secret {'/'.join(feature.secret)} is not here, or has no ca.crt: the CAs of the system hold"
        output.ledger.tell(feature.cause, "converted-with-difference", message, "give the Secret as well")
    return name
