"""`external`: a service that is asked who may."""

from __future__ import annotations

from sluicegate import ir

from ....api import BackendReference, ExternalAuthFilter
from ....api.access_remote import ExternalStanza
from ...external_auth import external_service
from ...unsupported import Unsupported
from ...values import parse_duration
from ..draft import Draft

#: A request is kept for so long at most, whatever it waits for.
MAX_TIMEOUT_MS = 60_000


def judge_external(draft: Draft, stanza: ExternalStanza | None) -> ir.AccessExternal | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("external", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessExternal(**head)
    timeout = parse_duration(stanza.timeout)
    if timeout is None or not 0 < timeout <= MAX_TIMEOUT_MS:
        draft.refuse("external.timeout", f"{stanza.timeout!r} is no time of up to a minute", "use a value such as 1s")
    if stanza.on_unavailable not in {"Deny", "Allow"}:
        draft.refuse("external.onUnavailable", f"{stanza.on_unavailable} is not known", "use Deny or Allow")
    service = _service(draft, stanza, timeout or 0)
    return ir.AccessExternal(**head, invalid=draft.faults > faults, service=service)


def _service(draft: Draft, stanza: ExternalStanza, timeout: int) -> ir.ExternalService | None:
    if stanza.backend_ref is None:
        draft.refuse("external.backendRef", "nobody is asked", "name a Service")
        return None
    auth = ExternalAuthFilter(
        protocol=stanza.protocol,
        backend_ref=stanza.backend_ref,
        http=stanza.http,
        grpc=stanza.grpc,
        forward_body=stanza.forward_body,
    )

    def resolve(reference: BackendReference, path: str) -> str | None:
        return draft.backend(reference, path)

    try:
        return external_service(
            auth, "external", resolve, timeout_ms=timeout, allow_unavailable=stanza.on_unavailable == "Allow"
        )
    except Unsupported as error:
        draft.refuse(error.field, error.message, error.remedy)
        return None
