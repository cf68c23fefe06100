"""`apiKey`: keys in Secrets, of which only digests go on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sluicegate import ir

from ....api.access_policy import OPTIONAL, ApiKeyStanza
from ....api.access_remote import KeySource
from ...conditions import Reason
from ..draft import Draft
from .conditions import check_forward

#: Keys of one policy; the engine has the same limit.
MAX_KEYS = 16_384
#: Bytes of a key that cannot be guessed; shorter ones are told.
SAFE_LENGTH = 16

_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")


def judge_api_key(draft: Draft, stanza: ApiKeyStanza | None) -> ir.AccessApiKey | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("apiKey", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessApiKey(**head)
    keys = list(_keys(draft, stanza))
    path = "apiKey"
    if not stanza.secret_refs:
        draft.refuse(f"{path}.secretRefs", "no Secret has the keys", "refer to a Secret")
    if stanza.forward.header:
        check_forward(draft, "apiKey.forward.header", stanza.forward.header)
    if len(keys) > MAX_KEYS:
        message = f"there are {len(keys)} keys, {MAX_KEYS} is the limit"
        draft.unresolved(f"{path}.secretRefs", Reason.SECRET_INVALID, message, "use several policies")
        keys = []
    return ir.AccessApiKey(
        **head,
        invalid=draft.faults > faults,
        optional=stanza.mode == OPTIONAL,
        keys=draft.keep("apiKey", "".join(f"{digest} {client}\n" for digest, client in keys)),
        from_=tuple(key_sources(draft, stanza.from_, "apiKey.from")),
        realm=stanza.realm or draft.policy.name,
        forward_header=stanza.forward.header,
        keep=stanza.keep,
    )


def _keys(draft: Draft, stanza: ApiKeyStanza) -> Iterator[tuple[str, str]]:
    """Digests and clients; the same key of two clients is the first one's, and told."""
    from hashlib import sha256  # it loads OpenSSL, which `serve` does without

    owners: dict[str, str] = {}
    for index, reference in enumerate(stanza.secret_refs):
        path = f"apiKey.secretRefs[{index}]"
        values = draft.secret(reference.name, path, {})
        label = f"Secret {draft.policy.namespace}/{reference.name}"
        if values is not None and not values:
            draft.unresolved(path, Reason.SECRET_INVALID, f"{label} has no keys", "give it a value for each client")
        for client, value in sorted((values or {}).items()):
            key = value.strip(b"\r\n")
            known = _DIGEST.fullmatch(key.decode("latin-1"))
            if not key:
                message = f"{label}: the key of {client} is empty"
                draft.unresolved(path, Reason.SECRET_INVALID, message, "make keys of random bytes")
                continue
            if known is None and len(key) < SAFE_LENGTH:
                message = f"{label}: the key of {client} has fewer than {SAFE_LENGTH} bytes, so it can be guessed"
                draft.warn(path, "weak-credential", message, "make keys of random bytes")
            digest = known[1].lower() if known is not None else sha256(key).hexdigest()
            owner = owners.setdefault(digest, client)
            if owner != client:
                message = f"{label}: {client} has the key of {owner}, whose requests these are"
                draft.warn(path, "weak-credential", message, "give each client a key of its own")
                continue
            yield digest, client


def key_sources(draft: Draft, sources: Sequence[KeySource], path: str) -> Iterator[ir.KeySource]:
    """Where a key or a token may stand; `path`: field of the list."""
    for index, source in enumerate(sources):
        match source.header, source.query, source.cookie:
            case (header, "", "") if header:
                yield ir.HeaderCredential(name=header, prefix=source.prefix)
            case ("", query, "") if query:
                yield ir.QueryCredential(name=query)
            case ("", "", cookie) if cookie:
                yield ir.CookieCredential(name=cookie)
            case _:
                draft.refuse(f"{path}[{index}]", "it names not exactly one place", "give header, query or cookie")
