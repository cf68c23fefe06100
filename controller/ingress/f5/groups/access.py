"""Who may: users and passwords; what cannot be read closes the paths."""

from __future__ import annotations

from collections.abc import Iterator

from ...features import BasicAuth, Closed, Feature
from ...reading import Reading

_SECRET, _REALM = "nginx.org/basic-auth-secret", "nginx.org/basic-auth-realm"
#: The key of a Secret of the type `nginx.org/htpasswd`.
_KEY = "htpasswd"
#: What says who may, and is not read.
_UNREAD = ("nginx.com/jwt-key", "nginx.org/policies")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    for unread in _UNREAD:
        found = reading.value(unread)
        if found is not None:
            yield Closed(causes=(found.cause,), reason=f"{unread} is not read")
    secret = reading.value(_SECRET)
    if secret is None:
        reading.tell(_REALM, "dropped-harmless", "without basic-auth-secret it never did anything", "take it out")
        return
    name = reading.object_name(secret.text)
    if name.namespace != reading.ingress.namespace:
        message = f"a policy reads Secrets of its own namespace alone, not {'/'.join(name)}: its paths answer 500"
        reading.tell(_SECRET, "no-equivalent", message, f"copy it to {reading.ingress.namespace}")
        yield Closed(causes=(secret.cause,), reason="a Secret of another namespace")
        return
    if name not in reading.inventory.secrets:
        message = f"the Secret {'/'.join(name)} is not here"
        reading.tell(_SECRET, "converted-with-difference", message, "see that the cluster has it")
    realm = reading.text(_REALM) or "Authentication Required"
    yield BasicAuth(causes=reading.causes(_SECRET, _REALM), secret=name, key=_KEY, realm=realm)
