//! HTTP rules: one `HTTPRoute` or `GRPCRoute` rule is one [`HttpRule`].

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `HTTPRoute.spec.rules[]` or `GRPCRoute.spec.rules[]`, validated and resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRule {
    /// `HTTPRoute/<namespace>/<name>/<rule index>`; likewise for `GRPCRoute`.
    pub id: String,
    /// `HTTPRoute/<namespace>/<name>`; likewise for `GRPCRoute`.
    pub route: String,
    /// `rules[].name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Precedence among routes: the older wins. Seconds since 1970; 0 where unknown.
    #[serde(default)]
    pub created: i64,
    /// Precedence among the rules of one route: the first wins.
    pub index: u32,
    /// Ids of listeners that the route is attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// Ids of attachments: the route is attached to their listeners too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// The route's own hostnames, lower case. Empty: any. They rank before everything else, unintersected.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// Never empty: the API's default is one `PathPrefix` `/`.
    pub matches: Vec<Match>,
    #[serde(default)]
    pub filters: Vec<Filter>,
    #[serde(default)]
    pub backends: Vec<WeightedBackend>,
    #[serde(default)]
    pub timeouts: Timeouts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The rule has a filter that cannot be honoured: every request that it wins gets 500.
    #[serde(default)]
    pub invalid: bool,
    /// The rule of a `GRPCRoute`: what the gateway itself answers is a gRPC status.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grpc: bool,
    /// Policy ids, of its route and itself, in the order in which they act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// All parts must hold (AND); the matches of a rule are alternatives (OR).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    pub path: PathMatch,
    /// Empty: any method.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Names are lower case and unique (the API says that only the first of equivalent names counts).
    #[serde(default)]
    pub headers: Vec<HeaderMatch>,
    #[serde(default)]
    pub query: Vec<QueryMatch>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type")]
pub enum PathMatch {
    Exact {
        value: String,
    },
    /// By segment; no trailing slash except `/` itself.
    PathPrefix {
        value: String,
    },
    /// RE2 syntax, matched against the whole path.
    RegularExpression {
        value: String,
    },
    /// `GRPCMethodMatch`: the path `/<service>/<method>`. An absent (or empty) part holds for any; each part is compared
    /// whole.
    GrpcMethod {
        #[serde(default)]
        kind: ValueMatchKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<String>,
    },
}

impl PathMatch {
    /// `http.route` of OpenTelemetry's conventions: what stands for all paths that it takes.
    pub fn template(&self) -> Cow<'_, str> {
        match self {
            Self::Exact { value } | Self::PathPrefix { value } | Self::RegularExpression { value } => {
                Cow::Borrowed(value)
            }
            Self::GrpcMethod { service, method, .. } => {
                let part =
                    |part: &Option<String>| part.as_deref().filter(|part| !part.is_empty()).unwrap_or("*").to_owned();
                Cow::Owned(format!("/{}/{}", part(service), part(method)))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValueMatchKind {
    #[default]
    Exact,
    RegularExpression,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    #[serde(default, rename = "type")]
    pub kind: ValueMatchKind,
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryMatch {
    #[serde(default, rename = "type")]
    pub kind: ValueMatchKind,
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderValue {
    pub name: String,
    #[serde(default)]
    pub value: String,
    /// What it comes to is the value, in place of `value`; where that is nothing there is no field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// Applied in the order set, add, remove; names compare case-insensitively.
/// `set` removes every field of that name and appends one; `add` appends one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderEdit {
    pub set: Vec<HeaderValue>,
    pub add: Vec<HeaderValue>,
    pub remove: Vec<String>,
}

/// In the order written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Filter {
    RequestHeaders(HeaderEdit),
    ResponseHeaders(HeaderEdit),
    Redirect(Redirect),
    Rewrite(Rewrite),
    ResponseRewrite(ResponseRewrite),
    Mirror {
        backend: String,
        percentage: Percentage,
        /// Of the copies; empty: that of the request.
        #[serde(default)]
        hostname: String,
        /// Copies have none.
        #[serde(default)]
        without_body: bool,
    },
    Cors(Cors),
    Respond(Respond),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", content = "value")]
pub enum PathModifier {
    ReplaceFullPath(String),
    ReplacePrefixMatch(String),
}

/// `HTTPFilter.spec.rewrite.path`: every place of the path where a pattern matches is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Substitution {
    /// RE2 syntax, searched for in the path.
    pub pattern: String,
    /// `\N` is what group N matched, `\0` all of it.
    pub replacement: String,
}

/// `HTTPRequestRedirectFilter`. An absent part is taken from the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    /// Absent: the well-known port of `scheme`, or the listener's where no scheme is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name of a header of the request whose value, where it is a host, is the hostname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    /// In place of `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitution: Option<Substitution>,
}

/// `HTTPFilter.spec.respond`: an answer in place of a backend's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    pub status: u16,
    /// Those of the body too.
    #[serde(default)]
    pub headers: Vec<HeaderValue>,
    #[serde(default)]
    pub body: String,
}

/// `HTTPFilter.spec.rewrite.response`: what a backend says of where it is, as its clients see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseRewrite {
    /// Of `Location` and `Refresh`; the first that fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub location: Vec<LocationRewrite>,
    /// Of `Set-Cookie`; the first that fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<CookieRewrite>,
}

/// What a `Location` begins with, and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationRewrite {
    pub prefix: String,
    pub replacement: String,
}

/// What becomes of the cookies of a response. An absent part stays as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CookieRewrite {
    /// Absent: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names compare without case and without a dot before them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<CookiePart>,
    /// `before` is what it begins with, and `value` stands in place of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<CookiePart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
    /// `Strict`, `Lax` or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_site: Option<String>,
}

/// An attribute of a cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CookiePart {
    /// Only where it is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it has then; empty: it has none.
    pub value: String,
}

/// `numerator` out of `denominator` requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percentage {
    pub numerator: u32,
    pub denominator: u32,
}

/// `HTTPCORSFilter` (GEP-1767).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// `*`, `https://www.example.com`, `https://*.example.com`, each with an optional port.
    #[serde(default)]
    pub allow_origins: Vec<String>,
    #[serde(default)]
    pub allow_credentials: bool,
    #[serde(default)]
    pub allow_methods: Vec<String>,
    #[serde(default)]
    pub allow_headers: Vec<String>,
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// Seconds.
    pub max_age: u32,
}

/// `sessionPersistence` (GEP-1619): requests of a client go to the endpoint that its first one went to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    pub carrier: SessionCarrier,
    /// After that a session begins anew; 0: never.
    #[serde(default)]
    pub absolute_timeout_ms: u64,
}

/// What keeps a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type")]
pub enum SessionCarrier {
    Cookie {
        name: String,
        path: String,
        /// Clients are told to keep it for as long as the session may last, else until they end.
        #[serde(default)]
        permanent: bool,
    },
    /// Clients send back what a response had. The name is lower case.
    Header { name: String },
}

/// One of `backendRefs[]`, in the order written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedBackend {
    /// Backend id; absent where the reference is invalid: its share of the requests gets 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    pub weight: u32,
    /// Filters of this backendRef: header edits, rewrite and mirrors, applied after the rule's own.
    #[serde(default)]
    pub filters: Vec<Filter>,
}

/// Milliseconds; 0 or absent: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    pub request_ms: u64,
    pub backend_request_ms: u64,
}

/// `HTTPRouteRetry` (GEP-1731). Connection errors are always retried while attempts remain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    #[serde(default)]
    pub codes: Vec<u16>,
    /// Retries after the first try; 0 means none.
    pub attempts: u32,
    pub backoff_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::PathMatch;

    #[test]
    fn routes_are_the_paths_of_matches() {
        for (json, expected) in [
            (r#"{"type": "Exact", "value": "/a"}"#, "/a"),
            (r#"{"type": "PathPrefix", "value": "/"}"#, "/"),
            (r#"{"type": "RegularExpression", "value": "/a/[0-9]+"}"#, "/a/[0-9]+"),
            (r#"{"type": "GrpcMethod", "service": "a.B", "method": "C"}"#, "/a.B/C"),
            (r#"{"type": "GrpcMethod", "service": "a.B"}"#, "/a.B/*"),
        ] {
            let path: PathMatch = serde_json::from_str(json).unwrap();
            assert_eq!(path.template(), expected);
        }
    }
}
