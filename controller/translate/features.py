"""The features that the GatewayClass publishes: only what the gateway does and tests.

Names: `pkg/features` of sigs.k8s.io/gateway-api v1.7.0, and those of v1.6.3 that it renamed. Mesh features are none of
a gateway. `GatewayListenerFilters` is left out: rules MUST be matched after the last filter of a listener
(`ListenerFilters.requests`), and `fault`, `buffer` and `respond` of an HTTPFilter act once the rule is known.
"""

from __future__ import annotations

from .status import Feature

_ALWAYS = (
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "ClusterTrustBundle",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
)
#: Features of data planes that are provisioned for Gateways.
_PROVISIONED = ("GatewayAddressRoutability", "GatewayAddressRoutabilityCluster", "GatewayInfrastructure")


def supported_features(*, provisioned: bool) -> tuple[Feature, ...]:
    """Features of a class, sorted as `GatewayClassStatus.supportedFeatures` wants it.

    Args:
        provisioned: data planes are provisioned for Gateways.
    """
    return tuple(Feature(name=name) for name in sorted((*_ALWAYS, *(_PROVISIONED if provisioned else ()))))
