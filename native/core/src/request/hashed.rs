//! What of a request is hashed where its backend's policy chooses endpoints so (`BackendPolicy.loadBalancing.hash`).

use crate::message::client::Client;
use codec::Field;
use route::ir::{BackendPolicy, KeyPart, LoadBalancing};
use route::policy::{AnswerField, Networks, same_field};
use route::resolve::{Routed, affinity, asks_forwarded, without_forwarded};
use route::table::RequestHead;

/// The key of a request: of where it comes from, and of who asks, what the backend is told. `said`: by policies. `None`: it has
/// no part of the key, or none is asked for.
pub fn key_of(
    policy: &BackendPolicy,
    client: &Client,
    routed: &Routed<'_, '_>,
    proxies: Option<&Networks>,
    said: &[AnswerField],
) -> Option<u64> {
    let LoadBalancing::Hash { key, .. } = &policy.load_balancing else { return None };
    let head = &routed.head;
    let address = key.contains(&KeyPart::Client).then(|| client.ends(head.fields, proxies).0.ip());
    let names =
        |part: &KeyPart, field: &[u8]| matches!(part, KeyPart::Header { name } if same_field(name.as_bytes(), field));
    let asks_said = said.iter().any(|(name, _)| key.iter().any(|part| names(part, name.as_bytes())));
    if !asks_forwarded(key) && !asks_said {
        return affinity(key, head, address);
    }
    let (mut list, believed) = (Vec::new(), client.is_believed(proxies));
    let mut told = client.told(head.fields, routed.sent_fields, believed, head.authority, &mut list);
    let mut taken_out = without_forwarded(head.taken_out);
    let is_said = |field: &Field<'_>| said.iter().any(|(name, _)| same_field(name.as_bytes(), field.name));
    told.retain(|field| !is_said(field));
    taken_out.retain(|field| !is_said(field));
    told.extend(said.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
    affinity(key, &RequestHead { fields: &told, taken_out: &taken_out, ..*head }, address)
}

#[cfg(test)]
mod tests {
    use super::key_of;
    use crate::message::client::Client;
    use crate::message::head::Inbound;
    use crate::worker::{Generation, Worker};
    use codec::{Parsed, parse_request};
    use route::ir::Transport;
    use route::path_normalization::PathNormalization;
    use route::policy::{AnswerField, Networks};
    use route::resolve::{Request, Workspace, resolve};
    use route::table::SocketKey;
    use serde_json::{Value, json};
    use std::rc::Rc;

    const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

    fn worker() -> Rc<Worker> {
        let worker = Worker::alone(Generation::default()).unwrap();
        let upsert = json!({
            "listeners": [{"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
            "http_rules": [{"id": "r", "route": "route", "index": 0, "listeners": ["l"],
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]});
        worker.apply(&upsert).unwrap();
        worker
    }

    /// The key of a request of this client with these fields.
    fn hashed(key: &Value, peer: u8, fields: &str, said: &[(&'static str, &str)]) -> Option<u64> {
        let policy = json!({"id": "BackendPolicy/a/b", "load_balancing": {"type": "Hash", "key": key}});
        of_policy(&policy, peer, fields, said)
    }

    fn of_policy(policy: &Value, peer: u8, fields: &str, said: &[(&'static str, &str)]) -> Option<u64> {
        let worker = worker();
        let client = Client::new(Rc::clone(&worker), ([192, 0, 2, peer], 1).into(), SOCKET, None);
        let bytes = format!("GET / HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n");
        let Ok(Parsed::Complete(head)) = parse_request(bytes.as_bytes(), 16) else { panic!("{bytes}") };
        let (inbound, generation) = (Inbound::from_http1(head), worker.generation());
        let request = Request {
            method: inbound.method,
            target: inbound.target,
            paths: PathNormalization::default(),
            authority: inbound.authority,
            may_lack_authority: false,
            sni: None,
            fields: &inbound.fields,
            taken_out: &inbound.taken_out,
            whence: &client,
        };
        let mut space = Workspace::default();
        let socket = generation.table.socket(SOCKET).map(|socket| &**socket);
        let routed = resolve(socket, &request, &mut space).unwrap();
        // 192.0.2.9 is a proxy.
        let proxies = Networks::compile(["192.0.2.9"]).unwrap();
        let said: Vec<AnswerField> =
            said.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect();
        let policy = serde_json::from_value(policy.clone()).unwrap();
        key_of(&policy, &client, &routed, Some(&proxies), &said)
    }

    fn header(name: &str) -> Value {
        json!([{"type": "header", "name": name}])
    }

    /// Whoever passes it on, and whatever a client says that nobody trusts.
    #[test]
    fn a_client_is_who_asks() {
        let key = |peer, fields: &str| hashed(&json!([{"type": "client"}]), peer, fields, &[]).unwrap();
        let own = key(1, "");
        assert_ne!(key(2, ""), own);
        assert_eq!(key(1, "x-forwarded-for: 192.0.2.2\r\n"), own);
        assert_eq!(key(9, "x-forwarded-for: 192.0.2.1\r\n"), own);
        assert_ne!(key(9, ""), own);
    }

    /// A field about where a request comes from is hashed as the backend is told it, not as the client says.
    #[test]
    fn what_a_client_says_of_itself_does_not_count() {
        for (name, one, other) in [
            ("x-forwarded-for", "x-forwarded-for: 1.1.1.1\r\n", "x-forwarded-for: 2.2.2.2\r\n"),
            ("x-forwarded-proto", "x-forwarded-proto: https\r\n", "x-forwarded-proto: http\r\n"),
            (
                "x-forwarded-host",
                "x-forwarded-host: b.test\r\n",
                "connection: x-forwarded-host\r\nx-forwarded-host: c\r\n",
            ),
        ] {
            let key = |peer, fields: &str| hashed(&header(name), peer, fields, &[]).unwrap();
            assert_eq!(key(1, one), key(1, ""), "{name}");
            assert_eq!(key(1, other), key(1, ""), "{name}");
            assert_ne!(key(9, one), key(9, ""), "{name}: of a proxy it counts");
        }
    }

    /// What policies say of a request stands in place of what its client sends, in any spelling.
    #[test]
    fn what_policies_say_counts() {
        let key = |fields: &str, said: &[(&'static str, &str)]| hashed(&header("x-user"), 1, fields, said);
        let ann = key("", &[("x-user", "ann")]);
        assert!(ann.is_some());
        for (fields, name) in [
            ("x-user: eve\r\n", "x-user"),
            ("X-User: eve\r\n", "X-User"),
            ("x_user: eve\r\n", "x-user"),
            ("connection: x-user\r\nx-user: eve\r\n", "x-user"),
        ] {
            assert_eq!(key(fields, &[(name, "ann")]), ann, "{fields} {name}");
        }
        assert_ne!(key("", &[("x-user", "bob")]), ann);
        // Of others nothing is said.
        assert_eq!(key("x-user: ann\r\n", &[("x-other", "bob")]), ann);
    }

    #[test]
    fn a_request_without_a_key() {
        assert_eq!(hashed(&header("x-user"), 1, "x-other: 1\r\n", &[]), None);
        assert_eq!(hashed(&header("x-user"), 1, "", &[("x-other", "1")]), None);
        let plain = json!({"id": "BackendPolicy/a/b", "load_balancing": {"type": "RoundRobin"}});
        assert_eq!(of_policy(&plain, 1, "x-user: 1\r\n", &[]), None);
    }
}
