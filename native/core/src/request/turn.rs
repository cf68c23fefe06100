//! Whose turn it is among the backends of a rule, and the session that keeps a client with one of them.

use crate::message::client::Client;
use crate::message::session::{CookieTerms, Session};
use crate::tls::tickets::Sealer;
use crate::worker::Generation;
use route::policy::Networks;
use route::resolve::Routed;
use route::table::{Backend, Rule};
use std::sync::Arc;

/// The backend that the client's session is with, where policies have clients stay with it; else whose turn it is.
pub fn turn_of(generation: &Generation, client: &Client, routed: &Routed<'_, '_>, proxies: Option<&Networks>) -> u64 {
    let rule = routed.found.rule;
    if rule.backends.len() < 2 {
        return 0;
    }
    side_of_session(generation, client, routed, proxies).unwrap_or_else(|| turn(client, rule))
}

/// Where the turns of the backend begin that the client's session is with. A function of its own, so that rules with one backend,
/// as nearly all are, do not carry it.
#[inline(never)]
fn side_of_session(
    generation: &Generation,
    client: &Client,
    routed: &Routed<'_, '_>,
    proxies: Option<&Networks>,
) -> Option<u64> {
    let mut start = 0;
    for chosen in &routed.found.rule.backends {
        let own = std::mem::replace(&mut start, chosen.cumulative);
        let backend = chosen.slot.and_then(|slot| generation.table.backend(slot));
        let spans = |backend: &&Arc<Backend>| {
            let attributes = backend.policy.as_ref().and_then(|policy| policy.session_cookie.as_ref());
            attributes.is_some_and(|attributes| attributes.spans_backends)
        };
        let session = backend
            .filter(|backend| chosen.cumulative > own && spans(backend) && !backend.has_no_endpoint())
            .and_then(|backend| session_of(generation, client, routed, backend, proxies));
        if session.is_some_and(|session| session.endpoint().is_some()) {
            return Some(own);
        }
    }
    None
}

/// Which of the rule's backends is next; most rules have one.
fn turn(client: &Client, rule: &Rule) -> u64 {
    if rule.backends.len() < 2 { 0 } else { client.worker.turns.backend(rule.uid, rule.total_weight) }
}

/// The session of a request, where its rule keeps any.
pub fn session_of<'g>(
    generation: &'g Generation,
    client: &Client,
    routed: &Routed<'g, '_>,
    backend: &'g Backend,
    proxies: Option<&Networks>,
) -> Option<Session<'g>> {
    let Routed { listener, found, head, .. } = routed;
    let terms = backend.session(&found.rule.ir)?;
    let sealer = Sealer::of_sessions(generation.server_tls.tickets(), &listener.ir.gateway, terms);
    let over_tls = client.is_secure(head.fields, client.is_believed(proxies));
    let attributes = backend.policy.as_ref().and_then(|policy| policy.session_cookie.as_ref());
    Some(Session::read(
        terms,
        CookieTerms { attributes, over_tls },
        sealer,
        (&found.rule.ir.id, &backend.id),
        head.fields,
    ))
}
