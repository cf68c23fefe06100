//! Errors in whose place something else is given (`errorPages` of an `HTTPFilter`): a page that is written out, or one that a
//! service is asked for. Where that is away the error is given as it was. Who is asked is asked past all rules, so no page
//! leads to another one.

use super::ask::{Whence, hear};
use crate::dispatch::retry::{Exchange, Forwarded};
use crate::error::ErrorCode;
use crate::io::watchdog::Watchdog;
use crate::message::body::BodySource;
use crate::message::client::Client;
use crate::message::grpc::End;
use crate::message::held::{Held, Original};
use crate::message::local_reply::Answer;
use crate::message::pages::Pages;
use crate::message::record::Entry;
use crate::message::reply::ReplySink;
use crate::message::response_filters::ResponseEdits;
use crate::policy::external::Message;
use crate::worker::Generation;
use route::ir::PageContent;
use std::time::Duration;
use tokio::time::Instant;

/// Octets of a page that is asked for; a larger one is none.
const MAX_PAGE: usize = 256 * 1024;

/// What describes the body of an answer and nothing else (RFC 9110 section 8, RFC 9530): it goes with the body.
const OF_BODIES: [&str; 14] = [
    "accept-ranges",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "digest",
    "etag",
    "last-modified",
    "repr-digest",
];

/// Give an answer of the gateway, or what stands in for it.
///
/// # Errors
/// The client is gone, or was too slow.
pub async fn give_or_page<Sink: ReplySink>(
    client: &Client,
    generation: &Generation,
    answer: &Answer,
    (edits, pages): (&ResponseEdits<'_>, &Pages<'_>),
    watchdog: &mut Watchdog,
    sink: &mut Sink,
    record: &mut Entry<'_>,
) -> Result<(), End> {
    let limit = client.worker.settings().response_read_timeout();
    let mut held = Held::new(sink, pages.all);
    answer.give(watchdog, limit, &mut held, false, edits).await?;
    match held.into_original() {
        None => Ok(()),
        Some(original) => instead(client, generation, pages, (original, None), watchdog, sink, record).await,
    }
}

/// Run an exchange, and give what stands in for what it comes to where that is an error.
pub async fn run_or_page<Source: BodySource, Sink: ReplySink>(
    exchange: Exchange<'_, '_>,
    generation: &Generation,
    pages: &Pages<'_>,
    watchdog: &mut Watchdog,
    source: &mut Source,
    sink: &mut Sink,
    record: &mut Entry<'_>,
) -> Forwarded {
    let client = exchange.client;
    let mut held = Held::new(sink, pages.all);
    let done = exchange.run(watchdog, source, &mut held, record).await;
    let Some(original) = held.into_original() else {
        return done;
    };
    let broken = match done {
        Forwarded::Switched(_)
        | Forwarded::Broken(End { code: ErrorCode::ClientGone | ErrorCode::ResponseNotRead, .. }) => return done,
        Forwarded::Broken(end) => Some(end),
        Forwarded::Complete => None,
    };
    match instead(client, generation, pages, (original, broken), watchdog, sink, record).await {
        Ok(()) => Forwarded::Complete,
        Err(end) => Forwarded::Broken(end),
    }
}

/// Give a page, or else the error itself; `broken`: how that ended before it was whole.
async fn instead<Sink: ReplySink>(
    client: &Client,
    generation: &Generation,
    pages: &Pages<'_>,
    (original, broken): (Original, Option<End>),
    watchdog: &mut Watchdog,
    sink: &mut Sink,
    record: &mut Entry<'_>,
) -> Result<(), End> {
    let limit = client.worker.settings().response_read_timeout();
    if let Some(answer) = page(client, generation, pages, &original).await {
        record.replaced(answer.status);
        return answer.give(watchdog, limit, sink, false, &ResponseEdits::default()).await;
    }
    let given = original.give(sink, broken.is_none());
    match watchdog.until(Instant::now() + limit, given).await {
        Ok(Ok(())) => broken.map_or(Ok(()), Err),
        Ok(Err(_)) | Err(_) => Err(End { code: ErrorCode::ClientGone, reset: None }),
    }
}

/// `None`: there is none, and nobody who could be asked answers.
async fn page(client: &Client, generation: &Generation, pages: &Pages<'_>, original: &Original) -> Option<Answer> {
    let page = pages.all.of(original.status, original.own)?;
    let (fields, body) = match &page.ir.content {
        PageContent::Body { content_type, body } => (
            vec![("content-type".to_owned(), codec::without_blanks(content_type).as_bytes().to_vec())],
            body.clone().into_bytes(),
        ),
        PageContent::Service { path, timeout_ms, .. } => {
            let mut own = vec![(b"x-code".to_vec(), original.status.to_string().into_bytes())];
            own.extend(pages.told.iter().cloned());
            let message = Message {
                method: "GET".to_owned(),
                path: path.clone(),
                query: None,
                authority: pages.authority.clone(),
                asked_for: None,
                fields: Vec::new(),
                own,
                body: Vec::new(),
                grpc: false,
            };
            let slot = page.slot.and_then(|slot| pages.backends.get(slot).copied())?;
            let limits = (Duration::from_millis(*timeout_ms), MAX_PAGE);
            let whence = Whence { listener: pages.listener, ends: client.ends(&[], None), believed: None };
            let heard = hear(client, generation, whence, slot, message, limits, None).await?;
            (heard.fields, heard.body?)
        }
    };
    let is_new = |name: &str| fields.iter().any(|(new, _)| new.eq_ignore_ascii_case(name));
    let mut answer = Answer::with_status(page.ir.status.unwrap_or(original.status));
    for (name, value) in &original.fields {
        let name = String::from_utf8_lossy(name);
        if !is_new(&name) && !OF_BODIES.iter().any(|of| of.eq_ignore_ascii_case(&name)) {
            answer.fields.push((name.into_owned().into(), value.clone()));
        }
    }
    let own = fields.into_iter().filter(|(name, _)| name != "content-length" && name != "date");
    answer.fields.extend(own.map(|(name, value)| (name.into(), value)));
    answer.body = Some(body);
    Some(answer)
}

#[cfg(test)]
mod tests;
