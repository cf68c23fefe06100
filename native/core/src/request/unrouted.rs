//! A request that no rule takes. What its listener asks is asked all the same (GEP-5224), so that 404 tells nobody more than
//! they may know, and who looks for paths is counted.

use super::ask::Whence;
use super::consult::{Part, consult, facts, note, note_origin};
use super::plan::{Failed, Place, Plan, Waiting};
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::head::{Inbound, OwnedHead};
use crate::message::pages::Pages;
use crate::message::record::Entry;
use crate::message::response_filters::ResponseEdits;
use crate::policy::{Admission, Chain, Denial};
use route::policy::Passage;
use route::resolve::Unrouted;
use route::table::{EditedFields, Listener, MadeValues, RequestHead};
use std::sync::Arc;

/// What policies of a listener come to without a rule.
pub enum Consulted<'g> {
    /// With the memory for a head.
    Admitted(Passage<'g>, Vec<u8>),
    /// Somebody is asked.
    Wait(Box<Waiting<'g>>),
}

/// 404, unless what holds for its listener refuses it or has to ask. `buffer` is memory for a head.
///
/// # Errors
/// There is no other way.
pub fn unrouted<'g>(
    client: &Client,
    inbound: &Inbound<'_>,
    unrouted: &Unrouted<'g, '_>,
    place: Place<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Plan<'g>, Box<Failed<'g>>> {
    let listener = unrouted.listener;
    record.listener(listener, inbound);
    let no_route = |chain, passage| failed(client, ErrorCode::NoRoute.into(), listener, chain, passage, inbound);
    let Some(joined) = listener.policies_without_rule() else {
        return Err(no_route(None, Passage::default()));
    };
    // Never a request without its policies.
    let chain = joined.kept.get::<Chain>().ok_or(ErrorCode::PolicyInvalid)?;
    match consult_listener(client, inbound, unrouted, (chain, Part::Behind), place, buffer, record)? {
        Consulted::Admitted(passage, _) => Err(no_route(Some(chain), passage)),
        Consulted::Wait(waiting) => Ok(Plan::Wait(waiting)),
    }
}

/// Ask a part of what holds for the listener of a request.
///
/// # Errors
/// One of its policies refuses it.
pub fn consult_listener<'g>(
    client: &Client,
    inbound: &Inbound<'_>,
    unrouted: &Unrouted<'g, '_>,
    (chain, part): (&'g Chain, Part),
    place: Place<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Consulted<'g>, Box<Failed<'g>>> {
    let listener = unrouted.listener;
    let owned = match part {
        Part::BeforeRules => {
            note_origin(chain, inbound, record);
            // Nobody is shown what a client says in place of any of them.
            chain.owned()
        }
        Part::Behind => {
            note(chain, inbound, record);
            Some(chain.owned_behind())
        }
    };
    let proxies = chain.trusted_proxies();
    let (mut kept, mut list) = (EditedFields::new(), Vec::new());
    let left = owned.and_then(|owned| owned.left(unrouted.head.fields, unrouted.sent_fields, &mut kept));
    let (fields, sent) = match left {
        Some(sent) => (&*kept, sent),
        None => (unrouted.head.fields, unrouted.sent_fields),
    };
    let judged = left.and_then(|_| owned?.judged(unrouted.head.fields, fields));
    let head = RequestHead { fields, ..unrouted.head };
    let believed = client.is_believed(proxies);
    let told =
        if chain.asks_fields() { Some(client.told(fields, sent, believed, head.authority, &mut list)) } else { None };
    let mut facts = facts(client, inbound, listener, None, &head, told.as_deref(), chain);
    if let Some(judged) = &judged {
        facts.fields = judged;
    }
    let (admission, passage) = consult(chain, part, place, &facts, record);
    match admission {
        Admission::Admitted => Ok(Consulted::Admitted(passage, buffer)),
        Admission::Denied(mut denial) => {
            if part == Part::BeforeRules
                && let Some(log) = chain.log()
            {
                record.log_as(log, chain.log_collector());
            }
            if let Some(detail) = denial.detail.take() {
                record.detail(|| detail);
            }
            Err(failed(client, denial, listener, Some(chain), passage, inbound))
        }
        Admission::Asked { answer, next } => {
            let whence = Whence {
                listener,
                ends: client.ends(head.fields, proxies),
                believed: proxies.map(|_| client.is_believed(proxies)),
            };
            let (head, limit) = (OwnedHead::of(inbound), chain.request_timeout(None));
            Ok(Consulted::Wait(Box::new(Waiting { answer, whence, head, next, passage, limit, buffer })))
        }
    }
}

/// What the listener does to such an answer. Of what has no rule nothing is known that an expression could ask.
fn failed<'g>(
    client: &Client,
    denial: Denial,
    listener: &'g Arc<Listener>,
    chain: Option<&'g Chain>,
    passage: Passage<'_>,
    inbound: &Inbound<'_>,
) -> Box<Failed<'g>> {
    let edits = ResponseEdits::default().at(listener, |_| MadeValues::new());
    // A path that is misspelt may have the key of another one.
    let generation = client.worker.generation();
    let pages =
        chain.and_then(|chain| Pages::of(chain.error_pages()?, listener, None, inbound, generation.secret_pairs()));
    Box::new(Failed { denial, edits: edits.appending(passage.respond, passage.respond_to_success).paged(pages) })
}

#[cfg(test)]
mod tests {
    use super::{Place, Plan, Waiting};
    use crate::error::ErrorCode;
    use crate::message::client::Client;
    use crate::message::head::Inbound;
    use crate::message::record::Entry;
    use crate::policy::samples::{KEYS, api_key, fault, one_a_day, table, unprepared};
    use crate::policy::{Outcome, Pending};
    use crate::request::admit::admit;
    use crate::worker::{Generation, Worker};
    use codec::{Parsed, parse_request};
    use route::ir::Transport;
    use route::policy::Passage;
    use route::table::{SocketKey, Table};
    use serde_json::{Value, json};
    use std::rc::Rc;
    use std::time::Duration;

    const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

    fn worker(table: Table) -> Rc<Worker> {
        Worker::alone(Generation { table, ..Generation::default() }).unwrap()
    }

    /// What will be done about a request with these fields, as `see` sees it.
    fn planned<R>(worker: &Rc<Worker>, fields: &str, place: Place, see: impl FnOnce(&Plan) -> R) -> R {
        let bytes = format!("GET / HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n");
        let Ok(Parsed::Complete(head)) = parse_request(bytes.as_bytes(), 16) else { panic!("{bytes}") };
        let client = Client::new(Rc::clone(worker), ([192, 0, 2, 1], 1).into(), SOCKET, None);
        let (generation, inbound) = (worker.generation(), Inbound::from_http1(head));
        let mut record = Entry::begin(&client, &inbound);
        see(&admit(&client, &generation, &inbound, place, Vec::new(), &mut record))
    }

    fn said(worker: &Rc<Worker>, fields: &str) -> String {
        said_at(worker, fields, Place::start())
    }

    fn said_at(worker: &Rc<Worker>, fields: &str, place: Place) -> String {
        planned(worker, fields, place, |plan| match plan {
            Plan::Answer(planned) => planned.0.code.map_or("no error", ErrorCode::name).to_owned(),
            Plan::Forward(_) => "forwarded".to_owned(),
            Plan::Wait(_) => "waits".to_owned(),
        })
    }

    fn service() -> Value {
        json!({"protocol": "http", "backend": "b", "timeout_ms": 1000})
    }

    fn external() -> Value {
        json!({"type": "access_external", "id": "AccessPolicy/a/p/external", "service": service()})
    }

    /// Nobody learns from a 404 what they may not know, and a rule's own steps mean nothing without one.
    #[test]
    fn what_the_listener_asks_is_asked() {
        let (key, wrong) = ("x-api-key: alpha\r\n", "x-api-key: beta\r\n");
        for (policies, fields, expected) in [
            (json!([]), "", "no_route"),
            (json!([fault(Some(1), true)]), "", "no_route"),
            (json!([api_key()]), "", "unauthenticated"),
            (json!([api_key()]), wrong, "unauthenticated"),
            (json!([api_key()]), key, "no_route"),
            (json!([external()]), "", "waits"),
            (json!([external(), api_key()]), "", "unauthenticated"),
            (json!([{"type": "client_body", "id": "ClientPolicy/a/p/body", "invalid": true}]), "", "policy_invalid"),
        ] {
            assert_eq!(said(&worker(table(&policies, KEYS)), fields), expected, "{policies} {fields}");
        }
        // Never a request without its policies.
        assert_eq!(said(&worker(unprepared(&json!([api_key()]), KEYS)), key), "policy_invalid");
    }

    /// Who looks for paths is counted.
    #[test]
    fn searches_take_from_limits() {
        let worker = worker(table(&json!([one_a_day()]), ""));
        assert_eq!([(); 2].map(|()| said(&worker, "")), ["no_route", "rate_limited"]);
    }

    /// What a policy may set is not a client's to say, here either.
    #[test]
    fn a_client_does_not_say_who_it_is() {
        let deny = json!({"deny": true, "headers": [{"name": "x-user", "values": ["eve"]}]});
        let authorization = json!({"type": "access_authorization", "id": "AccessPolicy/a/p/authorization",
            "rules": [deny], "default_allow": true});
        let fields = "x-api-key: alpha\r\nx-user: eve\r\n";
        for (policies, expected) in
            [(json!([authorization]), "forbidden"), (json!([authorization, api_key()]), "no_route")]
        {
            assert_eq!(said(&worker(table(&policies, KEYS)), fields), expected, "{policies}");
        }
    }

    /// For as long as the listener gives a request, and as its proxies say who asks.
    #[test]
    fn how_it_waits() {
        let timeouts = json!({"type": "client_timeouts", "id": "ClientPolicy/a/p/timeouts", "request_ms": 1500});
        let proxies = |network: &str| {
            json!({"type": "client_address", "id": "ClientPolicy/a/p/clientAddress",
                "trusted_proxies": [network]})
        };
        for (more, limit, believed, who) in [
            (json!([]), None, None, "192.0.2.1"),
            (json!([timeouts]), Some(1500), None, "192.0.2.1"),
            (json!([proxies("192.0.2.0/24")]), None, Some(true), "198.51.100.7"),
            (json!([proxies("203.0.113.0/24")]), None, Some(false), "192.0.2.1"),
        ] {
            let mut policies = more.clone();
            policies.as_array_mut().unwrap().push(external());
            let worker = worker(table(&policies, ""));
            planned(&worker, "x-forwarded-for: 198.51.100.7\r\n", Place::start(), |plan| {
                let Plan::Wait(waiting) = plan else { panic!("it asks") };
                let Waiting { answer, whence, next, limit: found, .. } = &**waiting;
                assert!(matches!(answer, Pending::Ask(_)));
                assert_eq!((*next, *found, whence.believed), (1, limit.map(Duration::from_millis), believed), "{more}");
                assert_eq!(whence.ends.0.ip().to_string(), who, "{more}");
            });
        }
    }

    /// It goes on behind who was asked, with what they said.
    #[test]
    fn what_comes_of_a_wait() {
        let worker = worker(table(&json!([external()]), ""));
        for (outcome, expected) in [(Outcome::Pass, "no_route"), (Outcome::deny(ErrorCode::Forbidden), "forbidden")] {
            let place = Place { step: 1, outcome, passage: Passage::default() };
            assert_eq!(said_at(&worker, "", place), expected);
        }
    }

    /// Its answer has what policies add to answers, and what stands in for errors does so for a 404.
    #[test]
    fn what_the_answer_has() {
        let page = json!({"statuses": [{"first": 404, "last": 404}],
            "content": {"type": "body", "content_type": "text/plain", "body": "none"}});
        let pages = json!({"type": "filter_error_pages", "id": "l/errorPages", "pages": [page]});
        let passage = || Passage { respond: vec![("x".into(), b"1".to_vec())], ..Passage::default() };
        for (policies, is_paged) in [(json!([one_a_day()]), false), (json!([one_a_day(), pages]), true)] {
            let worker = worker(table(&policies, ""));
            let place = Place { step: 1, outcome: Outcome::Pass, passage: passage() };
            planned(&worker, "", place, |plan| {
                let Plan::Answer(planned) = plan else { panic!("an answer") };
                assert_eq!(planned.1.pages().is_some(), is_paged);
                let names =
                    |fields: &[codec::Field<'_>]| fields.iter().map(|field| field.name.to_vec()).collect::<Vec<_>>();
                assert_eq!(planned.1.with(404, &[], names), [b"x"]);
            });
        }
    }
}
