//! The access log: one JSON object a line, written by a thread of its own.
//!
//! A worker makes the line and puts it into a bounded queue; when the queue is full the line is counted and dropped, never
//! waited for. The fields are documented in `docs/access-log.md`.

use crate::runtime::settings::AccessLog as Settings;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Lines that wait for the writer, all workers together.
const QUEUE: usize = 16 * 1024;

/// Bytes of the lines that wait: heads of the largest size would fill the memory while the disk is slow.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that leave in one write.
const BATCH: usize = 64 * 1024;

/// One line.
#[derive(Debug, Default, Serialize)]
pub struct Record<'r> {
    /// Start of the request, seconds since 1970.
    pub time: f64,
    pub duration_ms: f64,
    pub client: &'r str,
    pub protocol: &'r str,
    pub scheme: &'r str,
    pub sni: Option<&'r str>,
    pub method: &'r str,
    pub authority: &'r str,
    pub path: &'r str,
    pub user_agent: Option<&'r str>,
    pub request_id: Option<&'r str>,
    pub listener: Option<&'r str>,
    pub route: Option<&'r str>,
    pub rule: Option<&'r str>,
    pub backend: Option<&'r str>,
    pub endpoint: Option<&'r str>,
    pub status: u16,
    pub grpc_status: Option<u32>,
    pub error: Option<&'r str>,
    pub error_detail: Option<&'r str>,
    pub retries: u32,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// The queue and its writer.
#[derive(Debug)]
pub struct AccessLog {
    enabled: AtomicBool,
    dropped: AtomicU64,
    writer: Mutex<Option<(SyncSender<Vec<u8>>, JoinHandle<()>)>>,
    queue: SyncSender<Vec<u8>>,
    /// Bytes in the queue.
    waiting: Arc<AtomicUsize>,
}

impl AccessLog {
    /// # Errors
    /// The file cannot be opened, or the thread not be started.
    pub fn start(settings: &Settings, _workers: usize) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let output: Box<dyn Write + Send> = match &settings.path {
            None => Box::new(io::stdout()),
            Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("sluicegate-log".to_owned());
        let handle = thread.spawn(move || write(output, &lines, &left))?;
        Ok(Self {
            enabled: AtomicBool::new(settings.enabled),
            dropped: AtomicU64::new(0),
            writer: Mutex::new(Some((queue.clone(), handle))),
            queue,
            waiting,
        })
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn push(&self, record: &impl Serialize) {
        let Ok(mut line) = serde_json::to_vec(record) else {
            return;
        };
        line.push(b'\n');
        let size = line.len();
        let fits = self.waiting.fetch_add(size, Ordering::Relaxed) + size <= QUEUE_BYTES;
        if !fits || self.queue.try_send(line).is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Write what waits and end the thread.
    pub fn stop(&self) {
        self.set_enabled(false);
        let Some((queue, handle)) = self.writer.lock().ok().and_then(|mut writer| writer.take()) else {
            return;
        };
        // An empty line is the end: other clones of the sender live as long as the log itself.
        let _ = queue.send(Vec::new());
        let _ = handle.join();
    }
}

fn write(mut output: Box<dyn Write + Send>, lines: &Receiver<Vec<u8>>, waiting: &AtomicUsize) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(line) = lines.recv() {
        let mut last = line.is_empty();
        batch.extend_from_slice(&line);
        while batch.len() < BATCH && !last {
            let Ok(line) = lines.try_recv() else { break };
            last = line.is_empty();
            batch.extend_from_slice(&line);
        }
        // A full disk must not stop traffic: the lines are lost, the next ones are tried again.
        let _ = output.write_all(&batch).and_then(|()| output.flush());
        waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        batch.clear();
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_wait_are_bounded_by_their_bytes_too() {
        let (queue, lines) = sync_channel(QUEUE);
        let waiting = Arc::default();
        let log = AccessLog {
            enabled: AtomicBool::new(true),
            dropped: AtomicU64::new(0),
            writer: Mutex::default(),
            queue,
            waiting: Arc::clone(&waiting),
        };
        let path = "x".repeat(64 * 1024);
        let record = Record { path: &path, ..Record::default() };
        for _ in 0..300 {
            log.push(&record);
        }
        let kept = 300 - log.dropped();
        assert!((200..256).contains(&kept), "{kept}");
        // Once they are written there is room again.
        drop(log.queue.send(Vec::new()));
        write(Box::new(io::sink()), &lines, &waiting);
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
        log.push(&record);
        assert_eq!(log.dropped(), 300 - kept);
    }
}
