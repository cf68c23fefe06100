"""`basic`: users and hashes of their passwords."""

from __future__ import annotations

from collections.abc import Mapping

from sluicegate import ir
from sluicegate.words import listed

from ....api.access_policy import OPTIONAL, BasicStanza, KeyReference
from ...conditions import Reason
from ..draft import Draft
from .conditions import check_forward

#: Keys of a Secret that have an htpasswd file: Envoy Gateway's, the file's own name, ingress-nginx's.
USUAL_KEYS = (".htpasswd", "htpasswd", "auth")


#: How a Secret has its users: an htpasswd file, or each as a key whose value is the hash.
_FORMS = ("File", "Keys")


def _joined(values: Mapping[str, bytes]) -> bytes:
    """The users of a Secret that has a key for each, as an htpasswd file."""
    return b"".join(name.encode() + b":" + value.strip() + b"\n" for name, value in sorted(values.items()))


def judge_basic(draft: Draft, stanza: BasicStanza | None) -> ir.AccessBasic | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("basic", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessBasic(**head)
    if stanza.secret_ref is None:
        draft.refuse("basic.secretRef", "no Secret has the users", "refer to a Secret with an htpasswd file")
    if stanza.forward.header:
        check_forward(draft, "basic.forward.header", stanza.forward.header)
    if stanza.users not in _FORMS:
        draft.refuse("basic.users", f"{stanza.users} is not known", f"use one of {', '.join(_FORMS)}")
    of_keys = stanza.users == _FORMS[1]
    if of_keys and stanza.secret_ref is not None and stanza.secret_ref.key:
        draft.refuse("basic.secretRef.key", "every key of the Secret is a user", "leave it out, or set users to File")
    users = _users(draft, stanza.secret_ref, of_keys=of_keys) if stanza.secret_ref is not None else ""
    return ir.AccessBasic(
        **head,
        invalid=draft.faults > faults,
        optional=stanza.mode == OPTIONAL,
        users=draft.keep("basic", users),
        realm=stanza.realm or draft.policy.name,
        forward_header=stanza.forward.header,
        keep=stanza.keep,
    )


def _users(draft: Draft, reference: KeyReference, *, of_keys: bool) -> str:
    path = "basic.secretRef"
    values = draft.secret(reference.name, path, {})
    if values is None:
        return ""
    label = f"Secret {draft.policy.namespace}/{reference.name}"
    names = (reference.key,) if reference.key else USUAL_KEYS
    found = _joined(values) if of_keys else next((values[name] for name in names if name in values), None)
    remedy = "give it an htpasswd file, made by htpasswd -B"
    if found is None:
        draft.unresolved(path, Reason.SECRET_INVALID, f"{label} has no key {' or '.join(names)}", remedy)
        return ""
    try:
        text = found.decode()
    except UnicodeDecodeError:
        draft.unresolved(path, Reason.SECRET_INVALID, f"{label} is not UTF-8", remedy)
        return ""
    facts = draft.material.options.checks.users(text)
    if facts.error is not None:
        draft.unresolved(path, Reason.SECRET_INVALID, f"{label}: {facts.error}", remedy)
        return ""
    if facts.weak:
        message = f"{label}: passwords of {listed(facts.weak)} are hashed in a way that can be guessed at speed"
        draft.warn(path, "weak-credential", message, "hash them by bcrypt (htpasswd -B) or argon2id")
    return text
