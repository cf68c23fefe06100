"""AccessPolicy (`sluicegate.dev/v1alpha1`): who may. Stanzas that ask somebody else are in `access_remote`."""

from __future__ import annotations

from msgspec import field

from .access_remote import ExternalStanza, JwtStanza, KeySource
from .meta import Model, Object
from .policy import PolicySpec, PolicyStanza, SubjectAltName

#: `mode` of credentials of which none need be there; otherwise one has to be, of this kind or of another that is set.
OPTIONAL = "Optional"


class ForwardUser(Model, frozen=True, kw_only=True):
    """`forward`: how the backend is told who asks."""

    header: str = ""


class KeyReference(Model, frozen=True, kw_only=True):
    """`secretRef`: a Secret of the policy's namespace; `key`: one of its keys, empty for the usual ones."""

    name: str
    key: str = ""


class ExemptStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.exempt`: whom no credentials are asked of."""

    clients: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    when: str = ""


class CertificateStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.certificate`: the client's certificate, as its listener validated it."""

    mode: str = "Required"
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    forward: ForwardUser = ForwardUser()


class ApiKeyStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.apiKey`: Secrets whose keys are clients, and whose values are their API keys."""

    mode: str = "Required"
    secret_refs: tuple[KeyReference, ...] = ()
    from_: tuple[KeySource, ...] = field(name="from", default=(KeySource(header="X-API-Key"),))
    realm: str = ""
    forward: ForwardUser = ForwardUser()
    keep: bool = False


class BasicStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.basic`: users and hashes of their passwords, in a Secret with an htpasswd file.

    `users`: File, or Keys: each key of the Secret is a user, its value the hash.
    """

    mode: str = "Required"
    secret_ref: KeyReference | None = None
    users: str = "File"
    realm: str = ""
    forward: ForwardUser = ForwardUser()
    keep: bool = False


class CsrfStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.csrf`: no other site may make a browser change anything."""

    trusted_origins: tuple[str, ...] = ()


class NamedValues(Model, frozen=True, kw_only=True):
    """A header field or a claim, and the values of which one is asked for."""

    name: str
    values: tuple[str, ...] = ()


class AccessRule(Model, frozen=True, kw_only=True):
    """`spec.authorization.rules[]`: all that is given has to hold."""

    name: str = ""
    action: str = "Allow"
    clients: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[NamedValues, ...] = ()
    users: tuple[str, ...] = ()
    claims: tuple[NamedValues, ...] = ()
    scopes: tuple[str, ...] = ()
    when: str = ""


class AuthorizationStanza(PolicyStanza, frozen=True, kw_only=True):
    """`spec.authorization`: the first rule that holds decides."""

    rules: tuple[AccessRule, ...] = ()
    default: str = "Deny"


class AccessPolicySpec(PolicySpec, frozen=True, kw_only=True):
    """`AccessPolicy.spec`."""

    exempt: ExemptStanza | None = None
    certificate: CertificateStanza | None = None
    api_key: ApiKeyStanza | None = None
    jwt: JwtStanza | None = None
    basic: BasicStanza | None = None
    csrf: CsrfStanza | None = None
    authorization: AuthorizationStanza | None = None
    external: ExternalStanza | None = None


class AccessPolicy(Object, frozen=True, kw_only=True):
    """Who may send requests to Gateways, ListenerSets and routes."""

    spec: AccessPolicySpec
