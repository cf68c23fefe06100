//! The one table of errors that the gateway makes itself. Access log, metric label, response body and documentation use
//! the same stable code.

/// Where the fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Downstream,
    Upstream,
    /// The configuration, or the gateway itself.
    Internal,
}

macro_rules! errors {
    ($($variant:ident = $name:literal, $status:literal, $side:ident, $meaning:literal;)*) => {
        /// Why the gateway answered itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $meaning] $variant,)* }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Stable, `snake_case`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            pub const fn side(self) -> Side {
                match self { $(Self::$variant => Side::$side,)* }
            }

            /// One sentence for people; tells a client nothing about backends.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

errors! {
    BadRequest = "bad_request", 400, Downstream, "the request is malformed or ambiguous";
    MethodNotAllowed = "method_not_allowed", 405, Downstream, "this gateway does not open tunnels with CONNECT";
    RequestHeadTimeout = "request_head_timeout", 408, Downstream, "the request head did not arrive in time";
    RequestBodyTimeout = "request_body_timeout", 408, Downstream, "the request body did not arrive in time";
    BodyTooLarge = "body_too_large", 413, Downstream, "the request body is larger than the limit";
    TargetTooLong = "target_too_long", 414, Downstream, "the request target is longer than the limit";
    ExpectationFailed = "expectation_failed", 417, Downstream, "only Expect: 100-continue is understood";
    Misdirected = "misdirected", 421, Downstream, "the TLS handshake was for another host than the request";
    RateLimited = "rate_limited", 429, Downstream, "too many requests: a limit is reached";
    HeadersTooLarge = "headers_too_large", 431, Downstream, "the request head is larger than the limit";
    ClientGone = "client_gone", 499, Downstream, "the client went away before the response was complete";
    ResponseNotRead = "response_not_read", 499, Downstream, "the client did not take the response in time";
    NoListener = "no_listener", 404, Downstream, "no listener serves this host";
    NoRoute = "no_route", 404, Downstream, "no route matches this request";
    RuleInvalid = "rule_invalid", 500, Internal, "the route has a filter that cannot be honoured";
    PolicyInvalid = "policy_invalid", 500, Internal, "a policy that holds for this request cannot be honoured";
    Fault = "fault", 503, Internal, "a filter refuses some requests of this rule on purpose";
    BuffersFull = "buffers_full", 503, Internal, "the bodies of too many requests are being collected; try again later";
    Csrf = "csrf", 403, Downstream, "another site sent this request, and a policy refuses that";
    AuthBusy = "auth_busy", 503, Internal, "too many passwords are being verified";
    Unauthenticated = "unauthenticated", 401, Downstream, "a policy asks for credentials, and there are none that are valid";
    Forbidden = "forbidden", 403, Downstream, "a policy does not allow this request";
    AuthUnavailable = "auth_unavailable", 503, Internal, "nobody can say whether this request may pass; try again later";
    KeysUnavailable = "keys_unavailable", 503, Internal, "the keys that verify this token are not there yet; try again later";
    NoBackend = "no_backend", 500, Internal, "the rule has no backend";
    BackendInvalid = "backend_invalid", 500, Internal, "the backend does not exist, or a policy of it cannot be honoured";
    LoopDetected = "loop_detected", 508, Internal, "the route leads back to this gateway";
    UnsupportedTransferCoding = "unsupported_transfer_coding", 501, Downstream, "only the chunked transfer coding is understood";
    UnsupportedVersion = "unsupported_version", 505, Downstream, "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken";
    UpstreamConnect = "upstream_connect", 503, Upstream, "the backend does not accept connections";
    UpstreamConnectTimeout = "upstream_connect_timeout", 504, Upstream, "the backend did not accept a connection in time";
    UpstreamTls = "upstream_tls", 503, Upstream, "the TLS handshake with the backend failed";
    UpstreamReset = "upstream_reset", 502, Upstream, "the backend closed the connection before its response was complete";
    UpstreamProtocol = "upstream_protocol", 502, Upstream, "the backend's response is malformed";
    UpstreamHeadTooLarge = "upstream_head_too_large", 502, Upstream, "the head of the backend's response is larger than the limit";
    UpstreamNoUpgrade = "upstream_no_upgrade", 502, Upstream, "the backend does not switch to the protocol that was asked for";
    UpstreamTimeout = "upstream_timeout", 504, Upstream, "the backend did not respond in time";
    RequestTimeout = "request_timeout", 504, Upstream, "the request took longer than its route allows";
    NoEndpoint = "no_endpoint", 503, Upstream, "the backend has no ready endpoint";
    BackendOverloaded = "backend_overloaded", 503, Upstream, "the backend has as many requests as its policy allows";
    RetryBudget = "retry_budget", 503, Upstream, "the backend has got as many retries as its policy allows";
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn codes_are_unique() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
