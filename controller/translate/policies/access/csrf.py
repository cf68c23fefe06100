"""`csrf`: no other site may make a browser change anything."""

from __future__ import annotations

import re

from sluicegate import ir

from ....api.access_policy import CsrfStanza
from ..draft import Draft

_ORIGIN = re.compile(r"https?://(\*\.)?[a-z0-9.:\[\]_-]+", re.IGNORECASE | re.ASCII)


def judge_csrf(draft: Draft, stanza: CsrfStanza | None) -> ir.AccessCsrf | None:
    """The stanza; None: it is not set."""
    if stanza is None:
        return None
    head, faults = draft.head("csrf", off=stanza.off), draft.faults
    if stanza.off:
        return ir.AccessCsrf(**head)
    for index, origin in enumerate(stanza.trusted_origins):
        if _ORIGIN.fullmatch(origin) is None:
            field = f"csrf.trustedOrigins[{index}]"
            draft.refuse(field, f"{origin!r} is no origin", "write scheme and host, such as https://example.com")
    return ir.AccessCsrf(**head, invalid=draft.faults > faults, trusted_origins=stanza.trusted_origins)
