//! `AccessPolicy`: who may. What asks nobody else; `access_remote.rs` has what does.

use super::{Need, SubjectAltName};
use serde::{Deserialize, Serialize};

/// `AccessPolicy.spec.exempt`: whom no credentials are asked of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessExempt {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// CIDR blocks; empty: from anywhere.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Empty: any.
    #[serde(default)]
    pub methods: Vec<String>,
    /// An expression; empty: any.
    #[serde(default)]
    pub when: String,
}

super::stanza!(AccessExempt of "AccessPolicy", "exempt", [Listener, HttpRule], tightens: false);

/// `AccessPolicy.spec.certificate`: a client proves itself by the certificate of its connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessCertificate {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Requests without any credential go on, as nobody's.
    #[serde(default)]
    pub optional: bool,
    /// One of these has to be in the certificate; empty: any will do.
    #[serde(default)]
    pub subject_alt_names: Vec<SubjectAltName>,
    /// Field that tells the backend the user; empty: none.
    #[serde(default)]
    pub forward_header: String,
}

super::stanza!(AccessCertificate of "AccessPolicy", "certificate", [Listener, HttpRule, L4Rule], tightens: false, {
    fn owned_fields(&self) -> Vec<&str> {
        owned(&self.forward_header)
    }
});

/// Where an API key stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum KeySource {
    Header {
        name: String,
        /// What stands before the key, such as `Bearer `.
        #[serde(default)]
        prefix: String,
    },
    Query {
        name: String,
    },
    Cookie {
        name: String,
    },
}

/// `AccessPolicy.spec.apiKey`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessApiKey {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    #[serde(default)]
    pub optional: bool,
    /// Id of the secret with the keys: a line each, the SHA-256 of the key in hexadecimal, a space, the client.
    #[serde(default)]
    pub keys: String,
    #[serde(default)]
    pub from: Vec<KeySource>,
    /// Of the challenge.
    #[serde(default)]
    pub realm: String,
    #[serde(default)]
    pub forward_header: String,
    /// The key goes on to the backend.
    #[serde(default)]
    pub keep: bool,
}

super::stanza!(AccessApiKey of "AccessPolicy", "apiKey", [Listener, HttpRule], tightens: false, {
    fn needs(&self) -> Vec<Need<'_>> {
        secret(&self.keys)
    }

    fn owned_fields(&self) -> Vec<&str> {
        owned(&self.forward_header)
    }

    fn credential_fields(&self) -> Vec<&str> {
        credentials(&self.from)
    }
});

/// `AccessPolicy.spec.basic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessBasic {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    #[serde(default)]
    pub optional: bool,
    /// Id of the secret with the users: lines of an htpasswd file.
    #[serde(default)]
    pub users: String,
    #[serde(default)]
    pub realm: String,
    #[serde(default)]
    pub forward_header: String,
    /// `Authorization` goes on to the backend.
    #[serde(default)]
    pub keep: bool,
}

super::stanza!(AccessBasic of "AccessPolicy", "basic", [Listener, HttpRule], tightens: false, {
    fn needs(&self) -> Vec<Need<'_>> {
        secret(&self.users)
    }

    fn owned_fields(&self) -> Vec<&str> {
        owned(&self.forward_header)
    }

    fn credential_fields(&self) -> Vec<&str> {
        vec!["authorization"]
    }
});

/// `AccessPolicy.spec.csrf`: no other site may make a browser change anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessCsrf {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Origins besides the site itself, such as `https://admin.example.com`; `*.` stands for one or more labels.
    #[serde(default)]
    pub trusted_origins: Vec<String>,
}

super::stanza!(AccessCsrf of "AccessPolicy", "csrf", [Listener, HttpRule], tightens: false);

/// A named thing with values, of which one is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedValues {
    pub name: String,
    pub values: Vec<String>,
}

/// One of `AccessPolicy.spec.authorization.rules`: all that is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    #[serde(default)]
    pub name: String,
    /// It refuses; otherwise it allows.
    #[serde(default)]
    pub deny: bool,
    #[serde(default)]
    pub clients: Vec<String>,
    #[serde(default)]
    pub methods: Vec<String>,
    #[serde(default)]
    pub headers: Vec<NamedValues>,
    #[serde(default)]
    pub users: Vec<String>,
    #[serde(default)]
    pub claims: Vec<NamedValues>,
    #[serde(default)]
    pub scopes: Vec<String>,
    #[serde(default)]
    pub when: String,
}

/// `AccessPolicy.spec.authorization`: the first rule that holds decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessAuthorization {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    #[serde(default)]
    pub rules: Vec<AccessRule>,
    /// What no rule decides is allowed.
    #[serde(default)]
    pub default_allow: bool,
}

super::stanza!(AccessAuthorization of "AccessPolicy", "authorization", [Listener, HttpRule, L4Rule], tightens: true);

fn owned(header: &str) -> Vec<&str> {
    if header.is_empty() { Vec::new() } else { vec![header] }
}

/// The fields of a head in which credentials may stand.
pub(super) fn credentials(from: &[KeySource]) -> Vec<&str> {
    fn field(source: &KeySource) -> Option<&str> {
        match source {
            KeySource::Header { name, .. } => Some(name),
            KeySource::Cookie { .. } => Some("cookie"),
            KeySource::Query { .. } => None,
        }
    }
    from.iter().filter_map(field).collect()
}

fn secret(id: &str) -> Vec<Need<'_>> {
    if id.is_empty() { Vec::new() } else { vec![Need::Secret(id)] }
}
