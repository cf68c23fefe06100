"""Which versions of the Gateway API are supported: the condition `SupportedVersion` of a GatewayClass.

The installed version is an annotation of the CRDs; that of classes stands for all, since they are installed as one
bundle. Another version is served as well as may be (`Accepted` stays True), and the condition says what to install.
Source: `GatewayClassConditionStatusSupportedVersion` and `pkg/consts` of sigs.k8s.io/gateway-api v1.7.0.
"""

from __future__ import annotations

import re

from ..api import CLASS_CRD
from ..store.snapshot import Snapshot
from .conditions import Reason
from .status import Verdict

VERSION_ANNOTATION = "gateway.networking.k8s.io/bundle-version"
#: Minor versions, of which any release is supported.
SUPPORTED = ("v1.6", "v1.7")
_RELEASE = re.compile(r"(v\d+\.\d+)\.\d+")
_INSTALL = (
    'kubectl apply --server-side -k "https://github.com/kubernetes-sigs/gateway-api/config/crd/experimental?ref=v1.7.0"'
)


def version_verdict(snapshot: Snapshot) -> Verdict | None:
    """Judge the installed version of the Gateway API; None where no CRD tells it, as without a cluster."""
    found = snapshot.table("CustomResourceDefinition").get(("", CLASS_CRD))
    if found is None:
        return None
    version = found.metadata.annotations.get(VERSION_ANNOTATION, "")
    release = _RELEASE.fullmatch(version)
    if release is not None and release[1] in SUPPORTED:
        return Verdict(True, Reason.SUPPORTED_VERSION, f"Version {version} of the Gateway API is supported")
    what = f"of version {version}" if version else f"of no known version (without annotation {VERSION_ANNOTATION})"
    known = " and ".join(f"{item}.x" for item in SUPPORTED)
    message = f"The CRDs of the Gateway API are {what}; supported are {known}: {_INSTALL}"
    return Verdict(False, Reason.UNSUPPORTED_VERSION, message)
