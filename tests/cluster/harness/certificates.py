"""Keys and certificates of the cluster, and kubeconfigs made of them."""

from __future__ import annotations

import base64
import json
import subprocess

from .network import NODE_ADDRESS
from .paths import PKI, RUN

_SERVER_NAMES = (
    f"IP:127.0.0.1,IP:{NODE_ADDRESS},IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
    "DNS:localhost"
)


def make() -> None:
    """Make everything anew."""
    PKI.mkdir(parents=True)
    _key("ca")
    _openssl(
        "req", "-x509", "-new", "-key", PKI / "ca.key", "-subj", "/CN=test-ca", "-days", "30", "-out", PKI / "ca.crt"
    )
    _openssl("genrsa", "-out", PKI / "sa.key", "2048")
    _openssl("rsa", "-in", PKI / "sa.key", "-pubout", "-out", PKI / "sa.pub")
    _certificate("apiserver", "/CN=kube-apiserver", _SERVER_NAMES, "serverAuth")
    _certificate("admin", "/O=system:masters/CN=admin")
    _certificate(
        "kubelet", "/O=system:nodes/CN=system:node:node", f"IP:{NODE_ADDRESS},DNS:node", "clientAuth,serverAuth"
    )
    _certificate("kubeletclient", "/O=system:masters/CN=apiserver-kubelet-client")
    for user in ("admin", "kubelet"):
        _kubeconfig(user)


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _key(name: str) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", PKI / f"{name}.key")


def _certificate(name: str, subject: str, names: str = "", usage: str = "clientAuth") -> None:
    _key(name)
    request, extensions = PKI / f"{name}.csr", PKI / f"{name}.ext"
    _openssl("req", "-new", "-key", PKI / f"{name}.key", "-subj", subject, "-out", request)
    extensions.write_text(f"extendedKeyUsage={usage}\n" + (f"subjectAltName={names}\n" if names else ""))
    authority = ("-CA", PKI / "ca.crt", "-CAkey", PKI / "ca.key", "-CAcreateserial")
    _openssl(
        *("x509", "-req", "-in", request, *authority, "-days", "30", "-extfile", extensions),
        *("-out", PKI / f"{name}.crt"),
    )


def _kubeconfig(user: str) -> None:
    def text(name: str) -> str:
        return base64.b64encode((PKI / name).read_bytes()).decode()

    cluster = {"server": f"https://{NODE_ADDRESS}:6443", "certificate-authority-data": text("ca.crt")}
    credentials = {"client-certificate-data": text(f"{user}.crt"), "client-key-data": text(f"{user}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cluster",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": user}}],
    }
    (RUN / f"{user}.kubeconfig").write_text(json.dumps(document))
