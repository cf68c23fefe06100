"""How the cookie is written that keeps a session (`BackendPolicy.sessionCookie`)."""

from __future__ import annotations

import enum

from ..base import Base, Unsigned64


class SameSite(enum.Enum):
    """With which requests of other sites a cookie comes; `UNSET`: nothing is said, so as browsers have it."""

    STRICT = "Strict"
    LAX = "Lax"
    NONE = "None"
    UNSET = "Unset"


class CookieSecure(enum.Enum):
    """Whether a cookie comes over TLS alone; `OVER_TLS`: where the client came by TLS."""

    OVER_TLS = "OverTls"
    ALWAYS = "Always"
    NEVER = "Never"


class SessionCookieAttributes(Base, frozen=True, kw_only=True):
    """Attributes that `sessionPersistence` does not say; the defaults are those of GEP-1619.

    Attributes:
        domain: lower case; empty: the host that was asked, and no other.
        same_site, secure: when browsers send it.
        http_only: scripts of a page do not see it.
        max_age_seconds: how long browsers keep it; 0: as `sessionPersistence` says.
        keeps_endpoint: a client whose endpoint does badly goes elsewhere for that long, and is told nothing of it.
        spans_backends: a client stays with the backend of its session, whatever the weights of the rule.
    """

    domain: str = ""
    same_site: SameSite = SameSite.STRICT
    secure: CookieSecure = CookieSecure.OVER_TLS
    http_only: bool = True
    max_age_seconds: Unsigned64 = 0
    keeps_endpoint: bool = False
    spans_backends: bool = False
