"""How the API server is asked: what a configuration says, and connections that are made with it.

Without the official client, which would be 20 MiB in every controller: it loads requests, oauthlib, pydantic and all
of itself beside it. Its loader of kubeconfigs is loaded where there is one (`credentials.from_kubeconfig`), and fills a
`Configuration`, whose fields therefore have its names.
"""

from __future__ import annotations

import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

import aiohttp

from ... import plain_file

#: Bytes that a stream may be ahead of whoever reads it: events of a watch exceed aiohttp's own buffer.
READ_BUFFER = 2 * 1024 * 1024
#: Bytes of a token, a certificate, a key or a CA: all that a Secret may have.
MAX_FILE = 1024 * 1024
#: Where a pod finds its token and the API server's CA.
TOKEN_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 (a path)
CA_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


class CredentialsError(Exception):
    """There are no credentials to ask with; the message says why."""


class NotInPodError(Exception):
    """This process is in no pod, or in one without a ServiceAccount; the message says what is missing."""


@dataclass(slots=True)
class Configuration:
    """What the API server is asked with.

    Attributes:
        host: URL of the API server.
        ssl_ca_cert: file with the CA of its certificate; None: the system's.
        cert_file, key_file: files with a client certificate; None: none.
        verify_ssl: whether its certificate is verified.
        tls_server_name: name that its certificate has to carry; None: that of the host.
        proxy: URL of a proxy; None: what the environment says.
        api_key: `BearerToken` with the value of the field `Authorization`.
        connection_pool_maxsize: connections at once.
    """

    host: str = "http://localhost"
    ssl_ca_cert: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify_ssl: bool = True
    tls_server_name: str | None = None
    proxy: str | None = None
    api_key: dict[str, str] = field(default_factory=dict)
    connection_pool_maxsize: int = 100


class Connections:
    """Connections to one API server, made with one configuration; only its token may change."""

    def __init__(self, configuration: Configuration) -> None:
        """Read the certificates; connections are made when they are needed.

        Raises:
            OSError: a file that cannot be read, or holds no certificate.
        """
        self.configuration = configuration
        self._tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            self._tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
        if not configuration.verify_ssl:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
        # Strict since Python 3.13: of authorities without the extensions that RFC 5280 asks for, which kubectl takes.
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        #: Looked up once: aiohttp looks into the environment and for a netrc file before each request.
        self._proxy = configuration.proxy or proxy_for(configuration.host)
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send a request; returns the beginning of the answer.

        Raises:
            aiohttp.ClientError, OSError, ValueError: it could not be sent, or was not answered in time.
        """
        configuration = self.configuration
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=configuration.connection_pool_maxsize, ssl=self._tls)
            self._session = aiohttp.ClientSession(connector=connector, read_bufsize=READ_BUFFER)
        token = configuration.api_key.get("BearerToken")
        return await self._session.request(
            method,
            f"{configuration.host}{path}",
            headers={**headers, "Authorization": token} if token else headers,
            data=body,
            timeout=limits,
            proxy=self._proxy,
            server_hostname=configuration.tls_server_name,
        )

    async def close(self) -> None:
        """Close all of them."""
        if self._session is not None:
            await self._session.close()


def proxy_for(url: str) -> str | None:
    """The proxy that the environment has for a URL (`HTTPS_PROXY`, `NO_PROXY`)."""
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies_environment().get(parts.scheme)


def read_pod(environment: dict[str, str], configuration: Configuration) -> None:
    """Fill a configuration with what a pod finds.

    Raises:
        NotInPodError: this process is in no pod, or what it needs is missing.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise NotInPodError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    try:
        token = plain_file.read(TOKEN_FILE, MAX_FILE, "token").decode()
        authority = plain_file.read(CA_FILE, MAX_FILE, "CA's certificate")
    except (OSError, ValueError) as error:
        raise NotInPodError(f"the pod has no ServiceAccount that can be used: {error}") from None
    for name, content in ((TOKEN_FILE, token.strip()), (CA_FILE, authority.strip())):
        if not content:
            raise NotInPodError(f"{name} is empty")
    configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    configuration.ssl_ca_cert = CA_FILE
    configuration.api_key["BearerToken"] = f"Bearer {token}"
