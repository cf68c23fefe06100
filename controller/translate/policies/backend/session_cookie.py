"""`BackendPolicy.spec.sessionCookie`: how the cookie is written that keeps sessions with a Service."""

from __future__ import annotations

from sluicegate import ir

from ...values import hostname_error
from .choice import judge_choice
from .draft import BackendDraft

_SAME_SITE = {item.value: item for item in ir.SameSite}
_SECURE = {"OverTLS": ir.CookieSecure.OVER_TLS, "Always": ir.CookieSecure.ALWAYS, "Never": ir.CookieSecure.NEVER}
#: Browsers keep a cookie no longer than 400 days (RFC 6265bis section 5.5).
MAX_AGE_SECONDS = 400 * 24 * 3600


def judge_session_cookie(draft: BackendDraft) -> ir.SessionCookieAttributes | None:
    """The attributes; None: as GEP-1619 has them."""
    said, field = draft.policy.spec.session_cookie, "sessionCookie"
    if said is None:
        return None
    domain = said.domain.lower().removeprefix(".")
    error = hostname_error(domain, wildcard=False) if said.domain else None
    if error is not None:
        draft.refuse(f"{field}.domain", f"{said.domain!r} {error}", "use a domain such as example.com")
    if said.same_site not in _SAME_SITE:
        known = ", ".join(_SAME_SITE)
        draft.refuse(f"{field}.sameSite", f"SameSite {said.same_site} is not known", f"use one of {known}")
    if said.secure not in _SECURE:
        draft.refuse(f"{field}.secure", f"{said.secure} is not known", f"use one of {', '.join(_SECURE)}")
    if (said.same_site, said.secure) == ("None", "Never"):
        message = "browsers take a cookie with SameSite None only where it is Secure"
        draft.refuse(f"{field}.secure", message, "use OverTLS or Always, or another sameSite")
    return ir.SessionCookieAttributes(
        domain=domain,
        same_site=_SAME_SITE.get(said.same_site, ir.SameSite.STRICT),
        secure=_SECURE.get(said.secure, ir.CookieSecure.OVER_TLS),
        http_only=said.http_only,
        max_age_seconds=_max_age(draft, said.max_age, f"{field}.maxAge"),
        keeps_endpoint=judge_choice(draft, said.on_failure, f"{field}.onFailure", "Move", "Keep"),
        spans_backends=judge_choice(draft, said.backends, f"{field}.backends", "ByWeight", "Sticky"),
    )


def _max_age(draft: BackendDraft, value: str | None, field: str) -> int:
    milliseconds = draft.duration(value, field)
    seconds = milliseconds // 1000
    if milliseconds % 1000 or seconds > MAX_AGE_SECONDS:
        message = f"{value} is no whole number of seconds up to {MAX_AGE_SECONDS // 3600}h"
        draft.refuse(field, message, "use a value such as 12h")
    return seconds
