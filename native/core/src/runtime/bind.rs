//! Binding listener sockets: one per worker and address (`SO_REUSEPORT`), after a look whether the port is free.

use crate::io::KeepAlive;
use route::ir::Transport;
use route::table::SocketKey;
use serde::Serialize;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Connections that wait for accept, per socket; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Room for datagrams of one UDP socket, as far as `net.core.rmem_max` allows it: bursts of many clients.
const UDP_BUFFER: usize = 4 * 1024 * 1024;

/// A socket of one worker.
#[derive(Debug)]
pub enum Listening {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Listening {
    /// Another handle of the same socket.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Udp(socket) => socket.try_clone().map(Self::Udp),
        }
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }
}

/// Why a port could not be bound, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BindError {
    pub code: &'static str,
    pub message: String,
    pub hint: &'static str,
}

impl BindError {
    fn new(address: SocketAddr, error: &io::Error) -> Self {
        let (code, hint) = match error.kind() {
            io::ErrorKind::AddrInUse => {
                ("address_in_use", "stop what listens there, or move this gateway with --port-offset or --listen")
            }
            io::ErrorKind::PermissionDenied => (
                "permission_denied",
                "use --port-offset 8000, give the process CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start",
            ),
            io::ErrorKind::AddrNotAvailable => (
                "address_not_available",
                "no interface has this address; correct spec.addresses or override it with --listen",
            ),
            _ => ("bind_failed", "see the message of the operating system"),
        };
        Self { code, message: format!("cannot listen on {address}: {error}"), hint }
    }
}

/// One listening socket per worker. `owned`: this engine has a socket on that port already, so the port cannot be probed.
///
/// # Errors
/// [`BindError`] with what helps.
pub fn bind(key: SocketKey, workers: usize, owned: bool, alive: KeepAlive) -> Result<Vec<Listening>, BindError> {
    let addresses = match key.address {
        Some(address) => vec![SocketAddr::new(address, key.port)],
        // One socket for both families where the system has IPv6, else IPv4 alone.
        None => vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), key.port),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), key.port),
        ],
    };
    let mut failed = None;
    for address in addresses {
        match bind_all(key.transport, address, workers, owned, alive) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => {
                let next = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
                    || error.raw_os_error() == Some(AF_NOT_SUPPORTED);
                failed = Some(BindError::new(address, &error));
                if !next {
                    break;
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| {
        BindError::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), key.port), &io::Error::other("no address"))
    }))
}

/// EAFNOSUPPORT on Linux: a kernel without IPv6.
const AF_NOT_SUPPORTED: i32 = 97;

/// Have the kernel take no further connections: it drops their SYN, while handshakes under way come to their end. What a
/// listening socket holds when it is closed is reset, requests and all; so first this, then what is left is accepted.
///
/// A client that is too late sends its SYN again, and is refused.
pub fn take_no_more(listener: SockRef<'_>) {
    // Classic BPF over the TCP header (RFC 9293 section 3.1): drop what has SYN among the flags of byte 13.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    // Where the system has no such filter, what comes in the last moment is reset.
    let _ = listener.attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_SET, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]);
}

fn bind_all(
    transport: Transport,
    address: SocketAddr,
    workers: usize,
    owned: bool,
    alive: KeepAlive,
) -> io::Result<Vec<Listening>> {
    if !owned && address.port() != 0 {
        // With SO_REUSEPORT two gateways of one user would share the port silently.
        drop(open(transport, address, false)?);
    }
    let first = open(transport, address, true)?;
    let bound = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(open(transport, bound, true)?);
    }
    sockets
        .into_iter()
        .map(|socket| {
            if transport == Transport::Udp {
                let _ = socket.set_recv_buffer_size(UDP_BUFFER);
                return Ok(Listening::Udp(socket.into()));
            }
            alive.set(SockRef::from(&socket));
            socket.listen(BACKLOG)?;
            Ok(Listening::Tcp(socket.into()))
        })
        .collect()
}

fn open(transport: Transport, address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    if transport == Transport::Tcp {
        // Of UDP it would take the port from whoever has it.
        socket.set_reuse_address(true)?;
        // What is accepted has it too. Without it small responses wait for the client's delayed acknowledgement.
        socket.set_tcp_nodelay(true)?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::{Listening, bind};
    use crate::io::KeepAlive;
    use route::ir::Transport;
    use route::table::SocketKey;
    use socket2::SockRef;
    use std::io;
    use std::net::{IpAddr, Ipv4Addr, TcpStream};
    use std::time::Duration;

    #[test]
    fn a_client_that_is_gone_is_found() {
        let key = SocketKey { transport: Transport::Tcp, address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: 0 };
        let bound = bind(key, 1, false, KeepAlive::new(Duration::from_secs(300))).expect("a socket");
        let [Listening::Tcp(listener)] = &bound[..] else { panic!("one TCP socket was asked for") };
        let _client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let accepted = loop {
            match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => break accepted.expect("a connection").0,
            }
        };
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().expect("the option"));
        assert_eq!(socket.tcp_keepalive_time().expect("the option"), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_interval().expect("the option"), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().expect("the option"), 4);
        assert_eq!(socket.tcp_user_timeout().expect("the option"), Some(Duration::from_secs(300)));
    }
}
