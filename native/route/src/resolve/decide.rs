//! The decision on one request, as the wire would come to it: from the handshake to the filters.

use super::asked::decide_asked;
use super::contract::{Decision, DecisionRequest, L4Request, Scheme};
use super::decide_l4::{decide_l4, socket_of};
use super::reply::fields_of;
use super::routed::{at, decide_routed};
use super::unrouted::decide_unrouted;
use super::{Refused, Request, Workspace, resolve};
use crate::ir::{ListenerProtocol, Transport};
use crate::table::{Socket, Table};
use codec::{Field, RequestHead as WireHead, WireError, is_token, is_value};

/// Decide on one request.
pub fn decide(table: &Table, request: &DecisionRequest) -> Decision {
    let sni = request.sni.as_ref().map(|name| name.to_ascii_lowercase());
    let socket = socket_of(table, Transport::Tcp, request.address, request.bind_port);
    if let Some(decision) = socket.and_then(|socket| before_the_head(table, socket, request, sni.as_deref())) {
        return decision;
    }
    let sent = match read_head(request) {
        Ok(sent) => sent,
        Err(error) => return refuse(error),
    };
    let asked = Request {
        method: sent.method,
        target: sent.target,
        paths: request.path_normalization,
        authority: sent.host,
        may_lack_authority: false,
        sni: sni.as_deref(),
        fields: &sent.fields,
        taken_out: &sent.taken_out,
        whence: request,
    };
    let (mut space, framing) = (Workspace::default(), sent.framing);
    match resolve(socket.map(|socket| &**socket), &asked, &mut space) {
        Err(Refused::Connect) => Decision::respond(405, "method_not_allowed"),
        Err(Refused::BadRequest) => Decision::respond(400, "bad_request"),
        Err(Refused::NoListener) => Decision::respond(404, "no_listener"),
        Err(Refused::Misdirected(listener)) => at(listener, Decision::respond(421, "misdirected")),
        Err(Refused::Asks(unrouted)) => decide_asked(table, request, (&asked, framing), &unrouted),
        Err(Refused::NoRoute(unrouted)) => decide_unrouted(request, (&asked, framing), &unrouted, Vec::new()),
        Ok(routed) => decide_routed(table, request, (&asked, framing), &routed, Vec::new()),
    }
}

/// What becomes of a connection whose requests nobody here reads: it is carried, or ends in its handshake.
fn before_the_head(table: &Table, socket: &Socket, request: &DecisionRequest, sni: Option<&str>) -> Option<Decision> {
    let carried = || {
        let DecisionRequest { bind_port, address, sni, entropy, from, certificate, .. } = request.clone();
        let transport = Transport::Tcp;
        let connection = L4Request { transport, bind_port, address, sni, entropy, from, certificate };
        Some(decide_l4(table, &connection))
    };
    let speaks = match socket.protocol {
        ListenerProtocol::Tcp | ListenerProtocol::Udp => return carried(),
        ListenerProtocol::Http => Scheme::Http,
        ListenerProtocol::Https | ListenerProtocol::Tls => Scheme::Https,
    };
    if request.scheme.is_some_and(|scheme| scheme != speaks) {
        return Some(Decision::close("scheme_mismatch"));
    }
    if speaks == Scheme::Http {
        return None;
    }
    match socket.listener_for_sni(sni) {
        None => Some(Decision::close("unrecognized_name")),
        Some(listener) if listener.ir.protocol.is_http() => None,
        Some(_) => carried(),
    }
}

/// The head as one of HTTP/1.1 would be read.
fn read_head(request: &DecisionRequest) -> Result<WireHead<'_>, WireError> {
    if !is_token(request.method.as_bytes()) {
        return Err(WireError::Malformed("the method is no token"));
    }
    if !request.headers.iter().all(|(name, value)| is_token(name.as_bytes()) && is_value(value.as_bytes())) {
        return Err(WireError::Malformed("a malformed field"));
    }
    let host = Field { name: b"host", value: request.authority.as_bytes() };
    let fields = std::iter::once(host).chain(fields_of(&request.headers));
    let fields = fields.map(|field| Field { value: field.value.trim_ascii(), ..field });
    WireHead::of(&request.method, request.target.as_bytes(), 1, fields)
}

/// What the wire answers to a head that it cannot read; the reasons are the codes of `docs/errors.md`.
fn refuse(error: WireError) -> Decision {
    match error {
        WireError::UnknownExpectation => Decision::respond(417, "expectation_failed"),
        WireError::HeadTooLarge => Decision::respond(431, "headers_too_large"),
        WireError::UnsupportedCoding => Decision::respond(501, "unsupported_transfer_coding"),
        WireError::Malformed(_) | WireError::NotHttp | WireError::TargetTooLong | WireError::UnsupportedVersion => {
            Decision::respond(400, "bad_request")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::refuse;
    use crate::samples::{ask, listener, merged, pairs, rule, table};
    use codec::WireError;
    use serde_json::{Value, json};

    /// The words are codes of `docs/errors.md`.
    #[test]
    fn every_error_of_the_wire_has_its_answer() {
        for (error, status, reason) in [
            (WireError::Malformed(""), 400, "bad_request"),
            (WireError::NotHttp, 400, "bad_request"),
            (WireError::TargetTooLong, 400, "bad_request"),
            (WireError::UnsupportedVersion, 400, "bad_request"),
            (WireError::UnknownExpectation, 417, "expectation_failed"),
            (WireError::HeadTooLarge, 431, "headers_too_large"),
            (WireError::UnsupportedCoding, 501, "unsupported_transfer_coding"),
        ] {
            let decision = refuse(error);
            assert_eq!((decision.outcome, decision.status, decision.reason), ("respond", status, reason), "{error}");
        }
    }

    /// Each is refused by two steps; the earlier one has the word.
    #[test]
    fn a_decision_is_made_in_the_order_of_the_wire() {
        let tls = json!({"certificates": ["c"]});
        let https =
            |hostname: &str| listener(hostname, 443, json!({"hostname": hostname, "protocol": "HTTPS", "tls": tls}));
        let listeners = json!([listener("l", 80, json!({})), https("a.test"), https("b.test")]);
        let matches = json!([
            {"path": {"type": "Exact", "value": "/a"}},
            {"path": {"type": "Exact", "value": "/b"}},
        ]);
        let table = table(json!([rule("r", json!({"matches": matches}))]), json!({"listeners": listeners}));
        let secure = json!({"bind_port": 443, "sni": "A.test"});
        for (changes, reason, listener, rule) in [
            (json!({"scheme": "https", "headers": [["", ""]]}), "scheme_mismatch", None, None),
            (merged(secure.clone(), json!({"sni": "x.test", "method": ""})), "unrecognized_name", None, None),
            (json!({"bind_port": 81, "headers": [["expect", "x"]]}), "expectation_failed", None, None),
            (json!({"bind_port": 81, "method": "CONNECT"}), "method_not_allowed", None, None),
            (json!({"bind_port": 81, "target": "x"}), "bad_request", None, None),
            (json!({"bind_port": 81}), "no_listener", None, None),
            (merged(secure.clone(), json!({"authority": "b.test"})), "misdirected", Some("b.test"), None),
            (secure, "no_route", Some("a.test"), None),
            (json!({"target": "/c"}), "no_route", Some("l"), None),
            (json!({"target": "/b"}), "forwarded", Some("l"), Some(("r", 1))),
        ] {
            let decision = ask(&table, changes.clone());
            assert_eq!((decision.reason, decision.listener.as_deref()), (reason, listener), "{changes}");
            let found = decision.rule.as_deref().zip(decision.match_index);
            assert_eq!(found, rule, "{changes}");
        }
    }

    /// Nobody learns from a redirect what they may not know, and a preflight has no credentials that could be asked for.
    #[test]
    fn policies_are_asked_before_a_filter_answers_and_not_of_preflights() {
        let denies = json!({"type": "access_authorization", "id": "AccessPolicy/a/p/authorization"});
        let allows = merged(denies.clone(), json!({"default_allow": true}));
        let cors = json!({"type": "cors", "allow_origins": ["*"], "max_age": 5});
        let redirect = json!({"type": "redirect", "status": 302});
        let preflight = json!([["origin", "https://a.test"], ["access-control-request-method", "PUT"]]);
        for (policy, filters, method, invalid, reason, asked) in [
            (&denies, json!([]), "GET", false, "forbidden", 1),
            (&denies, json!([redirect]), "GET", false, "forbidden", 1),
            (&allows, json!([redirect]), "GET", false, "redirect", 1),
            (&allows, json!([]), "GET", false, "forwarded", 1),
            (&denies, json!([cors]), "OPTIONS", false, "cors_preflight", 0),
            (&denies, json!([cors]), "GET", false, "forbidden", 1),
            (&denies, json!([]), "GET", true, "rule_invalid", 0),
        ] {
            let named = json!({"policies": [policy["id"]], "filters": filters, "invalid": invalid});
            let table = table(json!([rule("r", named)]), json!({"policies": [policy]}));
            let decision = ask(&table, json!({"method": method, "headers": preflight}));
            assert_eq!((decision.reason, decision.policies.len()), (reason, asked), "{filters} {method}");
            assert_eq!(decision.rule.as_deref(), Some("r"));
        }
    }

    /// In any spelling: a client that could send it would be who it likes.
    #[test]
    fn fields_of_policies_are_taken_from_clients_before_they_are_asked() {
        let policy = json!({"type": "access_certificate", "id": "AccessPolicy/a/p/certificate", "optional": true,
            "forward_header": "x-user"});
        let named = json!({"policies": [policy["id"]]});
        let table = table(json!([rule("r", named)]), json!({"policies": [policy]}));
        let headers = json!([["X-User", "root"], ["x_user", "root"], ["x-a", "1"]]);
        let sent = |changes: Value| {
            ask(&table, merged(json!({"headers": headers}), changes)).request.map(|request| request.headers)
        };
        assert_eq!(sent(json!({})), Some(pairs(&[("x-a", "1")])));
        let proved = json!({"identity": {"proof": "certificate", "user": "ann"}});
        assert_eq!(sent(proved), Some(pairs(&[("x-a", "1"), ("x-user", "ann")])));
    }
}
