"""An identity provider's tokens, and its keys."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

#: Who the tokens say that they are from.
ISSUER = "https://login.test"


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bearer(token: str) -> tuple[str, str]:
    """The field that carries a token."""
    return ("Authorization", f"Bearer {token}")


class Issuer:
    """An identity provider with a key on P-256; `name`: its id."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self, *, private: bool = False) -> dict[str, str]:
        """The key; `private`: with what nobody else may know."""
        numbers = self._key.public_key().public_numbers()
        point = {"x": encoded(numbers.x.to_bytes(32, "big")), "y": encoded(numbers.y.to_bytes(32, "big"))}
        if private:
            point["d"] = encoded(self._key.private_numbers().private_value.to_bytes(32, "big"))
        return {"kty": "EC", "crv": "P-256", "kid": self.name, "use": "sig", **point}

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Signed; a claim that is None is left out."""
        usual = {"iss": ISSUER, "aud": "shop", "sub": "ada", "exp": int(time.time()) + 300, "scope": "read write"}
        found = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        head = header or {"alg": "ES256", "kid": self.name}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, found))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def key_set(*keys: dict[str, str]) -> bytes:
    """A JWK Set."""
    return json.dumps({"keys": list(keys)}).encode()
