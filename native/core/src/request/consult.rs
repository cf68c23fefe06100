//! A request before its chain of policies: what these see of it, and how far they let it.

use super::plan::Place;
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::message::record::Entry;
use crate::policy::{Admission, Chain, Outcome};
use codec::{Field, Framing};
use route::policy::{Facts, Passage, SentHead};
use route::table::{Listener, RequestHead, Rule};

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
    record.mask(chain.secret_pairs());
    let proxies = chain.trusted_proxies();
    if let Some(log) = chain.log() {
        record.log_as(log);
    }
    if proxies.is_some() {
        record.origin(inbound, proxies);
    }
}

/// Run a chain from where a request stands in it.
pub fn consult<'g>(
    chain: &'g Chain,
    place: Place<'g>,
    facts: &Facts<'_>,
    record: &mut Entry<'_>,
) -> (Admission, Passage<'g>) {
    let Place { step, outcome, mut passage } = place;
    let admission = match outcome {
        Outcome::Pass => chain.run(step, facts, &mut passage, record.held()),
        Outcome::Deny(denial) => Admission::Denied(chain.refused(step, *denial)),
    };
    if let Some(identity) = &passage.identity {
        record.user(identity);
    }
    (admission, passage)
}
