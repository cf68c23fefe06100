//! Where a connection or a client's datagrams go, and what stands in their way.

use super::entry::{Carriage, Entry};
use super::{Chosen, Moment, admit, choose, open, refuse_unread};
use crate::observe::l4::L4Reason;
use crate::policy::{Held, KeySets, prepare};
use crate::worker::{Generation, Worker};
use route::ir::Transport;
use route::policy::ClientCertificate;
use route::resolve::{L4Routed, route_l4};
use route::table::{NoTags, Socket, SocketKey, State, Table};
use serde_json::{Value, json};
use std::rc::Rc;

const ANN: &str = "192.0.2.9";

fn listener(id: &str, port: u16, protocol: &str, policies: &Value) -> Value {
    json!({"id": id, "gateway": "a/g", "port": port, "bind_port": port, "protocol": protocol, "policies": policies})
}

fn rule(listener: &str, backends: &Value) -> Value {
    json!({"id": format!("rule-{listener}"), "route": "route", "index": 0, "listeners": [listener], "backends": backends})
}

fn endpoint(backend: &str, port: u16) -> Value {
    json!({"id": port.to_string(), "backend": backend, "address": "192.0.2.1", "port": port, "state": "ready"})
}

/// A worker that goes by this table; its policies run where they are `prepared`.
fn worker(upsert: &Value, prepared: bool) -> Rc<Worker> {
    let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": upsert});
    let table = State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
    if prepared {
        prepare(&table, &Table::default(), None, &KeySets::default());
    }
    Worker::alone(Generation { table, ..Generation::default() }).unwrap()
}

/// A worker with one listener of TCP on port 1, which has these policies.
fn governed(policies: &Value, prepared: bool) -> Rc<Worker> {
    let ids: Vec<_> = policies.as_array().unwrap().iter().map(|policy| policy["id"].clone()).collect();
    let backends = json!([{"backend": "b", "weight": 1}]);
    let upsert = json!({"listeners": [listener("tcp", 1, "TCP", &json!(ids))], "l4_rules": [rule("tcp", &backends)],
        "policies": policies, "backends": [{"id": "b"}], "endpoints": [endpoint("b", 1)]});
    worker(&upsert, prepared)
}

fn begin(worker: &Rc<Worker>) -> Entry {
    Entry::begin(Rc::clone(worker), (ANN.parse::<std::net::IpAddr>().unwrap(), 9).into(), Carriage::Tcp)
}

/// What becomes of a flow, and what its log is told.
fn chosen(
    worker: &Rc<Worker>,
    (transport, port): (Transport, u16),
    sni: Option<&str>,
    moment: Moment<'_>,
) -> (Result<Rc<Chosen>, L4Reason>, Entry) {
    let mut entry = begin(worker);
    let generation = worker.generation();
    let socket = generation.table.socket(SocketKey { transport, address: None, port }).unwrap();
    let found = choose(worker, &generation, socket, sni, moment, &mut entry);
    (found, entry)
}

const TCP: (Transport, u16) = (Transport::Tcp, 1);

/// The log names the listener wherever there is one, whatever stands in the way.
#[test]
fn where_a_flow_goes() {
    let of = |backend: &str, weight: u32| json!([{"backend": backend, "weight": weight}]);
    let cases = [
        ("sound", 1, "TCP", Some(of("b", 1)), Ok("b")),
        ("alone", 2, "TCP", None, Err(L4Reason::NoRoute)),
        ("weightless", 3, "TCP", Some(of("b", 0)), Err(L4Reason::NoBackend)),
        ("unknown", 4, "TCP", Some(json!([{"weight": 1}])), Err(L4Reason::BackendInvalid)),
        ("empty", 5, "TCP", Some(of("empty", 1)), Err(L4Reason::NoEndpoint)),
        ("refused", 6, "TCP", Some(of("refused", 1)), Err(L4Reason::BackendInvalid)),
        // TLS that nobody could set up is not left out; of datagrams and of what is the client's own none is asked for.
        ("secured", 7, "TCP", Some(of("secured", 1)), Err(L4Reason::BackendInvalid)),
        ("datagrams", 7, "UDP", Some(of("secured", 1)), Ok("secured")),
        ("carried", 443, "TLS", Some(of("secured", 1)), Ok("secured")),
    ];
    let mut listeners: Vec<_> =
        cases.iter().map(|(id, port, protocol, ..)| listener(id, *port, protocol, &json!([]))).collect();
    // The last one knows a name.
    listeners[cases.len() - 1]["hostname"] = "a.test".into();
    let rules: Vec<_> = cases.iter().filter_map(|(id, _, _, to, _)| Some(rule(id, to.as_ref()?))).collect();
    let tls = |id: &str, invalid: bool| json!({"type": "backend_tls", "id": id, "hostname": "b", "invalid": invalid});
    let upsert = json!({"listeners": listeners, "l4_rules": rules,
        "policies": [tls("no-tls", true), tls("tls", false)],
        "backends": [{"id": "b"}, {"id": "empty"}, {"id": "refused", "policies": ["no-tls"]},
            {"id": "secured", "policies": ["tls"]}],
        "endpoints": [endpoint("b", 1), endpoint("refused", 2), endpoint("secured", 3)]});
    let worker = worker(&upsert, true);
    for (id, port, protocol, _, expected) in cases {
        let transport = if protocol == "UDP" { Transport::Udp } else { Transport::Tcp };
        let (found, entry) = chosen(&worker, (transport, port), Some("a.test"), Moment::Only);
        if let Ok(chosen) = &found {
            assert_eq!((chosen.listener.id.as_str(), chosen.tls.is_none()), (id, true));
        }
        assert_eq!(found.as_ref().map(|chosen| chosen.backend.id.as_str()).map_err(|reason| *reason), expected, "{id}");
        assert_eq!(entry.listener.as_deref(), Some(id));
        assert_eq!(entry.backend().map(|backend| backend.id.as_str()), expected.ok(), "{id}");
    }
    let (found, entry) = chosen(&worker, (Transport::Tcp, 443), Some("b.test"), Moment::Only);
    assert_eq!((found.err(), entry.listener.as_deref()), (Some(L4Reason::NoListener), None));
}

fn only(network: &str) -> Value {
    json!({"type": "access_authorization", "id": "AccessPolicy/a/p/authorization",
        "rules": [{"clients": [network]}]})
}

/// Nothing goes on that a policy holds back, and nothing without its policies.
#[test]
fn what_policies_say_of_a_flow() {
    let certificate = json!({"type": "access_certificate", "id": "AccessPolicy/a/p/certificate"});
    let invalid = json!({"type": "access_certificate", "id": "AccessPolicy/a/p/certificate", "invalid": true});
    let shown = ClientCertificate { subject: "CN=ann".to_owned(), ..ClientCertificate::default() };
    let (only, before) = (|| Moment::Only, || Moment::BeforeHandshake);
    for (policies, moment, prepared, expected) in [
        (json!([self::only("192.0.2.0/24")]), only(), true, None),
        (json!([self::only("198.51.100.0/24")]), only(), true, Some(L4Reason::Forbidden)),
        (json!([self::only("192.0.2.0/24")]), only(), false, Some(L4Reason::PolicyInvalid)),
        (json!([invalid]), only(), true, Some(L4Reason::PolicyInvalid)),
        // It has no handshake here, or one that is yet to come.
        (json!([certificate]), only(), true, Some(L4Reason::Unauthenticated)),
        (json!([certificate]), before(), true, None),
        (json!([certificate]), Moment::BehindHandshake(None), true, Some(L4Reason::Unauthenticated)),
        (json!([certificate]), Moment::BehindHandshake(Some(&shown)), true, None),
    ] {
        let worker = governed(&policies, prepared);
        let (found, entry) = chosen(&worker, TCP, None, moment);
        assert_eq!(found.err(), expected, "{policies} {moment:?}");
        assert_eq!(entry.backend().is_some(), expected.is_none(), "{policies} {moment:?}");
    }
}

fn at_most(most: u32) -> Value {
    json!({"type": "client_connections", "id": "ClientPolicy/a/p/connections", "max": most})
}

/// One that is refused is not counted in; one that has gone makes room.
#[test]
fn as_many_connections_as_a_policy_allows() {
    let worker = governed(&json!([at_most(2)]), true);
    let begun: Vec<_> = (0..2).map(|_| chosen(&worker, TCP, None, Moment::Only)).collect();
    assert!(begun.iter().all(|(found, entry)| found.is_ok() && entry.opened.is_some()));
    for _ in 0..3 {
        assert_eq!(chosen(&worker, TCP, None, Moment::Only).0.err(), Some(L4Reason::ConnectionLimit));
    }
    drop(begun);
    assert!(chosen(&worker, TCP, None, Moment::Only).0.is_ok());
    // Whom policies hold back takes no place.
    let worker = governed(&json!([at_most(1), only("198.51.100.0/24")]), true);
    let (found, held_back) = chosen(&worker, TCP, None, Moment::Only);
    assert_eq!((found.err(), held_back.opened.is_none()), (Some(L4Reason::Forbidden), true));
    // Nobody counts where there is no limit.
    let (found, entry) = chosen(&governed(&json!([]), true), TCP, None, Moment::Only);
    assert!(found.is_ok() && entry.opened.is_none());
    assert!(open(&worker, "tcp", None).unwrap().is_none());
    let one = open(&worker, "tcp", Some(1)).unwrap();
    assert!(one.is_some());
    assert_eq!(open(&worker, "tcp", Some(1)).err(), Some(L4Reason::ConnectionLimit));
    assert!(open(&worker, "other", Some(1)).unwrap().is_some());
}

/// A limit takes from a connection when it begins, and not again behind its handshake.
#[test]
fn a_connection_is_counted_once() {
    let limit = json!({"type": "rate_limits", "id": "RateLimitPolicy/a/p/local",
        "limits": [{"name": "one", "requests": 1, "per_milliseconds": 86_400_000, "burst": 1}]});
    let worker = governed(&json!([limit]), true);
    assert!(chosen(&worker, TCP, None, Moment::BeforeHandshake).0.is_ok());
    let generation = worker.generation();
    let socket: &Socket = generation.table.socket(SocketKey { transport: TCP.0, address: None, port: TCP.1 }).unwrap();
    let L4Routed::Found(listener, found) = route_l4(socket, None) else { panic!("no route") };
    let (entry, mut held) = (begin(&worker), Held::new());
    for (moment, expected) in [
        (Moment::BehindHandshake(None), Ok(())),
        (Moment::BehindHandshake(None), Ok(())),
        (Moment::Only, Err(L4Reason::RateLimited)),
    ] {
        assert_eq!(admit(listener, found, None, moment, &entry, &mut held), expected, "{moment:?}");
    }
}

/// Its client sees a reset and no end in order; it is counted.
#[tokio::test]
async fn what_was_not_read_is_reset() {
    let listening = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut client = tokio::net::TcpStream::connect(listening.local_addr().unwrap()).await.unwrap();
    let (accepted, peer) = listening.accept().await.unwrap();
    let worker = governed(&json!([]), true);
    refuse_unread(&worker, &accepted, peer, L4Reason::ProxyProtocol, Some("why"));
    drop(accepted);
    let read = tokio::io::AsyncReadExt::read(&mut client, &mut [0; 9]).await;
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let counted = |reason: &&L4Reason| worker.metrics.l4_failures.of(**reason).get() > 0;
    assert_eq!(L4Reason::ALL.iter().filter(counted).collect::<Vec<_>>(), [&L4Reason::ProxyProtocol]);
}
