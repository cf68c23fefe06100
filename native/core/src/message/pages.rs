//! What stands in for the errors of one request, and what is said of the request to who is asked for a page: the fields that
//! default backends of ingress-nginx know.

use super::grpc;
use super::head::Inbound;
use route::policy::{Compiled, ErrorPages, Judge, masked};
use route::table::{Listener, Rule};
use std::sync::Arc;

/// The pages of a rule, for one of its requests, or of a listener, for one that has no rule.
#[derive(Debug)]
pub struct Pages<'g> {
    pub all: &'g ErrorPages,
    /// Slots of those who are asked.
    pub backends: &'g [u32],
    pub listener: &'g Arc<Listener>,
    pub authority: Vec<u8>,
    /// All but the status.
    pub told: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'g> Pages<'g> {
    /// `secret_pairs`: names of the pairs of the query that are credentials, whose values nobody is told. `None`: this request has
    /// none. Who asks for a head alone sees no page, calls of gRPC and tunnels would not understand one.
    pub fn of(
        policy: &'g Compiled,
        listener: &'g Arc<Listener>,
        rule: Option<&'g Rule>,
        inbound: &Inbound<'_>,
        secret_pairs: &[String],
    ) -> Option<Box<Self>> {
        let Judge::ErrorPages(all) = &policy.judge else {
            return None;
        };
        let is_call = rule.is_some_and(|rule| rule.ir.grpc) || grpc::is_grpc(&inbound.fields);
        if inbound.method == "HEAD" || inbound.upgrade.is_some() || is_call {
            return None;
        }
        let lossy = || String::from_utf8_lossy(inbound.target);
        let without = if secret_pairs.is_empty() { None } else { masked(&lossy(), secret_pairs) };
        let target = without.map_or_else(|| inbound.target.to_vec(), String::into_bytes);
        let mut told = vec![(b"x-original-uri".to_vec(), target)];
        let parts = rule.into_iter().flat_map(|rule| rule.ir.route.split('/').skip(1));
        for (name, value) in ["x-namespace", "x-ingress-name"].into_iter().zip(parts) {
            told.push((name.into(), value.into()));
        }
        for (name, sent) in [("x-format", &b"accept"[..]), ("x-request-id", b"x-request-id")] {
            let field = inbound.fields.iter().find(|field| field.name.eq_ignore_ascii_case(sent));
            told.extend(field.map(|field| (name.into(), field.value.to_vec())));
        }
        let authority = inbound.authority.unwrap_or_default().to_vec();
        Some(Box::new(Self { all, backends: &policy.backends, listener, authority, told }))
    }

    /// Which backend was chosen: `<namespace>/<service>:<port>`.
    pub fn backend(&mut self, id: &str) {
        let name = id.rsplit_once('/').map_or(id, |(_, name)| name);
        let (service, port) = name.split_once(':').unwrap_or((name, ""));
        self.told.push((b"x-service-name".to_vec(), service.into()));
        self.told.push((b"x-service-port".to_vec(), port.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;
    use crate::message::head::Inbound;
    use codec::{Parsed, parse_request};
    use route::policy::Compiled;
    use route::table::{NoTags, Rule, State, Table};
    use serde_json::{Value, json};
    use std::sync::Arc;

    const GET: &str = "GET /a?b HTTP/1.1\r\nHost: a.test\r\n";

    fn table(grpc: bool) -> Table {
        let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
            "listeners": [{"id": "l", "gateway": "default/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
            "http_rules": [{"id": "HTTPRoute/shop/cart/0", "route": "HTTPRoute/shop/cart", "index": 0,
                "listeners": ["l"], "grpc": grpc, "matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]}});
        State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap()
    }

    fn policy(ir: Value) -> Compiled {
        Compiled::of(serde_json::from_value(ir).unwrap(), Vec::new(), vec![7])
    }

    /// What who is asked for a page is told of a request; `None`: the request has no page.
    fn told(policy: &Compiled, of_rule: Option<bool>, sent: &str) -> Option<String> {
        let table = table(of_rule == Some(true));
        let listener = table.sockets().next().unwrap().listeners().next().unwrap();
        let rule: Option<&Rule> = of_rule.and_then(|_| listener.hosts.rules().next()).map(|rule| &**rule);
        let bytes = format!("{sent}\r\n");
        let Ok(Parsed::Complete(head)) = parse_request(bytes.as_bytes(), 16) else { panic!("{sent}") };
        let mut pages = Pages::of(policy, listener, rule, &Inbound::from_http1(head), &["key".to_owned()])?;
        assert!(Arc::ptr_eq(pages.listener, listener));
        assert_eq!((pages.backends, pages.authority.as_slice()), (&[7][..], &b"a.test"[..]));
        pages.backend("shop/cart:8080");
        let each = pages.told.iter().map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()));
        Some(each.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_told_of_a_request() {
        let policy = policy(json!({"type": "filter_error_pages", "id": "p"}));
        let full = format!("{GET}ACCEPT: text/html\r\nX-Request-ID: 7\r\nAccept: second\r\nX-Other: 1\r\n");
        let service = "x-service-name=cart x-service-port=8080";
        for (of_rule, sent, expected) in [
            (None, GET, format!("x-original-uri=/a?b {service}")),
            (Some(false), GET, format!("x-original-uri=/a?b x-namespace=shop x-ingress-name=cart {service}")),
            (None, &full, format!("x-original-uri=/a?b x-format=text/html x-request-id=7 {service}")),
            // Nobody is shown a key.
            (None, &GET.replace("?b", "?a=1&key=2"), format!("x-original-uri=/a?a=1&key=*** {service}")),
        ] {
            assert_eq!(told(&policy, of_rule, sent), Some(expected), "{sent}");
        }
    }

    /// Who asks for a head, calls or wants a tunnel would not understand one.
    #[test]
    fn requests_without_pages() {
        let pages = policy(json!({"type": "filter_error_pages", "id": "p"}));
        for (of_rule, sent) in [
            (None, GET.replace("GET", "HEAD")),
            (None, format!("{GET}Connection: upgrade\r\nUpgrade: websocket\r\n")),
            (None, format!("{GET}Content-Type: application/grpc+proto\r\n")),
            (Some(true), GET.to_owned()),
        ] {
            assert_eq!(told(&pages, of_rule, &sent), None, "{sent}");
        }
        assert_eq!(told(&policy(json!({"type": "backend_policy", "id": "p"})), None, GET), None);
    }
}
