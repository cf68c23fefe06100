"""`jwt.providers[].keys.backendRef`: keys that the data plane fetches from the identity provider."""

from __future__ import annotations

import re

from sluicegate import ir

from ....api import BackendReference
from ....api.access_remote import KeySetReference
from ...values import hostname_error, parse_duration, path_error
from ..draft import Draft

#: Milliseconds between fetches: what is asked for more often is load, what is asked for less often is out of date.
MIN_REFRESH_MS, MAX_REFRESH_MS = 10_000, 43_200_000
MAX_PATH = 1024

_QUERY = re.compile(r"[!$&'()*+,./:;=?@A-Za-z0-9_~%-]*", re.ASCII)


def judge_remote_keys(
    draft: Draft, keys: KeySetReference, reference: BackendReference, path: str
) -> ir.RemoteKeys | None:
    """Where keys are fetched from; `path`: of `keys`. None: it was told what is wrong."""
    faults = draft.faults
    asked, mark, query = keys.path.partition("?")
    error = path_error(asked) or ("has a character that no query has" if not _QUERY.fullmatch(query) else None)
    if error is not None or len(keys.path) > MAX_PATH:
        why = error or f"is longer than {MAX_PATH} octets"
        draft.refuse(f"{path}.path", f"path {keys.path!r} {why}", "give the path of the JWK Set, such as /oauth2/jwks")
    if keys.hostname and (error := hostname_error(keys.hostname.lower(), wildcard=False)) is not None:
        draft.refuse(f"{path}.hostname", f"{keys.hostname!r} {error}", "give the name of the provider's server")
    refresh = parse_duration(keys.refresh)
    if refresh is None or not MIN_REFRESH_MS <= refresh <= MAX_REFRESH_MS:
        draft.refuse(f"{path}.refresh", f"{keys.refresh!r} is no time from 10s to 12h", "use a value such as 5m")
    backend = draft.backend(reference, f"{path}.backendRef")
    if draft.faults > faults or backend is None or refresh is None:
        return None
    return ir.RemoteKeys(
        backend=backend,
        path=f"{asked}{mark}{query}",
        hostname=keys.hostname.lower(),
        service=f"{reference.name}.{reference.namespace or draft.policy.namespace}.svc",
        refresh_ms=refresh,
    )
