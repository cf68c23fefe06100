"""What each rule of a SARIF log is about: codes of diagnostics, and fates of a migration.

Ids are those of `--output json`. A test holds the sentences of codes against `docs/diagnostics.md`, which has the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluicegate.controller.api import Code

if TYPE_CHECKING:  # what no diagnostic needs is not loaded for `check`
    from sluicegate.controller.ingress import Fate

_PAGES = "https://github.com/sluicegate/sluicegate/blob/main/docs"

#: An answer that `migrate --verify` found to differ.
DIFFERENT_ANSWER = "different-answer"

#: What each code says.
CODES: dict[Code, str] = {
    # While reading.
    "unreadable": (
        "a file, or a part of it, that cannot be read: no YAML or JSON, no UTF-8, too large, no permission, not there"
    ),
    "emptied": "a file that had objects and is empty: most likely somebody is about to write it",
    "duplicate": "an object that is written twice; the one in use stays, at the start the first one",
    "invalid": "a value that the gateway cannot use, where the schema has nothing to say",
    "schema": "what the API server refuses: a wrong type, a field that is missing, a value that is not allowed",
    "rule": "what the API server refuses: a rule of the CRD in CEL, or a rule of Kubernetes for its own kinds",
    "unknown-field": (
        "a field that the API server drops with a warning, and `kubectl apply` refuses; `serve` refuses a "
        "policy that has one in its `spec`"
    ),
    "unknown-kind": "a kind that its group does not have: most likely misspelt",
    "unknown-version": "a version that a kind does not have",
    "unread-kind": (
        "an object that the gateway does not read, where its author may expect that it does: `v1` Endpoints, "
        "an Ingress, the Gateway API's old and experimental groups, policies of other controllers for its "
        "objects"
    ),
    "other-file": (
        "a file of another program beside manifests: `values.yaml` or `Chart.yaml` of Helm, a Compose file, "
        "`package.json` and their like; below `migrate --output-dir` a manifest that the run did not write"
    ),
    "no-objects": (
        "a path that was given has nothing for the gateway: no manifest at all (`error`), or only kinds of others"
    ),
    "not-verified": "`migrate --verify` for a controller of which there is no model: nothing was compared",
    "fault": "a fault of the gateway met by one object: please report it",
    # Gateways, listeners and what they refer to.
    "class-missing": "the GatewayClass is gone, and the Gateway is served as it was",
    "foreign-class": "the GatewayClass does not exist, or is another controller's",
    "invalid-parameters": "`parametersRef` leads nowhere, or to parameters that cannot be used",
    "unsupported-address": "an address of a type or routability that is not supported",
    "unusable-address": "an address that is not an IP address",
    "address-taken": "the pool has given the address to another Gateway",
    "no-address-left": "the pool has no address left for the Gateway",
    "port-unavailable": "a port outside of 1 to 65535, with the offset",
    "bind-failed": "the system refuses the port or the address",
    "duplicate-name": "two listeners of one name",
    "listener-conflict": "another listener has the port, with another protocol or the same hostname",
    "listener-filter": "a filter of a listener that cannot be honoured",
    "listener-set-not-allowed": "the Gateway does not take this ListenerSet",
    "invalid-route-kind": "`allowedRoutes.kinds` has a kind that the listener's protocol does not serve",
    "unsupported-protocol": "a protocol of a listener, or of a Service's port, that is not supported",
    "hostname-ignored": "a hostname of a listener whose protocol has none",
    "tls-ignored": "TLS settings that the listener has no use for",
    "options-ignored": "options that no implementation knows",
    "client-validation-ignored": "validation of clients for a TLS listener that does not ask for it",
    "invalid-certificate-ref": "a certificate that does not exist or cannot be used",
    "invalid-ca-certificate-ref": "a bundle of CA certificates that does not exist or cannot be used",
    "secret-type": "a Secret with a certificate that is not of type `kubernetes.io/tls`",
    "certificate-name": "a certificate that does not name the listener's hostname",
    "certificate-expires": "a certificate that expires within 14 days",
    "certificate-expired": "a certificate that has expired",
    "certificate-not-yet-valid": "a certificate whose time has not come",
    # Routes and backends.
    "no-parent": "a route without `parentRefs`",
    "foreign-parent": "a parent that this controller does not serve",
    "no-matching-parent": "the Gateway has no listener of that `sectionName` and port",
    "not-allowed-by-listeners": "no listener takes routes of this namespace and kind",
    "no-matching-listener-hostname": "no hostname of the route is one of a listener",
    "invalid-hostname": "a hostname that is none",
    "incompatible-filters": "filters that exclude each other",
    "unsupported-value": "a value that is not supported, or makes no sense",
    "unsupported-field": "a field that the gateway does not honour",
    "managed-header": "an edit of a header that is the gateway's own",
    "repeated-header": "a header with two actions",
    "retry-not-repeatable": "retries for requests that must not be sent twice",
    "unreachable-rule": "a rule behind one that takes everything",
    "shadowed-route": (
        "a route, a match or a hostname of one, that gets nothing (`info`: not all), because another one, or "
        "a listener with a more specific hostname, comes first"
    ),
    "over-budget": (
        "a route that would cost a data plane more than one route may, or than its namespace may have (settings)"
    ),
    "no-backends": "a rule without backends",
    "no-weight": "a rule whose backends all have weight 0",
    "unused-backends": "backends of a rule that redirects",
    "invalid-kind": (
        "a backend or a filter of a kind, or a Service of a type, that cannot be one; a Secret or ConfigMap "
        "of a filter without what is needed of it"
    ),
    "filter-ref-not-found": "an HTTPFilter, or the Secret or ConfigMap that it names, is not there",
    "backend-not-found": "a Service, or a port of it, that does not exist",
    "ref-not-permitted": "a reference into another namespace without a ReferenceGrant",
    "no-endpoints": "a Service without endpoints",
    "invalid-endpoint": (
        "an endpoint that is not an IP address, or a port of an EndpointSlice that is none or has another "
        "protocol than the Service"
    ),
    "unsupported-addresses": "an EndpointSlice with names in place of addresses",
    "plain-text-to-tls-port": "a port that says TLS and gets plain text",
    "path-normalization": 'a path that no request has with `path_normalization = "off"`',
    "unused-object": "an HTTPFilter, a RequestHeaderFilter or GatewayParameters that nothing refers to",
    # Policies.
    "invalid-policy": "a policy that cannot be honoured",
    "target-not-found": "the target of a policy does not exist",
    "policy-conflict": "an older policy has the target",
    "unused-policy": "nothing leads to the target of a policy",
    "policy-part-unused": "a part of a policy means nothing for one of its targets, such as `body` for connections",
    "not-traced": "a part of a policy or of an HTTPFilter is about traces, and no XTelemetryPolicy has any made there",
    "shorter-timeout": "a timeout of a route that never comes, because a ClientPolicy gives requests there less time",
    "no-client-validation": "a part of a policy asks for a certificate where none of a client is validated",
    "no-credential": "a part of a policy is about who asks, where no policy has a credential that says so",
    "policy-ref-not-found": "a Secret or ConfigMap that a policy refers to is not there",
    "invalid-policy-ref": "a Secret or ConfigMap that a policy refers to is not what it should be",
    "weak-credential": "a password hash or an API key of a policy that can be guessed, or a key that two clients have",
    "unusable-key": "a key of a JWK Set that verifies nothing; the others of the set do",
    "denies-without-asking": (
        "a rule that denies by a header field or a claim does not ask whether there is one, so it refuses "
        "everybody without it"
    ),
    "trusts-everybody": (
        "what says which proxies are trusted says everybody: any client can say that it has any address"
    ),
    "foreign-policy": (
        "a policy of another controller, or of a kind that the gateway does not honour, for something of "
        "these manifests"
    ),
    "ancestor-limit": "a policy holds for more Gateways than its status has room for (16); it holds for all of them",
    # Ingresses that are served (`--ingress`).
    "ingress-loss": (
        "an annotation or a field of an Ingress that does not hold: there is nothing like it, or it is wrong "
        "as it stands; or an Ingress that is not served"
    ),
    "ingress-difference": "what an Ingress asks for holds, and not quite as it did",
    # What the gateway does about it.
    "held": (
        "a fault of the gateway met by one object, which is held at its last good version, or, a policy "
        "without one, closed: please report it"
    ),
    "refused": "the engine refuses the configuration and serves on with the one before: please report it",
}

#: What each fate says, and what is to be done. `invalid` is a code as well, and says the same of both.
FATES: dict[Fate, str] = {
    "no-equivalent": (
        "What an Ingress asks for has nothing like it here, and does not hold any more. The message says what to write "
        "instead, where there is something."
    ),
    "invalid": CODES["invalid"],
    "unknown-annotation": (
        "The controller that the Ingress was written for does not know this annotation, so it never did anything. "
        "Take it out, or write the name that was meant."
    ),
    "converted-with-difference": (
        "What an Ingress asks for holds, and not quite as it did. See whether the clients of its hosts mind."
    ),
    "dropped-harmless": "It is not carried over, and nothing is lost by that.",
    "converted": "It says the same in the manifests that were made.",
}

#: What each rule says, by its id.
RULES: dict[str, str] = {
    **{str(name): text for name, text in CODES.items()},
    **{str(name): text for name, text in FATES.items()},
    DIFFERENT_ANSWER: (
        "A request that the model of the Ingress's controller answers otherwise than the manifests that were made. "
        "A note: the report names the reason. An error: nothing names it; please report it."
    ),
}


def rule(name: str) -> dict[str, Any]:
    """The rule of a SARIF log (`reportingDescriptor`, SARIF 2.1.0 section 3.49).

    Args:
        name: a code, a fate or `DIFFERENT_ANSWER`.

    Raises:
        KeyError: it is none of these.
    """
    text = RULES[name]
    page = "diagnostics.md" if name in CODES else "migration.md"
    sentence = f"{text[0].upper()}{text[1:]}"
    return {
        "id": name,
        "shortDescription": {"text": sentence},
        "help": {"text": f"{sentence}{'' if sentence.endswith('.') else '.'} See docs/{page}."},
        "helpUri": f"{_PAGES}/{page}",
    }
