"""ClientPolicy by itself: a module for each stanza.

A stanza that cannot be honoured still holds: what it is for is refused rather than let through without it.
"""

from __future__ import annotations

from ....api import ClientPolicy, Diagnostics
from ...secrets import Material
from ..draft import Draft
from ..judged import Judgement
from .access_log import judge_access_log
from .address import judge_address
from .body import judge_body
from .certificate import judge_certificate
from .connections import judge_connections, judge_http2, judge_timeouts
from .headers import judge_headers
from .tls import judge_tls
from .tracing import judge_tracing


def judge_client(policy: ClientPolicy, material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    draft, spec = Draft(policy, material, diagnostics), policy.spec
    return draft.judgement(
        {
            "clientAddress": judge_address(draft, spec.client_address),
            "tls": judge_tls(draft, spec.tls),
            "clientCertificate": judge_certificate(draft, spec.client_certificate),
            "connections": judge_connections(draft, spec.connections),
            "timeouts": judge_timeouts(draft, spec.timeouts),
            "headers": judge_headers(draft, spec.headers),
            "http2": judge_http2(draft, spec.http2),
            "body": judge_body(draft, spec.body),
            "accessLog": judge_access_log(draft, spec.access_log),
            "tracing": judge_tracing(draft, spec.tracing),
        }
    )
