//! The access log: one JSON object a line, or text for people (`access_text`), written by a thread of its own.
//!
//! A worker makes the line and puts it into a bounded queue; when the queue is full the line is counted and dropped, never
//! waited for. The fields are documented in `docs/access-log.md`.

use super::access_text::{Line, Style};
use crate::settings::AccessLog as Settings;
use std::fs::{File, OpenOptions};
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

/// What the writer is told.
#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Look for a file that was opened anew.
    Reopened,
    /// Write what is there and end: other clones of the sender live as long as the log itself.
    End,
}

/// What the workers and the writer share.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes in the queue.
    waiting: AtomicUsize,
    /// The file to go on with.
    next: Mutex<Option<File>>,
}

/// The queue and its writer.
#[derive(Debug)]
pub struct AccessLog {
    enabled: AtomicBool,
    dropped: AtomicU64,
    path: Option<String>,
    /// Text for people; `None`: JSON.
    text: Option<Style>,
    writer: Mutex<Option<JoinHandle<()>>>,
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl AccessLog {
    /// # Errors
    /// The file cannot be opened, or the thread not be started.
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let output: Box<dyn Write + Send> = match &settings.path {
            None if settings.standard_error => Box::new(io::stderr()),
            None => Box::new(io::stdout()),
            Some(path) => Box::new(open(path)?),
        };
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("sluicegate-log".to_owned());
        let handle = thread.spawn(move || write(output, &messages, &theirs))?;
        Ok(Self {
            enabled: AtomicBool::new(settings.enabled),
            dropped: AtomicU64::new(0),
            path: settings.path.clone(),
            text: settings.text.then_some(Style { color: settings.color, utc_offset: settings.utc_offset }),
            writer: Mutex::new(Some(handle)),
            queue,
            shared,
        })
    }

    /// Open the file's path anew: whoever rotates logs has moved the file away. False: there is no file.
    ///
    /// # Errors
    /// It cannot be opened; lines go on to the file that is open.
    pub fn reopen(&self) -> io::Result<bool> {
        let Some(path) = &self.path else {
            return Ok(false);
        };
        let file = open(path)?;
        if let Ok(mut next) = self.shared.next.lock() {
            *next = Some(file);
        }
        // Where the queue is full the writer has lines to write, and looks before it does.
        let _ = self.queue.try_send(Message::Reopened);
        Ok(true)
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

    pub fn push(&self, record: &impl Line) {
        let made = self.text.map_or_else(|| serde_json::to_vec(record), |style| Ok(record.text(style).into_bytes()));
        let Ok(mut line) = made else {
            return;
        };
        line.push(b'\n');
        let size = line.len();
        let fits = self.shared.waiting.fetch_add(size, Ordering::Relaxed) + size <= QUEUE_BYTES;
        if !fits || self.queue.try_send(Message::Line(line)).is_err() {
            self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Write what waits and end the thread.
    pub fn stop(&self) {
        self.set_enabled(false);
        let Some(handle) = self.writer.lock().ok().and_then(|mut writer| writer.take()) else {
            return;
        };
        let _ = self.queue.send(Message::End);
        let _ = handle.join();
    }
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write(mut output: Box<dyn Write + Send>, messages: &Receiver<Message>, shared: &Shared) {
    let mut batch = Vec::with_capacity(BATCH);
    while let Ok(mut message) = messages.recv() {
        let last = loop {
            match message {
                Message::Line(line) => batch.extend_from_slice(&line),
                Message::Reopened => break false,
                Message::End => break true,
            }
            if batch.len() >= BATCH {
                break false;
            }
            let Ok(next) = messages.try_recv() else { break false };
            message = next;
        };
        if let Some(file) = shared.next.lock().ok().and_then(|mut next| next.take()) {
            output = Box::new(file);
        }
        // A full disk must not stop traffic: the lines are lost, the next ones are tried again.
        let _ = output.write_all(&batch).and_then(|()| output.flush());
        shared.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        batch.clear();
        if last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::access_record::Record;

    #[test]
    fn lines_that_wait_are_bounded_by_their_bytes_too() {
        let (queue, lines) = sync_channel(QUEUE);
        let shared = Arc::default();
        let log = AccessLog {
            enabled: AtomicBool::new(true),
            dropped: AtomicU64::new(0),
            path: None,
            text: None,
            writer: Mutex::default(),
            queue,
            shared: Arc::clone(&shared),
        };
        let path = "x".repeat(64 * 1024);
        let record = Record { path: &path, ..Record::default() };
        for _ in 0..300 {
            log.push(&record);
        }
        let kept = 300 - log.dropped();
        assert!((200..256).contains(&kept), "{kept}");
        // Once they are written there is room again.
        drop(log.queue.send(Message::End));
        write(Box::new(io::sink()), &lines, &shared);
        assert_eq!(shared.waiting.load(Ordering::Relaxed), 0);
        log.push(&record);
        assert_eq!(log.dropped(), 300 - kept);
    }
}
