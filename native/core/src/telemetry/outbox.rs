//! What waits until a collector takes it, spans and log records, of one worker. Bounded by octets: what has no place is dropped.

use super::destination::Destination;
use ahash::AHashMap;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Octets that wait for one collector. Stops one that takes nothing from filling memory.
const MAX_WAITING: usize = 1024 * 1024;

/// The same of all collectors.
const MAX_WAITING_OF_ALL: usize = 8 * MAX_WAITING;

/// Octets that leave in one message; collectors refuse messages above 4 MiB.
const MAX_BATCH: usize = 256 * 1024;

/// How long a span, or a line, waits for company.
const LINGER: Duration = Duration::from_secs(1);

/// Between tries of one message; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Tries of one message.
const MAX_TRIES: u32 = 5;

/// A message of which nothing was heard for so long has ended without a word. Longer than any takes.
const LOST: Duration = Duration::from_secs(60);

/// What leaves in one message: as much as has room in it, or what one request leaves where that is more.
#[derive(Debug, Default)]
pub struct Batch {
    pub octets: Vec<u8>,
    pub items: u64,
    tries: u32,
}

/// Of one collector.
#[derive(Debug)]
struct Outbox {
    /// The one for which something came last.
    collector: Arc<Destination>,
    /// In the order in which they leave; more is added to the last one.
    batches: VecDeque<Batch>,
    octets: usize,
    /// A message that was not taken, and is tried again.
    kept: Option<Batch>,
    /// When there is something to do; nothing while a message is under way.
    due: Option<Instant>,
    /// Since when one is.
    under_way: Option<Instant>,
}

impl Outbox {
    fn is_lost(&self, now: Instant) -> bool {
        self.under_way.is_some_and(|since| now >= since + LOST)
    }

    /// When something is to be done.
    fn next(&self) -> Option<Instant> {
        self.under_way.map_or(self.due, |since| Some(since + LOST))
    }
}

/// Of one worker.
#[derive(Debug, Default)]
pub struct Outboxes {
    boxes: RefCell<AHashMap<String, Outbox>>,
    waiting: Cell<usize>,
    changed: Notify,
}

impl Outboxes {
    /// Put what a request leaves among what waits; what has no place is dropped, and counted.
    pub fn push(&self, collector: &Arc<Destination>, octets: &[u8], items: u64, now: Instant) {
        let mut boxes = self.boxes.borrow_mut();
        let own = match boxes.get_mut(collector.id()) {
            Some(own) => own,
            None => boxes.entry(collector.id().to_owned()).or_insert(Outbox {
                collector: Arc::clone(collector),
                batches: VecDeque::new(),
                octets: 0,
                kept: None,
                due: None,
                under_way: None,
            }),
        };
        let (size, all) = (octets.len(), self.waiting.get());
        if own.octets + size > MAX_WAITING || all + size > MAX_WAITING_OF_ALL {
            collector.figures.dropped(items);
            return;
        }
        if !Arc::ptr_eq(&own.collector, collector) {
            own.collector = Arc::clone(collector);
        }
        match own.batches.back_mut() {
            Some(last) if last.octets.len() + size <= MAX_BATCH => {
                last.octets.extend_from_slice(octets);
                last.items += items;
            }
            _ => own.batches.push_back(Batch { octets: octets.to_vec(), items, tries: 0 }),
        }
        own.octets += size;
        self.waiting.set(all + size);
        if own.under_way.is_some() || own.kept.is_some() {
            return;
        }
        if own.due.is_none() {
            own.due = Some(now + LINGER);
            self.changed.notify_one();
        } else if own.octets >= MAX_BATCH && own.due.is_some_and(|due| due > now) {
            own.due = Some(now);
            self.changed.notify_one();
        }
    }

    /// Take a message that is due, and begin it; whoever takes it says what came of it. `early`: whether or not it is due.
    pub fn take(&self, now: Instant, early: bool) -> Option<(Arc<Destination>, Batch)> {
        let mut boxes = self.boxes.borrow_mut();
        // Of a message that was lost nothing is left to send.
        boxes.retain(|_, own| !own.is_lost(now) || own.kept.is_some() || !own.batches.is_empty());
        let is_due = |own: &&mut Outbox| own.next().is_some_and(|due| due <= now || (early && own.under_way.is_none()));
        let own = boxes.values_mut().find(is_due)?;
        own.due = None;
        own.under_way = Some(now);
        let batch = own.kept.take().unwrap_or_else(|| {
            let batch = own.batches.pop_front().unwrap_or_default();
            own.octets -= batch.octets.len();
            self.waiting.set(self.waiting.get() - batch.octets.len());
            batch
        });
        Some((Arc::clone(&own.collector), batch))
    }

    /// A message has come to its end. `again`: it was not taken, and may be at another time.
    pub fn done(&self, collector: &Destination, again: Option<Batch>, now: Instant) {
        let mut boxes = self.boxes.borrow_mut();
        let Some(own) = boxes.get_mut(collector.id()) else { return };
        own.under_way = None;
        own.due = None;
        match again {
            Some(batch) if batch.tries + 1 < MAX_TRIES => {
                let pause = FIRST_RETRY.saturating_mul(1 << batch.tries.min(16)).min(LAST_RETRY);
                own.due = Some(now + pause);
                own.kept = Some(Batch { tries: batch.tries + 1, ..batch });
            }
            Some(batch) => collector.figures.failed(batch.items),
            None => {}
        }
        if own.due.is_none() && !own.batches.is_empty() {
            // The first of them has waited meanwhile.
            own.due = Some(if own.octets >= MAX_BATCH { now } else { now + LINGER });
        }
        if own.due.is_some() {
            self.changed.notify_one();
        } else {
            // Policies come and go.
            boxes.remove(collector.id());
        }
    }

    /// When the next message is due.
    pub fn due(&self) -> Option<Instant> {
        self.boxes.borrow().values().filter_map(Outbox::next).min()
    }

    /// Nothing waits, and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.boxes.borrow().is_empty()
    }

    /// Until something else may be due.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, FIRST_RETRY, LINGER, LOST, MAX_BATCH, MAX_TRIES, MAX_WAITING, MAX_WAITING_OF_ALL, Outboxes};
    use crate::telemetry::samples::destination;
    use serde_json::json;
    use tokio::time::Instant;

    fn outcomes(of: &super::Destination) -> [u64; 3] {
        of.figures.all().map(|(_, items)| items)
    }

    /// A span waits for company, but not long; a message has an end.
    #[test]
    fn when_spans_leave() {
        let (boxes, to, now) = (Outboxes::default(), destination(&json!({})), Instant::now());
        assert!(boxes.is_empty() && boxes.due().is_none() && boxes.take(now, true).is_none());
        boxes.push(&to, &[1; 10], 2, now);
        boxes.push(&to, &[2; 10], 1, now);
        assert_eq!(boxes.due(), Some(now + LINGER));
        assert!(boxes.take(now, false).is_none());
        let (_, batch) = boxes.take(now + LINGER, false).unwrap();
        assert_eq!((batch.items, batch.octets), (3, [[1; 10], [2; 10]].concat()));
        // One message at a time.
        boxes.push(&to, &vec![3; MAX_BATCH], 1, now);
        assert!(boxes.take(now + LINGER, true).is_none());
        boxes.done(&to, None, now);
        assert_eq!(boxes.due(), Some(now), "as much as a message takes does not wait");
        boxes.push(&to, &[4; 10], 1, now);
        assert_eq!(boxes.take(now, false).unwrap().1.octets.len(), MAX_BATCH);
        boxes.done(&to, None, now);
        assert_eq!(boxes.take(now, true).unwrap().1.items, 1);
        boxes.done(&to, None, now);
        assert!(boxes.is_empty() && boxes.waiting.get() == 0);
        // One that is larger than a message leaves alone.
        boxes.push(&to, &vec![5; 2 * MAX_BATCH], 1, now);
        boxes.push(&to, &[6; 10], 1, now);
        assert_eq!(boxes.take(now, true).unwrap().1.octets.len(), 2 * MAX_BATCH);
    }

    /// A collector that takes nothing fills its own queue, and no memory beyond it; others go on.
    #[test]
    fn what_has_no_place_is_dropped() {
        let (boxes, now) = (Outboxes::default(), Instant::now());
        let to = |name: usize| destination(&json!({"id": format!("XTelemetryPolicy/a/p{name}")}));
        let (stalled, other) = (to(0), to(1));
        for _ in 0..MAX_WAITING / 1024 + 50 {
            boxes.push(&stalled, &[0; 1024], 3, now);
        }
        assert_eq!(outcomes(&stalled), [0, 150, 0]);
        boxes.push(&other, &[0; 1024], 3, now);
        assert_eq!(outcomes(&other), [0, 0, 0]);
        let all: Vec<_> = (2..20).map(to).collect();
        for each in &all {
            boxes.push(each, &vec![0; MAX_WAITING], 1, now);
        }
        assert!(boxes.waiting.get() <= MAX_WAITING_OF_ALL);
        assert!(all.iter().any(|each| outcomes(each)[1] == 1));
    }

    /// A message is tried again less and less, and then no more; what came meanwhile follows it.
    #[test]
    fn what_is_tried_again() {
        let (boxes, to, mut now) = (Outboxes::default(), destination(&json!({})), Instant::now());
        boxes.push(&to, &[1; 10], 1, now);
        let mut pauses = Vec::new();
        for _ in 0..MAX_TRIES {
            let (_, batch) = boxes.take(now + LINGER, true).unwrap();
            assert_eq!(batch.octets, [1; 10]);
            boxes.push(&to, &[2; 10], 1, now);
            boxes.done(&to, Some(batch), now);
            let due = boxes.due().unwrap();
            pauses.push(due - now);
            now = due;
        }
        assert_eq!(pauses[..3], [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]);
        assert_eq!(outcomes(&to), [0, 0, 1]);
        assert_eq!(boxes.take(now, true).unwrap().1.items, u64::from(MAX_TRIES));
    }

    /// Who was to say what came of a message may have met its end.
    #[test]
    fn a_message_without_an_end_is_given_up() {
        let (boxes, to, now) = (Outboxes::default(), destination(&json!({})), Instant::now());
        boxes.push(&to, &[1; 10], 1, now);
        let Some((_, Batch { .. })) = boxes.take(now, true) else { panic!("a message") };
        boxes.push(&to, &[2; 10], 1, now);
        assert!(boxes.take(now + LOST / 2, false).is_none());
        assert_eq!(boxes.take(now + LOST, false).unwrap().1.octets, [2; 10]);
        // Where nothing came meanwhile there is nothing to send.
        assert!(boxes.take(now + 3 * LOST, false).is_none() && boxes.is_empty());
    }
}
