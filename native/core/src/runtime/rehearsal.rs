//! Requests without a network: what is decided of a head, up to the endpoint that it would go to. For measurements.

use super::Engine;
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::request::Request;
use crate::worker::Worker;
use codec::{MAX_FIELDS, Parsed, parse_request};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// The request would not go to an endpoint at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotForwarded;

impl Engine {
    /// Nanoseconds that a request takes, on the thread of the caller: its head is parsed, its rule is found, its policies are asked,
    /// what goes to the backend is written and its endpoint is chosen. Nothing is sent. Of each head there are so many requests.
    /// The engine serves nobody else meanwhile, since figures have one writer.
    ///
    /// # Errors
    /// [`NotForwarded`].
    pub fn rehearse(&self, heads: &[Vec<u8>], rounds: u32) -> Result<f64, NotForwarded> {
        let worker = Rc::new(Worker::new(0, Arc::clone(self.shared())));
        let socket = worker.generation().table.sockets().next().map(|socket| socket.key).ok_or(NotForwarded)?;
        let client = Client::new(Rc::clone(&worker), ([127, 0, 0, 1], 1).into(), socket, None);
        let started = Instant::now();
        for head in heads.iter().flat_map(|head| (0..rounds).map(move |_| head)) {
            let generation = worker.generation();
            let Ok(Parsed::Complete(head)) = parse_request(head, MAX_FIELDS) else { return Err(NotForwarded) };
            if !Request::new(&client, &generation, &Inbound::from_http1(head)).rehearse() {
                return Err(NotForwarded);
            }
        }
        let requests = u32::try_from(heads.len()).unwrap_or(u32::MAX).saturating_mul(rounds).max(1);
        Ok(started.elapsed().as_secs_f64() * 1e9 / f64::from(requests))
    }
}
