"""`external`: a service that is asked who may."""

from __future__ import annotations

import re
from collections.abc import Set

from sluicegate import ir

from ....api import BackendReference, ExternalAuthFilter
from ....api.access_policy import ApiKeyStanza
from ....api.access_remote import ExternalStanza, JwtStanza
from ...external_auth import external_service
from ...unsupported import Unsupported
from ...values import is_token, parse_duration
from ..draft import Draft
from .external_question import judge_question

#: A request is kept for so long at most, whatever it waits for.
MAX_TIMEOUT_MS = 60_000
#: What a service says is remembered no longer: whoever may no more is let in until then.
MAX_TTL_MS = 300_000

#: Without a fragment: what is behind one is no query. What begins with `//` is the URL of another host.
_SIGN_IN = re.compile(r"(https?://(?=.)|/(?!/))[!$&'()*+,./:;=?@A-Za-z0-9_~%\[\]-]*", re.ASCII)
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]+", re.ASCII)


def judge_external(draft: Draft, stanza: ExternalStanza | None, credentials: Set[str]) -> ir.AccessExternal | None:
    """The stanza; None: it is not set. `credentials`: fields that have to be told apart."""
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
    cache = _cache(draft, stanza, service, credentials) if service is not None else None
    sign_in = _sign_in(draft, stanza)
    return ir.AccessExternal(**head, invalid=draft.faults > faults, service=service, cache=cache, sign_in=sign_in)


def _sign_in(draft: Draft, stanza: ExternalStanza) -> ir.SignIn | None:
    if stanza.sign_in is None:
        return None
    url, parameter = stanza.sign_in.url, stanza.sign_in.parameter
    if not _SIGN_IN.fullmatch(url):
        message = f"{url!r} is no URL to which a query can be added"
        draft.refuse("external.signIn.url", message, "write it as https://login.example.com/start, or /start")
    if not _PARAMETER.fullmatch(parameter):
        draft.refuse("external.signIn.parameter", f"{parameter!r} is no name of a parameter", "use a name such as rd")
    if stanza.sign_in.return_to not in {"URL", "Path"}:
        message = f"{stanza.sign_in.return_to} is not known"
        draft.refuse("external.signIn.returnTo", message, "use URL or Path")
    return ir.SignIn(url=url, parameter=parameter, path_only=stanza.sign_in.return_to == "Path")


def _cache(
    draft: Draft, stanza: ExternalStanza, service: ir.ExternalService, credentials: Set[str]
) -> ir.VerdictCache | None:
    """What of the answers is remembered, and by what. None: it was told what is wrong, or nothing is."""
    cache, faults = stanza.cache, draft.faults
    if cache is None:
        return None
    ttl = parse_duration(cache.ttl)
    if ttl is None or not 0 < ttl <= MAX_TTL_MS:
        draft.refuse("external.cache.ttl", f"{cache.ttl!r} is no time of up to five minutes", "use a value such as 30s")
    if service.forward_body_bytes:
        message = "what is said of a body is not remembered: the next one may be another"
        draft.refuse("external.cache", message, "leave out cache or forwardBody")
    headers = service.allowed_headers if cache.headers is None else tuple(name.lower() for name in cache.headers)
    for index, name in enumerate(cache.headers or ()):
        if not is_token(name):
            draft.refuse(f"external.cache.headers[{index}]", f"{name!r} is not a header name", "correct it")
    # Of gRPC none named is all.
    gives_all = service.protocol is ir.ExternalProtocol.GRPC and not service.allowed_headers
    if gives_all and cache.headers is None:
        message = "the service is given all header fields, and nothing says which of them count"
        draft.refuse("external.cache.headers", message, "name those by which the service decides")
    elif cache.headers is not None:
        given = credentials if gives_all else credentials & set(service.allowed_headers)
        for name in sorted(given - set(headers)):
            message = f"the service is given {name}, so what it says of one client could be taken for another's"
            draft.refuse("external.cache.headers", message, f"add {name}, or do not give it to the service")
    if draft.faults > faults:
        return None
    return ir.VerdictCache(ttl_ms=ttl or 0, headers=tuple(dict.fromkeys(headers)), denials=cache.denials)


def credential_fields(*stanzas: ApiKeyStanza | JwtStanza | None) -> frozenset[str]:
    """Header fields in which clients send what proves who they are, in lower case.

    `Authorization` is not among them: an answer is remembered for one value of it alone, whatever a policy says.
    """
    sources = (source for stanza in stanzas if stanza is not None and not stanza.off for source in stanza.from_)
    names = {source.header.lower() for source in sources}
    return frozenset({"cookie", *names} - {"authorization", ""})


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
        service = external_service(
            auth,
            "external",
            resolve,
            timeout_ms=timeout,
            allow_unavailable=stanza.on_unavailable == "Allow",
            exact_path=stanza.http.exact,
        )
    except Unsupported as error:
        draft.refuse(error.field, error.message, error.remedy)
        return None
    return judge_question(draft, stanza.http, service) if service.protocol is ir.ExternalProtocol.HTTP else service
