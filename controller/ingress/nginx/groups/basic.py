"""Users and passwords.

Source: `internal/ingress/annotations/auth`. Where they cannot be read ingress-nginx refuses all requests.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....api.names import is_subdomain
from ...features import BasicAuth, Closed, Feature
from ...reading import Reading

#: The key of an `auth-file`.
_FILE = "auth"
_REALM = "Authentication Required"
#: Characters of a realm (AccessPolicy).
_MAX_REALM = 128
_NAMES = ("auth-secret", "auth-secret-type", "auth-realm")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    kind = reading.value("auth-type")
    if kind is None:
        for each in _NAMES:
            reading.tell(each, "dropped-harmless", "without auth-type it never did anything", "take it out")
        return
    secret, form = reading.value("auth-secret"), reading.text("auth-secret-type", "auth-file")
    if kind.text == "digest":
        message = "digests of passwords are MD5: there is nothing like it, and its paths answer 500"
        reading.tell("auth-type", "no-equivalent", message, "write basic, and hash the passwords by bcrypt")
        yield Closed(causes=(kind.cause,), reason="digest authentication")
        return
    if kind.text != "basic" or secret is None or form not in {"auth-file", "auth-map"}:
        message = "basic, a Secret and one of auth-file and auth-map are expected: its paths answer 500"
        reading.tell("auth-type", "invalid", message, "correct the annotations")
        yield Closed(causes=(kind.cause,), reason="authentication that cannot be read", there=True)
        return
    name = reading.object_name(secret.text)
    if name not in reading.inventory.secrets:
        message = f"the Secret {'/'.join(name)} is not here"
        reading.tell("auth-secret", "converted-with-difference", message, "see that the cluster has it")
    if not is_subdomain(name.name):
        reading.tell("auth-secret", "invalid", "no Secret has such a name: its paths answer 500", "correct the name")
        yield Closed(causes=(secret.cause,), reason="a name that no Secret has", there=True)
        return
    if name.namespace != reading.ingress.namespace:
        message = f"a policy reads Secrets of its own namespace alone, not {'/'.join(name)}: its paths answer 500"
        remedy = f"copy it to {reading.ingress.namespace}"
        reading.tell("auth-secret", "no-equivalent", message, remedy)
        yield Closed(causes=(secret.cause,), reason="a Secret of another namespace")
        return
    realm = reading.text("auth-realm") or _REALM
    if not (realm.isascii() and realm.isprintable()) or len(realm) > _MAX_REALM or set(realm) & set('"\\'):
        reading.tell("auth-realm", "invalid", f"it cannot stand in a challenge: {_REALM} does", "use plain text")
        realm = _REALM
    key = _FILE if form == "auth-file" else ""
    yield BasicAuth(causes=reading.causes("auth-type", *_NAMES), secret=name, key=key, realm=realm)
