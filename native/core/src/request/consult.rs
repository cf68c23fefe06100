//! A request before its chain of policies: what these see of it, and how far they let it.

use super::plan::Place;
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::message::record::Entry;
use crate::policy::{Admission, Chain, Outcome};
use codec::{Field, Framing};
use route::policy::{Facts, Passage, SentHead};
use route::table::{Listener, RequestHead, Rule};
use std::ops::Range;

/// What policies see of a request. `rule`: the one that takes it, if one does; `told`: its fields as its backend is told them.
pub fn facts<'r>(
    client: &'r Client,
    inbound: &'r Inbound<'_>,
    listener: &'r Listener,
    rule: Option<&'r Rule>,
    head: &RequestHead<'r>,
    told: Option<&'r [Field<'r>]>,
    chain: &Chain,
) -> Facts<'r> {
    Facts {
        address: client.asking(&inbound.fields, chain.trusted_proxies()),
        method: head.method,
        scheme: client.scheme(),
        host: head.host,
        authority: head.authority,
        path: head.path,
        query: head.query,
        fields: head.fields,
        told,
        sent: SentHead { fields: &inbound.fields, taken_out: &inbound.taken_out, authority: head.authority },
        sni: client.sni(),
        listener: listener.id(),
        route: rule.map_or("", |rule| &rule.ir.route),
        rule: rule.map_or("", |rule| &rule.ir.id),
        rule_uid: rule.map_or(0, |rule| rule.uid),
        grpc: rule.is_some_and(|rule| rule.ir.grpc),
        body_length: match inbound.framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        },
        certificate: client.certificate(),
        assumed: None,
    }
}

/// Note what a chain says of the line in the log.
pub fn note(chain: &Chain, inbound: &Inbound<'_>, record: &mut Entry<'_>) {
    note_origin(chain, inbound, record);
    if let Some(log) = chain.log() {
        record.log_as(log, chain.log_collector());
    }
}

/// The same, but for whether there is one, which a rule may say that is not known yet.
pub fn note_origin(chain: &Chain, inbound: &Inbound<'_>, record: &mut Entry<'_>) {
    if chain.log_collector().is_some() {
        record.keep_text(inbound);
    }
    let proxies = chain.trusted_proxies();
    if proxies.is_some() {
        record.origin(inbound, proxies);
    }
}

/// Which steps of a chain: those before a rule is looked for, or the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    BeforeRules,
    Behind,
}

/// Run a part of a chain from where a request stands in it.
pub fn consult<'g>(
    chain: &'g Chain,
    part: Part,
    place: Place<'g>,
    facts: &Facts<'_>,
    record: &mut Entry<'_>,
) -> (Admission, Passage<'g>) {
    let Place { step, outcome, mut passage } = place;
    // Somebody was asked by the step before.
    if step > 0 && matches!(outcome, Outcome::Pass) {
        record.moment("policy.answered", || chain.names(step - 1, 1), None);
    }
    let admission = match outcome {
        Outcome::Pass if part == Part::BeforeRules => chain.run_before_rules(step, facts, &mut passage, record.held()),
        Outcome::Pass => chain.run(step, facts, &mut passage, record.held()),
        Outcome::Deny(denial) => Admission::Denied(chain.refused(step, *denial)),
    };
    // From the one on that was asked last, or those of this part.
    let before = chain.steps_before_rules();
    let first = if part == Part::Behind && step <= before { before } else { step.saturating_sub(1) };
    match &admission {
        Admission::Admitted => {
            let end = if part == Part::BeforeRules { before } else { usize::MAX };
            passed(chain, first..end, record);
        }
        Admission::Asked { next, .. } => {
            let asked = next.saturating_sub(1);
            passed(chain, first..asked, record);
            record.moment("policy.asked", || chain.names(asked, 1), None);
        }
        Admission::Denied(denial) => {
            record.moment("policy.refused", || denial.detail.clone().unwrap_or_default(), Some(denial.code));
        }
    }
    if let Some(identity) = &passage.identity {
        record.user(identity);
    }
    (admission, passage)
}

/// Steps that let a request pass, for its trace.
fn passed(chain: &Chain, steps: Range<usize>, record: &mut Entry<'_>) {
    if record.trace().is_some() {
        let names = chain.names(steps.start, steps.len());
        if !names.is_empty() {
            record.moment("policy.passed", || names, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, consult, facts, note};
    use crate::error::ErrorCode;
    use crate::message::client::Client;
    use crate::message::head::Inbound;
    use crate::message::record::Entry;
    use crate::observe::access_log::AccessLog;
    use crate::policy::samples::{FACTS, KEYS, api_key, chain, counts, one_a_day, table};
    use crate::policy::{Admission, Outcome};
    use crate::request::plan::Place;
    use crate::settings::{AccessLog as LogSettings, Settings};
    use crate::worker::{Generation, Worker};
    use codec::{Field, Parsed, parse_request};
    use route::ir::Transport;
    use route::policy::{Facts, Passage, SentHead};
    use route::table::{RequestHead, SocketKey, Table};
    use serde_json::{Value, json};
    use std::rc::Rc;

    const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

    fn client(worker: &Rc<Worker>) -> Client {
        Client::new(Rc::clone(worker), ([192, 0, 2, 1], 1).into(), SOCKET, None)
    }

    fn head(bytes: &[u8]) -> Inbound<'_> {
        let Ok(Parsed::Complete(head)) = parse_request(bytes, 16) else { panic!("{}", bytes.escape_ascii()) };
        Inbound::from_http1(head)
    }

    fn trusting(network: &str) -> Value {
        json!([{"type": "client_address", "id": "ClientPolicy/a/p/clientAddress", "trusted_proxies": [network]}])
    }

    /// Who asks is who the policies' proxies name, and a length is what is known before the body.
    #[test]
    fn what_policies_see() {
        let passed_on = "x-forwarded-for: 198.51.100.7\r\n";
        for (network, fields, address, length) in [
            ("192.0.2.0/24", "", "192.0.2.1", Some(0)),
            ("192.0.2.0/24", passed_on, "198.51.100.7", Some(0)),
            ("203.0.113.0/24", passed_on, "192.0.2.1", Some(0)),
            ("203.0.113.0/24", "content-length: 7\r\n", "192.0.2.1", Some(7)),
            ("203.0.113.0/24", "transfer-encoding: chunked\r\n", "192.0.2.1", None),
        ] {
            let table = table(&trusting(network), "");
            let worker = Worker::alone(Generation::default()).unwrap();
            let client = client(&worker);
            let bytes = format!("POST /a HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n");
            let inbound = head(bytes.as_bytes());
            let listener = table.socket(SOCKET).unwrap().listeners().next().unwrap();
            let (method, path) = (inbound.method, "/b");
            let head = RequestHead {
                method,
                path,
                query: None,
                host: "a.test",
                authority: b"a.test:80",
                fields: &[],
                taken_out: &[],
            };
            let told = [Field { name: b"x", value: b"1" }];
            let found = facts(&client, &inbound, listener, None, &head, Some(&told), chain(&table));
            assert_eq!(found.address.unwrap().to_string(), address, "{network} {fields}");
            assert_eq!(found.body_length, length, "{fields}");
            // What matching sees is edited; what was sent is kept beside it.
            assert_eq!((found.path, found.fields.len(), found.told().len()), ("/b", 0, 1));
            assert_eq!(found.sent.fields.len(), inbound.fields.len());
            assert_eq!((found.listener, found.route, found.rule, found.rule_uid, found.grpc), ("l", "", "", 0, false));
        }
    }

    fn run<'g>(table: &'g Table, place: Place<'g>, record: &mut Entry<'_>) -> (String, Passage<'g>) {
        let fields = [Field { name: b"x-api-key", value: b"alpha" }];
        let facts = Facts { fields: &fields, sent: SentHead { fields: &fields, ..FACTS.sent }, ..FACTS };
        let (admission, passage) = consult(chain(table), Part::Behind, place, &facts, record);
        let said = match admission {
            Admission::Admitted => "admitted".to_owned(),
            Admission::Denied(denial) => format!("{} {}", denial.code.name(), denial.detail.unwrap_or_default()),
            Admission::Asked { .. } => "asked".to_owned(),
        };
        (said, passage)
    }

    /// A refusal that has come is one, whatever the steps behind it would say, and is of the step that has asked.
    #[test]
    fn a_request_goes_on_from_where_it_stands() {
        let table = table(&json!([one_a_day(), api_key()]), KEYS);
        let worker = Worker::alone(Generation::default()).unwrap();
        let (client, inbound) = (client(&worker), head(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"));
        let mut record = Entry::begin(&client, &inbound);
        let refused = || Outcome::deny(ErrorCode::Forbidden);
        let passage = || Passage { respond: vec![("x".into(), b"1".to_vec())], ..Passage::default() };
        let place = |step, outcome| Place { step, outcome, passage: passage() };
        let (said, passage) = run(&table, place(1, refused()), &mut record);
        assert_eq!(said, "forbidden local of RateLimitPolicy/a/p");
        assert_eq!((passage.respond.len(), passage.identity), (1, None), "what was found is kept, and no more is");
        assert_eq!(counts(&table, "AccessPolicy/a/p/apiKey"), [0, 0, 0]);
        // The limit is not asked again.
        for _ in 0..2 {
            assert_eq!(run(&table, place(1, Outcome::Pass), &mut record).0, "admitted");
        }
        assert_eq!(run(&table, Place::start(), &mut record).0, "admitted");
        assert_eq!(run(&table, Place::start(), &mut record).0, "rate_limited limit one of RateLimitPolicy/a/p");
    }

    /// What a request counts for it counts for as long as its record is there.
    #[test]
    fn what_is_held_ends_with_the_record() {
        let mut limit = one_a_day();
        limit["limits"][0]["concurrent"] = json!(true);
        let table = table(&json!([limit]), "");
        let worker = Worker::alone(Generation::default()).unwrap();
        let (client, inbound) = (client(&worker), head(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"));
        let [mut first, mut second] = [(); 2].map(|()| Entry::begin(&client, &inbound));
        assert_eq!(run(&table, Place::start(), &mut first).0, "admitted");
        assert_eq!(run(&table, Place::start(), &mut second).0, "rate_limited limit one of RateLimitPolicy/a/p");
        drop(first);
        assert_eq!(run(&table, Place::start(), &mut second).0, "admitted");
    }

    /// The lines of the log of requests under these policies, each of which ends with a status.
    fn logged(policies: &Value, statuses: &[u16]) -> Vec<Value> {
        let number = policies.to_string().len();
        let path = std::env::temp_dir().join(format!("sluicegate-consult-{}-{number}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let log = LogSettings { enabled: true, path: path.to_str().map(str::to_owned), ..LogSettings::default() };
        let settings = Settings { access_log: log, ..Settings::default() };
        let table = table(policies, KEYS);
        let worker = Worker::alone_with(Generation::default(), settings).unwrap();
        let client = client(&worker);
        for status in statuses {
            let inbound =
                head(b"GET /a?key=alpha&b=1 HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 198.51.100.7\r\n\r\n");
            let mut record = Entry::begin(&client, &inbound);
            record.mask(chain(&table).secret_pairs());
            note(chain(&table), &inbound, &mut record);
            run(&table, Place::start(), &mut record);
            record.answered(*status, None, 0);
        }
        let log: &AccessLog = &worker.shared.access_log;
        log.stop();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// No credential stands in it, the client is who the policies' proxies name, and policies say whether there is a line.
    #[test]
    fn what_stands_in_the_log() {
        let in_query = json!({"type": "access_api_key", "id": "AccessPolicy/a/q/apiKey", "keys": "secret",
            "from": [{"type": "query", "name": "key"}, {"type": "header", "name": "x-api-key"}], "optional": true});
        let lines = logged(&json!([api_key()]), &[200]);
        assert_eq!((&lines[0]["user"], &lines[0]["client"]), (&json!("ann"), &json!("192.0.2.1")));
        assert_eq!(lines[0]["path"], "/a?key=alpha&b=1");
        let path = logged(&json!([in_query]), &[200])[0]["path"].as_str().unwrap().to_owned();
        assert!(!path.contains("alpha") && path.ends_with("b=1"), "{path}");
        assert_eq!(logged(&trusting("192.0.2.0/24"), &[200])[0]["client"], "198.51.100.7");
        for (lines, expected) in [("All", &[200, 500][..]), ("Errors", &[500]), ("None", &[])] {
            let policy = json!([{"type": "client_access_log", "id": "ClientPolicy/a/p/accessLog", "lines": lines}]);
            let found = logged(&policy, &[200, 500]);
            let statuses: Vec<_> = found.iter().map(|line| line["status"].as_u64().unwrap()).collect();
            assert_eq!(statuses, expected, "{lines}");
        }
    }
}
