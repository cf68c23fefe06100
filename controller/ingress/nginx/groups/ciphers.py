"""Cipher suites of TLS 1.2, as far as the gateway speaks them.

Source: `internal/ingress/annotations/sslcipher`, `proxyssl`. A list is one of OpenSSL, and is about TLS 1.2 and older.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sluicegate.words import listed

from ...features import ClientCiphers, Feature
from ...reading import Reading

_CIPHERS = {
    "AES128-GCM-SHA256": "AES_128_GCM_SHA256",
    "AES256-GCM-SHA384": "AES_256_GCM_SHA384",
    "CHACHA20-POLY1305": "CHACHA20_POLY1305_SHA256",
}
#: Suites of TLS 1.2 that are spoken, by their names in OpenSSL: those with forward secrecy that authenticate what they
#: encrypt (RFC 9325 section 4.2). With those that IANA has for them.
SPOKEN = {
    f"ECDHE-{signature}-{name}": f"TLS_ECDHE_{signature}_WITH_{cipher}"
    for signature in ("ECDSA", "RSA")
    for name, cipher in _CIPHERS.items()
}
_SEPARATORS = re.compile(r"[:, ]+")
#: Of a list that names no suites but kinds of them, those that the spoken ones are among.
_KINDS = ("HIGH", "ALL", "DEFAULT", "ECDH", "EECDH", "ECDHE", "AESGCM", "CHACHA20", "AES", "TLSV1.2", "FIPS", "SUITEB")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group; `protocol` reads what is towards backends."""
    suites = named_suites(reading, "ssl-ciphers", "clients")
    if suites:
        yield ClientCiphers(causes=reading.causes("ssl-ciphers"), suites=suites)


def named_suites(reading: Reading, name: str, others: str) -> tuple[str, ...]:
    """The suites that a list leaves, by their names in the registry of IANA; tells the others. None: all are spoken."""
    items = [item for item in _SEPARATORS.split(reading.text(name)) if item and item[0] not in "!-@"]
    if not items:
        return ()
    wanted = {item.removeprefix("+") for item in items}
    suites = {item for item in wanted if "-" in item}
    both = suites & set(SPOKEN)
    named = any(kind in item.upper() for item in wanted - suites for kind in _KINDS)
    rest = sorted(suites - set(SPOKEN))
    if not both and not named and rest:
        message = f"{listed(rest)}: none of them is spoken, and {others} that know no others cannot connect"
        reading.tell(name, "no-equivalent", message, f"use {listed(sorted(SPOKEN))}")
    elif both == set(SPOKEN) and not rest:
        reading.tell(name, "converted", "these are the suites that are spoken")
    elif rest:
        message = f"{listed(rest)}: not spoken; {others} that know no others cannot connect"
        reading.tell(name, "converted-with-difference", message, f"use {listed(sorted(SPOKEN))}")
    if named or both == set(SPOKEN):
        return ()
    return tuple(known for suite, known in SPOKEN.items() if suite in both)
