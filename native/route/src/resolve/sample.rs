//! What policies and expressions see of a request that is only decided on. Nobody here is a proxy whose word counts.

use super::Request;
use super::contract::DecisionRequest;
use super::whence::{Origin, Whence};
use crate::policy::{Facts, SentHead};
use crate::table::{Listener, RequestHead, Rule};
use codec::{Field, Framing};

impl Whence for DecisionRequest {
    fn origin<'f>(
        &'f self,
        listener: &Listener,
        _: &[Field<'f>],
        authority: &'f [u8],
        list: &'f mut Vec<u8>,
    ) -> Origin<'f> {
        let mut addresses = None;
        if let Some(address) = self.from {
            *list = address.to_canonical().to_string().into_bytes();
            addresses = Some(list.as_slice());
        }
        Origin { addresses, scheme: listener.ir.protocol.scheme().as_bytes(), host: authority }
    }
}

/// What is known of it. `told`: its fields as a backend is told them; `rule`: the one that takes it, if one does.
pub(super) fn facts<'r>(
    request: &'r DecisionRequest,
    (asked, framing): (&Request<'r>, Framing),
    listener: &'r Listener,
    rule: Option<&'r Rule>,
    head: &RequestHead<'r>,
    told: Option<&'r [Field<'r>]>,
) -> Facts<'r> {
    Facts {
        address: request.from.map(|address| address.to_canonical()),
        method: head.method,
        scheme: listener.ir.protocol.scheme(),
        host: head.host,
        authority: head.authority,
        path: head.path,
        query: head.query,
        fields: head.fields,
        told,
        sent: SentHead { fields: asked.fields, taken_out: asked.taken_out, authority: head.authority },
        sni: asked.sni,
        listener: listener.id(),
        route: rule.map_or("", |rule| &rule.ir.route),
        rule: rule.map_or("", |rule| &rule.ir.id),
        rule_uid: rule.map_or(0, |rule| rule.uid),
        grpc: rule.is_some_and(|rule| rule.ir.grpc),
        body_length: match framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        },
        certificate: request.certificate.as_ref(),
        assumed: request.identity.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::facts;
    use crate::resolve::{Question, Request, Whence};
    use crate::samples::{Somewhere, fields, head, listener, merged, question, rule, table};
    use codec::Framing;
    use serde_json::{Value, json};

    fn asked(changes: Value) -> super::DecisionRequest {
        let request = json!({"bind_port": 80, "method": "GET", "authority": "A.test:80", "target": "/"});
        match question(merged(request, changes)) {
            Question::Http(request) => request,
            Question::L4(_) => panic!("no request"),
        }
    }

    /// Of a request that is only decided on its asker says the address, and nobody else's word counts.
    #[test]
    fn where_it_comes_from() {
        let tls = json!({"protocol": "HTTPS", "tls": {"certificates": ["c"]}});
        let sent = fields(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "ftp")]);
        for (from, changes, addresses, scheme) in [
            (json!("192.0.2.1"), json!({}), Some("192.0.2.1"), "http"),
            (json!("::ffff:192.0.2.1"), json!({}), Some("192.0.2.1"), "http"),
            (json!("2001:db8::1"), tls, Some("2001:db8::1"), "https"),
            (Value::Null, json!({}), None, "http"),
        ] {
            let table = table(json!([]), json!({"listeners": [listener("l", 80, changes)]}));
            let listener = table.sockets().flat_map(|socket| socket.listeners()).next().unwrap();
            let (request, mut list) = (asked(json!({"from": from})), Vec::new());
            let origin = request.origin(listener, &sent, b"A.test:80", &mut list);
            assert_eq!(origin.addresses, addresses.map(str::as_bytes), "{from}");
            assert_eq!((origin.scheme, origin.host), (scheme.as_bytes(), &b"A.test:80"[..]), "{from}");
        }
    }

    #[test]
    fn what_policies_are_told_of_it() {
        let table = table(json!([rule("r", json!({"route": "route", "grpc": true}))]), json!({}));
        let listener = table.sockets().flat_map(|socket| socket.listeners()).next().unwrap();
        let (sent, edited) = (fields(&[("x-a", "1")]), fields(&[("x-a", "2")]));
        let request = asked(json!({"from": "::ffff:192.0.2.1"}));
        let of = Request {
            method: "GET",
            target: b"/",
            paths: request.path_normalization,
            authority: None,
            may_lack_authority: false,
            sni: Some("a.test"),
            fields: &sent,
            taken_out: &[],
            whence: &Somewhere,
        };
        let head = head("/a", &edited);
        let rule = listener.find(&head).unwrap().rule;
        for (framing, length) in [
            (Framing::Empty, Some(0)),
            (Framing::Length(7), Some(7)),
            (Framing::Chunked, None),
            (Framing::UntilClose, None),
        ] {
            assert_eq!(facts(&request, (&of, framing), listener, Some(rule), &head, None).body_length, length);
        }
        let found = facts(&request, (&of, Framing::Empty), listener, Some(rule), &head, None);
        assert_eq!((found.listener, found.route, found.rule, found.grpc), ("l", "route", "r", true));
        assert_eq!((found.rule_uid, found.sni, found.path), (rule.uid, Some("a.test"), "/a"));
        assert_eq!(found.address, "192.0.2.1".parse().ok());
        // As they were sent, and as they are now.
        assert_eq!((found.sent.fields, found.fields), (&sent[..], &edited[..]));
        let unrouted = facts(&request, (&of, Framing::Empty), listener, None, &head, None);
        assert_eq!((unrouted.route, unrouted.rule, unrouted.rule_uid, unrouted.grpc), ("", "", 0, false));
    }
}
