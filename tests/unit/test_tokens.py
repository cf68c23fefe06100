"""Tokens: the native verifier, PyJWT and joserfc take the same ones, and say the same of them."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import joserfc.errors
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwk
from joserfc import jwt as jose

from sluicegate.engine.native import check_token

NOW = 1_795_910_400
ISSUER = "https://login.test"
RSA_KEY = rsa.generate_private_key(65537, 2048)
#: Each algorithm with a key of its own.
KEYS: dict[str, Any] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSA_KEY),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
#: What claims may be, of the right type and of others.
VALUES: dict[str, tuple[Any, ...]] = {
    "exp": (NOW + 300, NOW + 300.5, NOW, NOW - 1, -1, str(NOW + 300), None, [NOW], True, {}),
    "nbf": (NOW, NOW - 1, NOW + 1, NOW + 0.5, str(NOW), [], {}),
    "iat": (NOW, NOW - 1, NOW + 1, "now", []),
    "iss": (ISSUER, f"{ISSUER}/", "", [ISSUER], 1),
    "aud": ("shop", "bank", ["shop"], ["bank", "shop"], [], 1, ["shop", 1], {}),
    "sub": ("ada", "", 1, []),
}
GOOD = {"iss": ISSUER, "aud": "shop", "exp": NOW + 300}


def public(algorithm: str) -> dict[str, Any]:
    key: Any = {"RS": jwt.algorithms.RSAAlgorithm, "PS": jwt.algorithms.RSAAlgorithm}.get(algorithm[:2])
    if key is None:
        key = jwt.algorithms.OKPAlgorithm if algorithm == "EdDSA" else jwt.algorithms.ECAlgorithm
    found: dict[str, Any] = key.to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    return found


def ours(token: str, algorithm: str) -> dict[str, Any] | None:
    claims, _ = check_token(token, json.dumps({"keys": [public(algorithm)]}), ISSUER, ["shop"], NOW)
    return None if claims is None else dict(json.loads(claims))


def of_pyjwt(token: str, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any] | None:
    class Clock(jwt.api_jwt.datetime):  # type: ignore[misc,name-defined] # it has no other place for a time
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.fromtimestamp(NOW, tz)

    monkeypatch.setattr(jwt.api_jwt, "datetime", Clock)
    try:
        return dict(
            jwt.decode(
                token,
                KEYS[algorithm].public_key(),
                algorithms=[algorithm],
                issuer=ISSUER,
                audience="shop",
                options={"require": ["exp", "iss", "aud"]},
            )
        )
    except (jwt.PyJWTError, TypeError, ValueError):
        return None


def of_joserfc(token: str, algorithm: str) -> dict[str, Any] | None:
    registry = jose.JWTClaimsRegistry(
        now=NOW,
        leeway=0,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": "shop"},
        exp={"essential": True},
    )
    try:
        found = jose.decode(token, jwk.import_key(public(algorithm)), algorithms=[algorithm])
        registry.validate(found.claims)
    except (joserfc.errors.JoseError, TypeError, ValueError):
        return None
    return dict(found.claims)


def signed(claims: dict[str, Any], algorithm: str, headers: dict[str, Any] | None = None) -> str:
    """PyJWT checks what it signs, so the payload is given as bytes."""
    return jwt.api_jws.encode(json.dumps(claims).encode(), KEYS[algorithm], algorithm, headers)


@pytest.mark.parametrize("algorithm", KEYS)
def test_every_algorithm(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed(GOOD, algorithm)
    assert ours(token, algorithm) == of_pyjwt(token, algorithm, monkeypatch) == of_joserfc(token, algorithm) == GOOD
    for other, key in KEYS.items():
        if key is not KEYS[algorithm]:
            assert ours(token, other) is None
            assert of_joserfc(token, other) is None


def test_what_they_take_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever we take both take; what one of them alone refuses or takes is known by its claim."""
    chance = random.Random(1)
    taken = 0
    for _ in range(400):
        claims = {name: chance.choice(values) for name, values in VALUES.items() if chance.random() < 0.35}
        claims = {**GOOD, **claims} if chance.random() < 0.9 else claims
        token = signed(claims, "ES256")
        found = ours(token, "ES256")
        theirs = of_pyjwt(token, "ES256", monkeypatch), of_joserfc(token, "ES256")
        if found is not None:
            taken += 1
            assert theirs == (found, found), claims
        elif all(theirs):
            # Both take numbers for truth values and texts for numbers.
            assert any(type(claims.get(name)) in {bool, str} for name in ("exp", "nbf", "iat")), claims
    assert taken > 40


@pytest.mark.parametrize("place", range(3))
def test_changed_octets(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the three takes a token of which one letter is another."""
    chance = random.Random(place)
    parts = signed(GOOD, "ES256").split(".")
    for _ in range(60):
        at = chance.randrange(len(parts[place]) - 1)
        letter = chance.choice("ABCDEFGHabcdefgh0123456789-_".replace(parts[place][at], ""))
        changed = [*parts]
        changed[place] = f"{parts[place][:at]}{letter}{parts[place][at + 1 :]}"
        token = ".".join(changed)
        assert ours(token, "ES256") is None
        assert of_pyjwt(token, "ES256", monkeypatch) is None
        assert of_joserfc(token, "ES256") is None


@pytest.mark.parametrize("headers", [{"crit": ["x"], "x": 1}, {"alg": "none"}, {"alg": "HS256"}])
def test_headers_that_nobody_takes(headers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    payload = base64.urlsafe_b64encode(json.dumps(GOOD).encode()).rstrip(b"=").decode()
    header = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", **headers}).encode()).rstrip(b"=").decode()
    signature = KEYS["ES256"]
    token = f"{header}.{payload}."
    good = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256, ec.SECP256R1)
    raw = good.sign(f"{header}.{payload}".encode(), signature)
    token += base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert ours(token, "ES256") is None
    assert of_pyjwt(token, "ES256", monkeypatch) is None
    assert of_joserfc(token, "ES256") is None
