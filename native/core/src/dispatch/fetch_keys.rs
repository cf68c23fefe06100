//! Keys of identity providers, fetched over our own connections to backends: at the start, again and again, and early where
//! tokens name keys that are not there. When that is says `policy::PublishedSet`; no request waits for any of it.
//!
//! A provider is heard as a hostile peer: an answer that is slow, too long, none of its own (a redirect leads to somebody
//! else) or no set of keys changes nothing.

use super::MirrorTo;
use super::ask::{Question, ask};
use super::outbound::Outbound;
use crate::policy::{Due, News, PublishedSet, published_sets, since_1970};
use crate::upstream::RoutePolicy;
use crate::worker::{Generation, Worker};
use bytes::Bytes;
use codec::{Framing, push_field};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

/// Sets that are fetched at once. Stops providers that do not answer from taking connections without end.
const MAX_FETCHES: usize = 8;

/// For all of a fetch.
const LIMIT: Duration = Duration::from_secs(5);

/// How long nobody looks whether something is due, if nothing is known to be.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Fetch what is due, for ever.
pub async fn fetch_keys(worker: &Rc<Worker>) {
    let places = Arc::new(Semaphore::new(MAX_FETCHES));
    let sets = &worker.shared.key_sets;
    loop {
        if sets.is_empty() {
            sets.woken().await;
            continue;
        }
        let next = begin_due(worker, &places);
        tokio::select! {
            () = sleep_until(next) => {}
            () = sets.woken() => {}
        }
    }
}

/// Begin what is due, as far as there is a place for it; who ends says so. When the next one is due.
fn begin_due(worker: &Rc<Worker>, places: &Arc<Semaphore>) -> Instant {
    let generation = worker.generation();
    let now = Instant::now();
    let mut next = now + LONGEST_SLEEP;
    for (set, slot) in published_sets(&generation.table) {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else { break };
        match set.due(now) {
            Due::Now => {
                let (worker, generation, set) = (Rc::clone(worker), Rc::clone(&generation), Arc::clone(set));
                tokio::task::spawn_local(async move {
                    fetch(&worker, &generation, &set, slot).await;
                    drop(place);
                    worker.shared.key_sets.wake();
                });
            }
            Due::At(at) => next = next.min(at),
            Due::UnderWay => {}
        }
    }
    next
}

/// What keys come and go of.
fn about(name: &str) -> String {
    format!("keys of {name}")
}

async fn fetch(worker: &Worker, generation: &Generation, set: &PublishedSet, slot: u32) {
    let found = ask_provider(worker, generation, set, slot).await;
    let succeeded = found.is_ok();
    let news = set.done(found, Instant::now(), since_1970(), worker.turns.noise());
    let name = set.name();
    let events = &worker.shared.events;
    match &news {
        News::Keys { count, failures, .. } if *failures > 0 => {
            let message = format!("{name}: the identity provider answers again; {count} keys verify");
            events.push_state("keys_fetched", about(&name), message);
        }
        News::Away(why) => {
            let kept = match set.keys(Instant::now()) {
                Some(_) => "the keys of before verify on, for a day",
                None => "until it answers nobody is let in by its tokens",
            };
            events.push_state("keys_unavailable", about(&name), format!("{name}: {why}; {kept}"));
        }
        News::Keys { .. } | News::None => {}
    }
    if let News::Keys { count, unusable, .. } = &news
        && !unusable.is_empty()
    {
        events.push("keys_skipped", format!("{name}: {unusable}; {count} keys verify"));
    }
    if succeeded && let Some(write) = worker.shared.key_sets.to_keep(news != News::None) {
        let written = tokio::task::spawn_blocking(write).await;
        if let Ok(Err(error)) = written {
            let lost = "a restart while an identity provider is away would let nobody in by its tokens";
            events.push("keys_not_kept", format!("keys of identity providers cannot be written: {error}; {lost}"));
        }
    }
}

/// # Errors
/// Why there is no set; for people.
async fn ask_provider(
    worker: &Worker,
    generation: &Generation,
    set: &PublishedSet,
    slot: u32,
) -> Result<Vec<u8>, String> {
    let backend = generation.table.backend(slot).ok_or("the Service is not there")?;
    let route = generation.client_tls.own_route(backend, false).filter(|_| !backend.is_invalid());
    let mut route = route.ok_or("a policy of the Service cannot be honoured")?;
    route.policy = RoutePolicy::of_ourselves(backend);
    let source = &set.source;
    let of_certificate = backend.tls.as_ref().map(|policy| policy.hostname.as_str());
    let host = Some(source.hostname.as_str()).filter(|name| !name.is_empty()).or(of_certificate);
    let question = Question {
        outbound: outbound(host.unwrap_or(&source.service), &source.path, route.tls.is_some()),
        body: Bytes::new(),
        limit: LIMIT,
        most_kept: jwt::MAX_SET_BYTES,
        trace: None,
    };
    let heard = ask(worker, &MirrorTo { backend, route }, &question).await;
    let heard = heard.map_err(|unanswered| format!("the identity provider {}", unanswered.in_words(LIMIT)))?;
    match heard.status {
        200 => heard.body.ok_or_else(|| format!("its answer has more than {} bytes", jwt::MAX_SET_BYTES)),
        300..=399 => Err(format!("it answers {}, and redirects are not followed", heard.status)),
        status => Err(format!("it answers {status}")),
    }
}

fn outbound(host: &str, path: &str, tls: bool) -> Outbound {
    let mut head = format!("GET {path} HTTP/1.1\r\n").into_bytes();
    push_field(&mut head, b"host", host.as_bytes());
    push_field(&mut head, b"accept", b"application/jwk-set+json, application/json");
    push_field(&mut head, b"user-agent", b"sluicegate");
    head.extend_from_slice(b"\r\n");
    Outbound {
        head,
        framing: Framing::Empty,
        head_request: false,
        idempotent: true,
        upgrade: false,
        connect: false,
        trailers: false,
        tls,
        span: None,
    }
}

#[cfg(test)]
mod tests;
