//! Threads that verify passwords: a hash is milliseconds of work, which no worker may spend. Few of them, with a short queue:
//! who guesses passwords gets 503, and nobody else waits.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// Passwords that wait for a thread.
const MAX_WAITING: usize = 64;

/// At most; one of two processors is left to the workers.
const MAX_THREADS: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

/// The threads of a process; they begin with the first password.
fn queue() -> &'static SyncSender<Work> {
    static QUEUE: OnceLock<SyncSender<Work>> = OnceLock::new();
    QUEUE.get_or_init(|| {
        let (sender, receiver) = sync_channel::<Work>(MAX_WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let count = thread::available_parallelism().map_or(1, |all| all.get() / 2).clamp(1, MAX_THREADS);
        for _ in 0..count {
            let receiver = receiver.clone();
            // A process that may not have another thread verifies on those it has; on none, the queue fills up: 503.
            drop(thread::Builder::new().name("passwords".to_owned()).spawn(move || work(&receiver)));
        }
        sender
    })
}

fn work(receiver: &Mutex<Receiver<Work>>) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // What panics costs its own answer: who waits finds that nobody will answer.
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)));
    }
}

/// Have something done; `None`: too much waits already.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<oneshot::Receiver<T>> {
    let (answer, receiver) = oneshot::channel();
    let boxed: Work = Box::new(move || {
        // Who left needs no answer, and costs no work.
        if !answer.is_closed() {
            drop(answer.send(work()));
        }
    });
    match queue().try_send(boxed) {
        Ok(()) => Some(receiver),
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_THREADS, MAX_WAITING, run};
    use std::sync::{Arc, Barrier, mpsc};

    /// One test, since all share the threads of the process.
    #[tokio::test]
    async fn the_queue_is_short_and_outlives_a_panic() {
        assert!(run(|| -> u8 { panic!("a test") }).expect("a place").await.is_err());
        assert_eq!(run(|| 7).expect("a place").await, Ok(7));
        let (gate, started) = (Arc::new(Barrier::new(2)), mpsc::channel());
        let held = gate.clone();
        let first = run(move || {
            started.0.send(()).expect("somebody waits");
            held.wait();
        });
        started.1.recv().expect("it runs");
        // Others hold the remaining threads until the first is let go; what comes on top of the queue is refused.
        let (stop, stopped) = (Arc::new(std::sync::RwLock::new(())), Vec::new());
        let lock = stop.write().expect("a lock");
        let mut waiting: Vec<_> = stopped;
        let mut refused = 0;
        for _ in 0..MAX_WAITING + 2 * MAX_THREADS {
            let stop = stop.clone();
            match run(move || drop(stop.read())) {
                Some(receiver) => waiting.push(receiver),
                None => refused += 1,
            }
        }
        assert!(refused > 0 && waiting.len() >= MAX_WAITING, "{refused} {}", waiting.len());
        drop(lock);
        gate.wait();
        for receiver in waiting {
            receiver.await.expect("an answer");
        }
        first.expect("a place").await.expect("an answer");
    }
}
