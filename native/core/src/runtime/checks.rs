//! Asks endpoints whether they do well (`health.active` of a `BackendPolicy`): one thread for all workers, made for the first
//! backend that wants it.
//!
//! Each endpoint has a task that asks, waits, and asks again; a new configuration begins those that are new, ends those that are
//! gone, and leaves the others alone. Of an endpoint whose question is another one now, what was known stays until that is
//! answered.

use crate::upstream::{Check, Checked, Load};
use crate::worker::{Generation, Shared};
use ahash::AHashMap;
use route::ir::HealthQuestion;
use route::rendezvous;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Endpoints that are asked; further ones count as doing well, and the operator is told. Stops a cluster of endpoints from
/// taking the gateway's time.
const MAX_ENDPOINTS: usize = 16_384;

/// Questions under way at once. Stops descriptor exhaustion; further ones wait.
const MAX_AT_ONCE: usize = 256;

/// Within so long the first question of a new endpoint is asked.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// The part of an interval by which questions are apart, at most: many gateways must not ask as one.
const JITTER: f64 = 0.1;

/// Some endpoint of this generation is to be asked.
pub fn are_wanted(generation: &Generation) -> bool {
    let mut policies = generation.table.backends().filter_map(|backend| backend.policy.as_ref());
    policies.any(|policy| policy.active.is_some())
}

/// An endpoint that is asked.
#[derive(Debug)]
struct Asked {
    backend: String,
    uid: u64,
    check: Check,
    checked: Arc<Checked>,
}

type Tasks = AHashMap<(String, u64), (Rc<Asked>, AbortHandle)>;

/// Follow the generations.
pub async fn follow(shared: Arc<Shared>) {
    let mut renewed = shared.renewed.subscribe();
    let places = Rc::new(Semaphore::new(MAX_AT_ONCE));
    let mut tasks = Tasks::new();
    loop {
        let generation = shared.generation.load_full();
        let wanted = wanted(&generation, &shared);
        drop(generation);
        update(&mut tasks, wanted, |asked| {
            let task = watch_one(Rc::clone(asked), Rc::clone(&places), Arc::clone(&shared));
            tokio::task::spawn_local(task).abort_handle()
        });
        if renewed.changed().await.is_err() {
            return;
        }
    }
}

/// The endpoints that this generation has asked.
fn wanted(generation: &Generation, shared: &Shared) -> Vec<Asked> {
    let mut found = Vec::new();
    let mut left_out = 0_usize;
    for backend in generation.table.backends() {
        let is_asked = backend.policy.as_ref().is_some_and(|policy| policy.active.is_some());
        let Some(load) = Load::of(backend).filter(|_| is_asked) else {
            continue;
        };
        for endpoint in backend.selectable() {
            let Some(check) = Check::of(backend, endpoint, &generation.client_tls) else {
                continue;
            };
            if found.len() == MAX_ENDPOINTS {
                left_out += 1;
                continue;
            }
            let (id, checked) = (backend.id.clone(), Arc::clone(load.checked()));
            found.push(Asked { backend: id, uid: endpoint.uid, check, checked });
        }
    }
    if left_out > 0 {
        let message =
            format!("{left_out} endpoints are not asked whether they do well: there are more than {MAX_ENDPOINTS}");
        shared.events.push("endpoints_unchecked", message);
    }
    found
}

/// Begin, end, and leave alone.
fn update(tasks: &mut Tasks, wanted: Vec<Asked>, begin: impl Fn(&Rc<Asked>) -> AbortHandle) {
    let mut before = std::mem::take(tasks);
    for asked in wanted {
        let key = (asked.backend.clone(), asked.uid);
        match before.remove(&key) {
            Some((same, task)) if goes_on(&same, &asked) && !task.is_finished() => {
                tasks.insert(key, (same, task));
            }
            other => {
                if let Some((_, task)) = other {
                    task.abort();
                }
                let asked = Rc::new(asked);
                let task = begin(&asked);
                tasks.insert(key, (asked, task));
            }
        }
    }
    for (gone, task) in before.into_values() {
        task.abort();
        gone.checked.forget(gone.uid);
    }
}

fn goes_on(before: &Asked, now: &Asked) -> bool {
    before.check.same_as(&now.check) && Arc::ptr_eq(&before.checked, &now.checked)
}

/// Ask one endpoint for ever.
async fn watch_one(asked: Rc<Asked>, places: Rc<Semaphore>, shared: Arc<Shared>) {
    let terms = asked.check.terms();
    let interval = Duration::from_millis(terms.interval_ms.max(1));
    let is_unhealthy = asked.checked.verdicts().is_unhealthy(asked.uid);
    let mut tally = Tally::new(!is_unhealthy, [terms.healthy_after, terms.unhealthy_after]);
    let mut turn = 0_u64;
    sleep(interval.min(FIRST_WITHIN).mul_f64(chance(asked.uid, turn))).await;
    loop {
        let answer = ask(&asked, &places, &shared).await;
        asked.checked.count(answer.is_ok());
        if tally.count(answer.is_ok()) {
            asked.checked.decide(asked.uid, tally.is_healthy);
            tell(&asked, &shared, answer);
        }
        turn += 1;
        sleep(interval.mul_f64(1.0 + JITTER * (2.0 * chance(asked.uid, turn) - 1.0))).await;
    }
}

async fn ask(asked: &Asked, places: &Semaphore, shared: &Shared) -> Result<(), String> {
    if shared.own.has(route::ir::Transport::Tcp, asked.check.address()) {
        return Err("it leads back to this gateway".to_owned());
    }
    let _place = places.acquire().await;
    asked.check.ask(&shared.settings).await
}

fn tell(asked: &Asked, shared: &Shared, answer: Result<(), String>) {
    let (backend, address) = (&asked.backend, asked.check.address());
    let question = match asked.check.terms().question {
        HealthQuestion::Tcp => "a connection",
        HealthQuestion::Http { .. } => "HTTP",
        HealthQuestion::Grpc { .. } => "the health protocol of gRPC",
    };
    let about = format!("endpoint {address} of {backend}");
    match answer {
        Ok(()) => {
            let message = format!("backend {backend}: endpoint {address} does well again, asked by {question}");
            shared.events.push_state("endpoint_healthy", about, message);
        }
        Err(reason) => {
            let message = format!("backend {backend}: endpoint {address} does badly, asked by {question}: {reason}");
            shared.events.push_state("endpoint_unhealthy", about, message);
        }
    }
}

/// From 0 to 1, another one for each endpoint and turn.
fn chance(uid: u64, turn: u64) -> f64 {
    let mixed = rendezvous::hash(uid, &turn.to_le_bytes());
    f64::from((mixed >> 32) as u32) / f64::from(u32::MAX)
}

/// How answers in a row add up.
#[derive(Debug)]
struct Tally {
    is_healthy: bool,
    /// Answers in a row that say otherwise.
    against: u32,
    /// As many have it do well again, or badly.
    needed: [u32; 2],
}

impl Tally {
    fn new(is_healthy: bool, needed: [u32; 2]) -> Self {
        Self { is_healthy, against: 0, needed }
    }

    /// True: this answer changes how the endpoint does.
    fn count(&mut self, is_good: bool) -> bool {
        if is_good == self.is_healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.against < self.needed[usize::from(self.is_healthy)] {
            return false;
        }
        *self = Self::new(is_good, self.needed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Tally, chance};

    #[test]
    fn answers_in_a_row_change_what_is_thought() {
        let mut tally = Tally::new(true, [2, 3]);
        let answers = [false, false, true, false, false, false, false, true, false, true, true, true, false];
        let changes = [5, 10];
        for (at, is_good) in answers.into_iter().enumerate() {
            assert_eq!(tally.count(is_good), changes.contains(&at), "{at}");
        }
        assert!(tally.is_healthy);
    }

    #[test]
    fn gateways_do_not_ask_as_one() {
        let chances: Vec<f64> = (0..1000).map(|uid| chance(uid, 1)).collect();
        assert!(chances.iter().all(|it| (0.0..=1.0).contains(it)));
        let low = chances.iter().filter(|it| **it < 0.5).count();
        assert!((400..600).contains(&low));
    }
}
