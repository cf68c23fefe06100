//! The `decide` contract: JSON in, JSON out (ARCHITECTURE.md).

use crate::ir::Transport;
use crate::path_normalization::PathNormalization;
use crate::policy::{ClientCertificate, Identity, Said};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;

/// Name and value pairs as JSON carries them.
pub type Headers = Vec<(String, String)>;

/// What a client of HTTP speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

/// A request to decide on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    pub bind_port: u16,
    #[serde(default, deserialize_with = "read_address")]
    pub address: Option<IpAddr>,
    #[serde(default)]
    pub sni: Option<String>,
    /// What the client speaks; `None`: what the socket does.
    #[serde(default)]
    pub scheme: Option<Scheme>,
    pub method: String,
    pub authority: String,
    pub target: String,
    #[serde(default)]
    pub path_normalization: PathNormalization,
    #[serde(default)]
    pub headers: Headers,
    #[serde(default)]
    pub entropy: u64,
    #[serde(default)]
    pub response: Option<Reply>,
    /// The address of who asks; absent: nobody can say.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// Who is taken to have proved who they are.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// What the listener validated of its connection.
    #[serde(default)]
    pub certificate: Option<ClientCertificate>,
}

/// Empty stands for the first socket of the port.
fn read_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom(format_args!("address: {text:?} is no IP address")))
}

/// A connection, or a client's datagrams, to decide on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Request {
    pub transport: Transport,
    pub bind_port: u16,
    #[serde(default, deserialize_with = "read_address")]
    pub address: Option<IpAddr>,
    /// The server name of the `ClientHello`.
    #[serde(default)]
    pub sni: Option<String>,
    #[serde(default)]
    pub entropy: u64,
    /// As of a request.
    #[serde(default)]
    pub from: Option<IpAddr>,
    #[serde(default)]
    pub certificate: Option<ClientCertificate>,
}

/// A response: the backend's sample, or what the gateway writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub status: u16,
    #[serde(default)]
    pub headers: Headers,
}

/// The request as it is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    pub method: String,
    pub authority: String,
    pub target: String,
    pub headers: Headers,
}

/// What happens to a request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub outcome: &'static str,
    pub status: u16,
    pub reason: &'static str,
    pub listener: Option<String>,
    pub rule: Option<String>,
    #[serde(rename = "match")]
    pub match_index: Option<u32>,
    pub backend: Option<usize>,
    pub endpoints: Vec<String>,
    pub request: Option<Message>,
    pub mirrors: Vec<String>,
    pub response: Option<Reply>,
    /// What policies said, up to the first that refuses.
    pub policies: Vec<Said>,
}

impl Decision {
    pub(super) fn respond(status: u16, reason: &'static str) -> Self {
        Self {
            outcome: "respond",
            status,
            reason,
            listener: None,
            rule: None,
            match_index: None,
            backend: None,
            endpoints: Vec::new(),
            request: None,
            mirrors: Vec::new(),
            response: Some(Reply { status, headers: Vec::new() }),
            policies: Vec::new(),
        }
    }

    pub(super) fn close(reason: &'static str) -> Self {
        Self { outcome: "close", response: None, ..Self::respond(0, reason) }
    }

    /// What policies add to every response.
    pub(super) fn with_appended(mut self, fields: Headers) -> Self {
        if let Some(response) = &mut self.response {
            response.headers.extend(fields);
        }
        self
    }

    pub(super) fn with_headers(mut self, headers: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        if let Some(response) = &mut self.response {
            response.headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, DecisionRequest, L4Request};
    use crate::samples::{merged, pairs};
    use serde_json::{Value, json};

    fn read(changes: Value) -> Result<DecisionRequest, String> {
        let request = json!({"bind_port": 80, "method": "GET", "authority": "a.test", "target": "/"});
        serde_json::from_value(merged(request, changes)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_one_or_nothing() {
        for (text, expected) in [
            ("", Ok(None)),
            ("127.0.0.1", Ok(Some("127.0.0.1"))),
            ("::1", Ok(Some("::1"))),
            ("a.test", Err("address: \"a.test\" is no IP address")),
            ("127.0.0.1:80", Err("address: \"127.0.0.1:80\" is no IP address")),
        ] {
            let expected = expected.map(|address| address.map(|it| it.parse().unwrap())).map_err(str::to_owned);
            assert_eq!(read(json!({"address": text})).map(|request| request.address), expected, "{text}");
            let flow = json!({"transport": "tcp", "bind_port": 80, "address": text});
            let flow = serde_json::from_value::<L4Request>(flow).map_err(|error| error.to_string());
            assert_eq!(flow.map(|flow| flow.address), expected, "{text}");
        }
    }

    /// What is misspelt would otherwise be asked about something else.
    #[test]
    fn what_is_unknown_is_refused_and_what_is_missing_named() {
        for (changes, expected) in [
            (json!({"header": []}), "unknown field `header`"),
            (json!({"response": {"status": 200, "body": ""}}), "unknown field `body`"),
            (json!({"certificate": {"dns": []}}), "unknown field `dns`"),
            (json!({"scheme": "ftp"}), "unknown variant `ftp`"),
            (json!({"bind_port": 65536}), "65536"),
            (json!({"entropy": -1}), "-1"),
        ] {
            let error = read(changes.clone()).unwrap_err();
            assert!(error.contains(expected), "{changes}: {error}");
        }
        for name in ["bind_port", "method", "authority", "target"] {
            let mut request = json!({"bind_port": 80, "method": "GET", "authority": "a.test", "target": "/"});
            request.as_object_mut().unwrap().remove(name);
            let error = serde_json::from_value::<DecisionRequest>(request).unwrap_err().to_string();
            assert_eq!(error, format!("missing field `{name}`"));
        }
    }

    /// All members are there, whatever was decided: readers need not ask which.
    #[test]
    fn a_decision_as_it_is_written() {
        let blank = json!({"listener": null, "rule": null, "match": null, "backend": null, "endpoints": [], "request": null,
            "mirrors": [], "policies": []});
        let respond = json!({"outcome": "respond", "status": 404, "reason": "no_route", "response": {"status": 404, "headers": []}});
        let close = json!({"outcome": "close", "status": 0, "reason": "no_listener", "response": null});
        for (decision, expected) in
            [(Decision::respond(404, "no_route"), respond), (Decision::close("no_listener"), close)]
        {
            assert_eq!(serde_json::to_value(decision).unwrap(), merged(blank.clone(), expected));
        }
        let found = Decision { match_index: Some(3), ..Decision::close("") };
        assert_eq!(serde_json::to_value(found).unwrap()["match"], json!(3));
    }

    /// Whatever has no answer keeps none.
    #[test]
    fn fields_of_answers() {
        let more = || pairs(&[("x-b", "2")]);
        let answer = Decision::respond(200, "").with_headers([("x-a", "1".to_owned())]).with_appended(more());
        assert_eq!(answer.response.unwrap().headers, pairs(&[("x-a", "1"), ("x-b", "2")]));
        let replaced = Decision::respond(200, "").with_appended(more()).with_headers([("x-a", "1".to_owned())]);
        assert_eq!(replaced.response.unwrap().headers, pairs(&[("x-a", "1")]));
        let closed = Decision::close("").with_headers([("x-a", "1".to_owned())]).with_appended(more());
        assert_eq!(closed.response, None);
    }
}
