"""Forms of names that Kubernetes has: labels and subdomains of DNS, qualified names, values of labels, names of ports.

Source: `pkg/util/validation` of k8s.io/apimachinery. What stands for a name that cannot be read is here too.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

#: What the name of an object has to be. service: a label that begins with a letter; signer: a subdomain, with the name
#: of its signer before it or not (`example.com:signer:name`).
Naming = Literal["subdomain", "label", "service", "signer"]

#: What names of objects begin with that are served and stored nowhere: no object of a cluster has a colon in its name.
VIRTUAL = "ingress:"

MAX_SUBDOMAIN, MAX_LABEL, MAX_PORT_NAME = 253, 63, 15
#: Of a ConfigMap or a Secret.
MAX_KEY = 253
#: Verdicts of each kind that are remembered: keys of labels and namespaces come again and again.
MAX_REMEMBERED = 1024

_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LETTER_FIRST = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
#: What `unnamed` makes, as the last part of a label.
_UNNAMED = re.compile(r"(?<![^/])\([^/]*\|([^/|]+)\)\Z")


def unnamed(place: str) -> str:
    """What stands for a name that cannot be read: no object can have it, and no other place."""
    return f"({place.replace('/', '|')})"


def readable(label: str) -> str:
    """What an object is called, for people: where it has no name, by its file and line, without the folders."""
    return _UNNAMED.sub(r"(\1)", label)


def is_name(text: str, naming: Naming) -> bool:
    """Whether it may be the name of an object of a kind."""
    if naming == "label":
        return is_label(text)
    if naming == "service":
        return is_service_name(text)
    if naming == "signer":
        return len(text) <= MAX_SUBDOMAIN and all(map(is_subdomain, text.split(":")))
    return is_subdomain(text)


def is_subdomain(text: str) -> bool:
    """A DNS subdomain (RFC 1123)."""
    return len(text) <= MAX_SUBDOMAIN and _SUBDOMAIN.fullmatch(text) is not None


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def is_label(text: str) -> bool:
    """A DNS label (RFC 1123)."""
    return len(text) <= MAX_LABEL and _LABEL.fullmatch(text) is not None


def is_service_name(text: str) -> bool:
    """A DNS label that begins with a letter (RFC 1035)."""
    return len(text) <= MAX_LABEL and _LETTER_FIRST.fullmatch(text) is not None


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def is_qualified(text: str) -> bool:
    """A key of labels or annotations: a word, with a domain and `/` before it or not."""
    domain, slash, word = text.rpartition("/")
    fits = len(word) <= MAX_LABEL and _WORD.fullmatch(word) is not None
    return fits and (not slash or is_subdomain(domain))


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def is_label_value(text: str) -> bool:
    """A value of a label."""
    return not text or (len(text) <= MAX_LABEL and _WORD.fullmatch(text) is not None)


def is_port_name(text: str) -> bool:
    """The name of a port of a container (`IsValidPortName`)."""
    return len(text) <= MAX_PORT_NAME and _PORT_NAME.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """A key of a ConfigMap or a Secret, which becomes the name of a file."""
    return len(text) <= MAX_KEY and _KEY.fullmatch(text) is not None and text not in {".", ".."} and text[:2] != ".."
