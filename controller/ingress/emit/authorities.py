"""CA certificates of Secrets, in ConfigMaps: the Gateway API names them there. They are no secret."""

from __future__ import annotations

import base64
import binascii

from ..losses import Cause
from ..options import Name
from .manifest import Manifest
from .output import Output

_CA = "ca.crt"


def authority(secret: Name, namespace: str, causes: tuple[Cause, ...], output: Output) -> str | None:
    """The name of a ConfigMap with the CA certificates of a Secret; None: it is not here, or has none."""
    found = output.inventory.secrets.get(secret)
    text = None
    if found is not None:
        text = found.string_data.get(_CA) or _text(found.data.get(_CA))
    if text is None:
        return None
    name = output.names.give("ConfigMap", namespace, secret.name, "ca")
    output.once(Manifest("ConfigMap", namespace, name, {_CA: text}, causes={"": causes}))
    return name


def _text(value: object) -> str | None:
    """What is behind base64."""
    try:
        raw = value if isinstance(value, bytes) else base64.b64decode(str(value), validate=True) if value else None
        return raw.decode() if raw else None
    except (binascii.Error, UnicodeDecodeError):
        return None
