//! How a connection begins where a policy wants the PROXY protocol: before TLS, before HTTP, before anything that a client says.

use super::proxy_protocol::{self, Ends, Header};
use super::refuse_unread;
use crate::io::fill::fill;
use crate::message::client::{Origin, Through};
use crate::observe::l4::L4Reason;
use crate::worker::Worker;
use codec::Buffer;
use route::policy::Preamble;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection that has come.
#[derive(Debug)]
pub struct Arrival {
    pub stream: TcpStream,
    pub origin: Origin,
    /// What was read of it already.
    pub ahead: Option<Box<Buffer>>,
}

impl Arrival {
    pub fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self { stream, origin: Origin::of(peer), ahead: None }
    }

    /// The stream, who is at its other end, what that connected to, and what was read already.
    pub fn into_parts(self, worker: &Worker) -> (TcpStream, SocketAddr, Option<SocketAddr>, Vec<u8>) {
        let local = self.origin.local(worker, &self.stream);
        let ahead = self.ahead.map_or_else(Vec::new, |ahead| ahead.filled().to_vec());
        (self.stream, self.origin.peer, local, ahead)
    }
}

/// Read the header of a connection. `None`: it is refused, which is logged and counted, or ended before it said anything.
pub async fn read(worker: &Rc<Worker>, mut arrival: Arrival, preamble: &Preamble) -> Option<Arrival> {
    if !preamble.trusts(arrival.origin.peer.ip().to_canonical()) {
        if !preamble.is_required() {
            return Some(arrival);
        }
        let reason = Silence::Refused("the peer is none of trustedProxies");
        return refuse(worker, &arrival, &reason);
    }
    let limit = worker.settings().handshake_timeout();
    let found = timeout(limit, header(worker, &mut arrival, preamble.is_required())).await;
    match found.unwrap_or(Err(Silence::Refused("the header did not come in time"))) {
        Ok(None) => Some(arrival),
        Ok(Some(Ends { client, local })) => {
            let proxy = arrival.origin.peer.ip().to_canonical();
            let origin = Origin { peer: client, through: Some(Box::new(Through { proxy, local })) };
            Some(Arrival { origin, ..arrival })
        }
        Err(silence) => refuse(worker, &arrival, &silence),
    }
}

/// Why there is no header.
enum Silence {
    Refused(&'static str),
    /// Nothing at all was said: a probe, or a connection that nobody needed.
    Gone,
}

/// Whose connection it is, once the header has left `ahead`. Without its first byte a connection is an idle one, which a drain ends.
async fn header(worker: &Worker, arrival: &mut Arrival, required: bool) -> Result<Option<Ends>, Silence> {
    let mut ahead = Buffer::new();
    loop {
        let idle = ahead.is_empty();
        let filled = tokio::select! {
            biased;
            filled = fill(&mut ahead, &mut arrival.stream, proxy_protocol::MAX_BYTES) => filled,
            () = worker.drain.idle_ends(), if idle => return Err(Silence::Gone),
        };
        match filled {
            Ok(0) if idle => return Err(Silence::Gone),
            Ok(0) => return Err(Silence::Refused("the client closed the connection")),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::OutOfMemory => return Err(Silence::Refused("too many bytes")),
            Err(_) if idle => return Err(Silence::Gone),
            Err(_) => return Err(Silence::Refused("the client broke the connection off")),
        }
        match proxy_protocol::read(ahead.filled()) {
            Header::Incomplete => {}
            Header::Absent if required => return Err(Silence::Refused("it does not begin with a header")),
            Header::Absent => {
                arrival.ahead = Some(Box::new(ahead));
                return Ok(None);
            }
            Header::Malformed(why) => return Err(Silence::Refused(why)),
            Header::Whole(length, ends) => {
                ahead.consume(length);
                arrival.ahead = Some(Box::new(ahead));
                return Ok(ends);
            }
        }
    }
}

fn refuse(worker: &Rc<Worker>, arrival: &Arrival, silence: &Silence) -> Option<Arrival> {
    if let Silence::Refused(why) = silence {
        refuse_unread(worker, &arrival.stream, arrival.origin.peer, L4Reason::ProxyProtocol, Some(why));
    }
    None
}

#[cfg(test)]
mod tests;
