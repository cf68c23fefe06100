"""`jwt`: tokens of identity providers, and the public keys that they are signed by."""

from __future__ import annotations

import json
from typing import Any

from sluicegate import ir

from ....api.access_policy import OPTIONAL
from ....api.access_remote import JwtProvider, JwtStanza, KeySetName
from ...conditions import Reason
from ...values import parse_duration
from ..draft import Draft
from .api_key import key_sources
from .conditions import check_forward
from .remote_keys import judge_remote_keys

#: Clocks that are further apart than this are wrong.
MAX_LEEWAY_MS = 300_000
#: Members of a key that everybody may know (RFC 7518 section 6); what else is there stays where it is.
PUBLIC = ("kty", "kid", "use", "key_ops", "alg", "crv", "x", "y", "n", "e")
#: Key of a Secret or ConfigMap that has a set.
KEY = "jwks.json"
ANY_AUDIENCE = "*"


def judge_jwt(draft: Draft, stanza: JwtStanza | None) -> ir.AccessJwt | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("jwt", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessJwt(**head)
    if not stanza.providers:
        draft.refuse("jwt.providers", "no provider signs tokens", "name one")
    leeway = parse_duration(stanza.leeway)
    if leeway is None or leeway > MAX_LEEWAY_MS:
        draft.refuse("jwt.leeway", f"{stanza.leeway!r} is no time of up to five minutes", "use a value such as 60s")
    providers = tuple(_provider(draft, item, f"jwt.providers[{index}]") for index, item in enumerate(stanza.providers))
    return ir.AccessJwt(
        **head,
        invalid=draft.faults > faults,
        optional=stanza.mode == OPTIONAL,
        providers=providers,
        from_=tuple(key_sources(draft, stanza.from_, "jwt.from")),
        realm=stanza.realm or draft.policy.name,
        leeway_ms=leeway or 0,
        keep=stanza.keep,
    )


def _provider(draft: Draft, provider: JwtProvider, path: str) -> ir.JwtProvider:
    if not provider.issuer:
        draft.refuse(f"{path}.issuer", "a token has to say who it is from", "give the issuer")
    if not provider.audiences:
        message = "a token has to say whom it is for"
        draft.refuse(f"{path}.audiences", message, f"name audiences, or {ANY_AUDIENCE} for any")
    forward: list[ir.ClaimHeader] = []
    for index, pair in enumerate(provider.forward):
        check_forward(draft, f"{path}.forward[{index}].header", pair.header)
        forward.append(ir.ClaimHeader(claim=pair.claim, header=pair.header.lower()))
    reference = provider.keys.backend_ref
    others = (provider.keys.config_map_ref, provider.keys.secret_ref)
    is_remote = reference is not None and others == (None, None)
    return ir.JwtProvider(
        name=provider.name,
        issuer=provider.issuer,
        audiences=provider.audiences,
        keys="" if is_remote else _keys(draft, provider, f"{path}.keys"),
        remote=judge_remote_keys(draft, provider.keys, reference, f"{path}.keys")
        if reference is not None and is_remote
        else None,
        forward=tuple(forward),
    )


def _keys(draft: Draft, provider: JwtProvider, path: str) -> str:
    """What of a set of keys is public; empty: it was told what is wrong."""
    found_in = (provider.keys.config_map_ref, provider.keys.secret_ref) if provider.keys.backend_ref is None else ()
    match found_in:
        case KeySetName(name=name), None:
            path, label = f"{path}.configMapRef", f"ConfigMap {draft.policy.namespace}/{name}"
            found = draft.config_map(name, path)
            text = (found.data.key_set or "").encode() if found is not None else None
        case None, KeySetName(name=name):
            path, label = f"{path}.secretRef", f"Secret {draft.policy.namespace}/{name}"
            values = draft.secret(name, path, {KEY: "a JWK Set"})
            text = values[KEY] if values is not None else None
        case _:
            draft.refuse(path, "it names not exactly one set of keys", "give configMapRef, secretRef or backendRef")
            return ""
    if text is None:
        return ""
    public = _public(text)
    facts = draft.material.options.checks.key_set(public)
    if facts.error is not None:
        remedy = f"give it {KEY}, a JWK Set with the public keys of the issuer"
        draft.unresolved(path, Reason.SECRET_INVALID, f"{label}: {facts.error}", remedy)
        return ""
    if facts.unusable:
        message = f"{label}: tokens of some of its keys are refused: {facts.unusable}"
        draft.warn(path, "unusable-key", message, "correct these keys, or take them out")
    return public


def _public(text: bytes) -> str:
    """The same set without what is private. What is none stays as it is: the check says what is wrong."""
    try:
        found: Any = json.loads(text)
        # Of what is no key nothing is known to be public.
        keys = [
            {name: key[name] for name in PUBLIC if name in key} if isinstance(key, dict) else None
            for key in found["keys"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "no JSON object with an array of keys"
    return json.dumps({"keys": keys}, sort_keys=True)
