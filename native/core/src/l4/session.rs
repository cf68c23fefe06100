//! One client's datagrams to one endpoint.

use super::batch;
use super::datagram::Client;
use super::entry::Entry;
use crate::upstream::{Active, EndpointState};
use crate::worker::SessionGuard;
use nix::sys::socket::MultiHeaders;
use route::table::Endpoint;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::Instant;

#[derive(Debug)]
pub struct Session {
    pub client: Client,
    pub socket: UdpSocket,
    pub endpoint: Arc<Endpoint>,
    pub state: Rc<EndpointState>,
    pub entry: Entry,
    pub last: Cell<Instant>,
    /// Its endpoint has said something.
    pub answered: Cell<bool>,
    /// The generation in which its endpoint was last found to be wanted.
    pub seen: Cell<(usize, u64)>,
    /// Whether datagrams of one length may leave together, towards the endpoint and the client: until that fails.
    pub cuts: Cell<bool>,
    pub cuts_answers: Cell<bool>,
    pub answers: RefCell<Option<AbortHandle>>,
    pub _active: Active,
    pub _open: SessionGuard,
}

impl Session {
    /// Pass datagrams on, several in one call. An error: the endpoint cannot be reached, as the datagram in that place found.
    pub fn send(&self, headers: &mut MultiHeaders<()>, datagrams: &[&[u8]]) -> Result<(), usize> {
        let fd = self.socket.as_raw_fd();
        let mut sent = 0;
        while self.cuts.get() {
            let count = batch::alike(datagrams[sent..].iter().map(|bytes| bytes.len()));
            if count == 1 {
                break;
            }
            let alike = &datagrams[sent..sent + count];
            match batch::send_alike::<()>(fd, alike, None, &[]) {
                Ok(()) => alike.iter().for_each(|bytes| self.passed_on(bytes)),
                Err(error) if is_unreachable(&error) => return Err(sent),
                Err(error) => {
                    self.cuts.set(error.kind() == io::ErrorKind::WouldBlock);
                    break;
                }
            }
            sent += count;
        }
        if datagrams.len() > sent + 1 {
            let rest = datagrams[sent..].iter().map(|bytes| (*bytes, None));
            match batch::send(fd, headers, rest, &[]) {
                Ok(count) => {
                    datagrams[sent..sent + count].iter().for_each(|bytes| self.passed_on(bytes));
                    sent += count;
                }
                // Told once: another try would find no error.
                Err(error) => {
                    self.failed(&error).map_err(|()| sent)?;
                    sent += 1;
                }
            }
        }
        // The kernel does not say what stopped a batch: one by one, each tells.
        for (place, bytes) in datagrams.iter().enumerate().skip(sent) {
            // Not by readiness: a socket just made has none yet, and nothing waits here anyway.
            match SockRef::from(&self.socket).send(bytes) {
                Ok(_) => self.passed_on(bytes),
                Err(error) => self.failed(&error).map_err(|()| place)?,
            }
        }
        Ok(())
    }

    fn passed_on(&self, bytes: &[u8]) {
        self.last.set(Instant::now());
        self.entry.datagram_received(bytes.len());
    }

    /// A datagram was not taken. An error: nor will others be.
    fn failed(&self, error: &io::Error) -> Result<(), ()> {
        if is_unreachable(error) {
            return Err(());
        }
        self.entry.dropped();
        Ok(())
    }

    /// What the socket has been told since, if anything.
    pub fn take_error(&self) -> io::Result<()> {
        let taken: io::Result<()> = self.socket.try_io(Interest::ERROR, || match self.socket.take_error()? {
            Some(error) => Err(error),
            None => Err(io::ErrorKind::WouldBlock.into()),
        });
        match taken {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    pub fn stop(&self) {
        self.entry.finished();
        if let Some(answers) = self.answers.take() {
            answers.abort();
        }
    }
}

pub fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}

/// A socket towards an endpoint.
///
/// # Errors
/// The system has none, or no way there.
pub fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    UdpSocket::from_std(socket)
}
