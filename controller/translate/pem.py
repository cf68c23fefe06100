"""PEM (RFC 7468): the certificates of a text, by their shape. The same rules as `native/core/src/tls/pem.rs`.

- Text before, between and after blocks is ignored; blocks may be indented, and need no line end between them.
- What looks like a block and cannot be read is an error: a certificate is never left out in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BEGIN = "-----BEGIN "
_HYPHENS = "-----"

#: Characters of a label; the longest in use has 21.
MAX_LABEL = 64

#: Labels of certificates; the second is what old versions of OpenSSL wrote.
_CERTIFICATE = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})

#: Labels of containers that may hold certificates, in a form that is not read.
_CONTAINERS = frozenset({"PKCS7", "PKCS #7 SIGNED DATA", "CMS"})

#: A boundary that lost hyphens, or its other half; between blocks there is to be none.
_STRAY = re.compile(r"(?i)(?:begin|end)[ \t]+(?:[a-z0-9]+[ \t]+){0,2}certificate[ \t]*(?-i:[-\u0080-\U0010ffff])")

_BODY = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_SPACE = re.compile(r"[ \t\n\r\f\v]+")


class PemError(ValueError):
    """A text that cannot be read whole; says which block, and why."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it stands in a text.

    Attributes:
        number: from 1, over the blocks of any label.
        label: what stands between BEGIN and the hyphens.
        body: base64 without white space.
    """

    number: int
    label: str
    body: str


def pem_text(pem: bytes) -> str:
    """PEM is ASCII; other bytes can only stand in comments around it."""
    return pem.decode("ascii", "replace")


def blocks(text: str) -> list[Block]:
    """All blocks, in order.

    Raises:
        PemError: at the first boundary that is not whole.
    """
    found: list[Block] = []
    number, position = 1, 0
    while True:
        start = text.find(_BEGIN, position)
        if _STRAY.search(text[position : start if start >= 0 else len(text)]):
            message = "a boundary that is not whole: write -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"
            raise PemError(f"block {number}: {message}")
        if start < 0:
            return found
        label, hyphens, _ = text[start + len(_BEGIN) :][: MAX_LABEL + len(_HYPHENS)].partition(_HYPHENS)
        if not hyphens or "\n" in label or "\r" in label:
            raise PemError(f"block {number}: its BEGIN line does not end in five hyphens")
        body = start + len(_BEGIN) + len(label) + len(_HYPHENS)
        line = f"-----END {label}-----"
        end = text.find(line, body)
        if end < 0 or _BEGIN in text[body:end]:
            raise PemError(f"block {number}: it has no line {line}")
        found.append(Block(number, label, _SPACE.sub("", text[body:end])))
        number, position = number + 1, end + len(line)


def certificates(text: str) -> list[Block]:
    """The blocks of certificates, whose base64 is well formed as far as it goes.

    Whether it is whole, and X.509, is for the engine to say.

    Raises:
        PemError: at the first block that cannot be read, or that may hold certificates in another form.
    """
    found: list[Block] = []
    for block in blocks(text):
        place = f"block {block.number}"
        if block.label in _CERTIFICATE:
            if not _BODY.fullmatch(block.body):
                raise PemError(f"{place}: it is not base64")
            found.append(block)
        elif block.label == "TRUSTED CERTIFICATE":
            raise PemError(f"{place}: TRUSTED CERTIFICATE is OpenSSL's own form: convert it with openssl x509")
        elif block.label in _CONTAINERS or ("CERTIFICATE" in block.label and "REQUEST" not in block.label):
            raise PemError(f"{place}: {block.label} is not supported, only CERTIFICATE")
    return found
