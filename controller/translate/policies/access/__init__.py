"""AccessPolicy by itself: a module for each stanza.

A stanza that cannot be honoured still holds: what it is for is refused rather than let through without it.
"""

from __future__ import annotations

from ....api import AccessPolicy, Diagnostics
from ...secrets import Material
from ..draft import Draft
from ..judged import Judgement
from .api_key import judge_api_key
from .authorization import judge_authorization
from .basic import judge_basic
from .certificate import judge_certificate
from .csrf import judge_csrf
from .exempt import judge_exempt
from .external import credential_fields, judge_external
from .jwt import judge_jwt


def judge_access(policy: AccessPolicy, material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    draft, spec = Draft(policy, material, diagnostics), policy.spec
    return draft.judgement(
        {
            "exempt": judge_exempt(draft, spec.exempt),
            "certificate": judge_certificate(draft, spec.certificate),
            "apiKey": judge_api_key(draft, spec.api_key),
            "jwt": judge_jwt(draft, spec.jwt),
            "basic": judge_basic(draft, spec.basic),
            "csrf": judge_csrf(draft, spec.csrf),
            "authorization": judge_authorization(draft, spec.authorization),
            "external": judge_external(draft, spec.external, credential_fields(spec.api_key, spec.jwt)),
        }
    )
