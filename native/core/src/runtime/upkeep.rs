//! What goes on beside serving, once somebody wants it: a thread for all workers, which looks at each new generation.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// A thread, from the first generation on that wants it.
#[derive(Debug)]
pub struct Upkeep {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// `work` ends with the thread.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start<Work: Future<Output = ()>>(
        name: &str,
        work: impl FnOnce() -> Work + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("sluicegate-{name}")).spawn(move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = work() => {}
                    _ = stopped => {}
                }
            });
            // What nobody answers must not hold up the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// The thread has panicked: another one may take its place.
    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Have a thread where one is wanted; one that goes on is left alone.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn ensure(kept: &mut Option<Self>, wanted: bool, start: impl FnOnce() -> io::Result<Self>) -> io::Result<()> {
        *kept = kept.take().filter(|upkeep| !upkeep.has_ended());
        if kept.is_none() && wanted {
            *kept = Some(start()?);
        }
        Ok(())
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
