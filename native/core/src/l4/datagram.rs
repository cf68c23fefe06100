//! The socket of a UDP listener: knows which of its addresses a client sent to, and answers from that one.

use super::batch::{self, BATCH, Room};
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, sendmsg, setsockopt, sockopt,
};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Who sent a datagram, and to which of our addresses: one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client {
    pub peer: SocketAddr,
    /// `None`: the socket has only one address.
    local: Option<Local>,
}

impl Client {
    /// Whether both sent to the same of our addresses.
    pub fn asked_as(&self, other: &Self) -> bool {
        self.local == other.local
    }
}

/// An address of this host. The interface counts for link-local addresses only: others are routed as ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Local {
    V4(Ipv4Addr),
    V6(Ipv6Addr, u32),
}

#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    /// It is bound to every address: the kernel tells which one was meant.
    is_told: bool,
    /// Of this socket alone, see `batch`.
    headers: RefCell<MultiHeaders<SockaddrStorage>>,
}

/// Headers to send with: from the socket's address, or from one of a family.
#[derive(Debug)]
pub struct Senders {
    plain: MultiHeaders<SockaddrStorage>,
    v4: MultiHeaders<SockaddrStorage>,
    v6: MultiHeaders<SockaddrStorage>,
}

impl Default for Senders {
    fn default() -> Self {
        Self {
            plain: MultiHeaders::preallocate(BATCH, None),
            v4: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(libc::in_pktinfo))),
            v6: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(libc::in6_pktinfo))),
        }
    }
}

impl DatagramSocket {
    /// # Errors
    /// The system refuses what the socket needs.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        let is_told = bound.ip().is_unspecified();
        if is_told {
            // One set of options for both families: a socket of IPv6 tells of IPv4 as mapped addresses.
            match bound {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        Ok(Self { socket: UdpSocket::from_std(socket)?, is_told, headers: RefCell::new(headers(is_told)) })
    }

    /// # Errors
    /// What the runtime says.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Take up to a batch of datagrams, without waiting: whose they are and how long. Whether there may be more.
    ///
    /// # Errors
    /// As of `recvmmsg`; that there is none is not one.
    pub fn receive(&self, room: &mut Room, received: &mut Vec<(Client, usize)>) -> io::Result<bool> {
        received.clear();
        let mut headers = self.headers.borrow_mut();
        let mut is_cut = false;
        let more = until_empty(&self.socket, || {
            room.take(0, self.socket.as_raw_fd(), &mut headers, |message| {
                let told = message.cmsgs().ok().and_then(|mut all| all.find_map(|message| local_of(&message)));
                is_cut |= self.is_told && told.is_none();
                if let Some(peer) = message.address.as_ref().and_then(socket_address) {
                    received.push((Client { peer, local: told.flatten() }, message.bytes));
                }
            })
        });
        if is_cut {
            // Headers would keep this for ever.
            *headers = self::headers(self.is_told);
        }
        more
    }

    /// Send to a client from the address that it had sent to. Never waits.
    ///
    /// # Errors
    /// `WouldBlock`: the kernel has no room.
    pub fn send(&self, bytes: &[u8], client: &Client) -> io::Result<()> {
        let slices = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(client.peer);
        let fd = self.socket.as_raw_fd();
        with_control(client.local, |control| sendmsg(fd, &slices, control, MsgFlags::empty(), Some(&to)))?;
        Ok(())
    }

    /// Send several to one client that are `batch::alike`. Never waits.
    ///
    /// # Errors
    /// `WouldBlock`: the kernel has no room. Others: not in this way.
    pub fn send_alike(&self, datagrams: &[&[u8]], client: &Client) -> io::Result<()> {
        let to = SockaddrStorage::from(client.peer);
        let fd = self.socket.as_raw_fd();
        with_control(client.local, |control| batch::send_alike(fd, datagrams, Some(&to), control))
    }

    /// Send to clients that asked the same of our addresses, in one call. Never waits. How many were sent; what the next
    /// one met, a call of its own tells.
    pub fn send_together<'b>(
        &self,
        senders: &mut Senders,
        datagrams: impl ExactSizeIterator<Item = (&'b [u8], Client)> + Clone,
    ) -> usize {
        let Some((_, first)) = datagrams.clone().next() else {
            return 0;
        };
        let headers = match first.local {
            None => &mut senders.plain,
            Some(Local::V4(_)) => &mut senders.v4,
            Some(Local::V6(..)) => &mut senders.v6,
        };
        let datagrams = datagrams.map(|(bytes, client)| (bytes, Some(SockaddrStorage::from(client.peer))));
        let fd = self.socket.as_raw_fd();
        with_control(first.local, |control| batch::send(fd, headers, datagrams, control)).unwrap_or(0)
    }
}

/// Take datagrams of a socket that may have some. Whether there may be more: else the runtime waits for the next one, without
/// a call that only says that there is none.
///
/// # Errors
/// As of `take`, except that there is none.
pub fn until_empty(socket: &UdpSocket, take: impl FnOnce() -> io::Result<(usize, bool)>) -> io::Result<bool> {
    let outcome = socket.try_io(Interest::READABLE, || match take()? {
        // What comes from here on wakes: the kernel had found nothing more.
        (_, true) => Err(io::ErrorKind::WouldBlock.into()),
        (_, false) => Ok(true),
    });
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        outcome => outcome,
    }
}

fn headers(is_told: bool) -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(BATCH, is_told.then(|| nix::cmsg_space!(libc::in6_pktinfo)))
}

/// Call `send` with what makes a datagram leave from an address.
fn with_control<R>(local: Option<Local>, send: impl FnOnce(&[ControlMessage<'_>]) -> R) -> R {
    match local {
        None => send(&[]),
        Some(Local::V4(address)) => {
            let source = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
            send(&[ControlMessage::Ipv4PacketInfo(&info)])
        }
        Some(Local::V6(address, interface)) => {
            let source = libc::in6_addr { s6_addr: address.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: interface };
            send(&[ControlMessage::Ipv6PacketInfo(&info)])
        }
    }
}

/// The address that a message tells of, and whether it can be answered from.
#[allow(clippy::option_option)]
fn local_of(message: &ControlMessageOwned) -> Option<Option<Local>> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Some(Local::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let interface = if address.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
            // Nothing can be sent from a group's address.
            let usable = !address.is_multicast() && !IpAddr::V6(address).to_canonical().is_multicast();
            Some(usable.then_some(Local::V6(address, interface)))
        }
        _ => None,
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}

#[cfg(test)]
mod tests {
    use super::{Local, local_of};
    use nix::libc;
    use nix::sys::socket::ControlMessageOwned;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// The interface counts where the address alone would be ambiguous; a group's address answers nobody.
    #[test]
    fn the_address_that_was_asked() {
        let v4 = |address: [u8; 4]| {
            ControlMessageOwned::Ipv4PacketInfo(libc::in_pktinfo {
                ipi_ifindex: 3,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(address) },
                ipi_addr: libc::in_addr { s_addr: u32::from_ne_bytes([224, 0, 0, 1]) },
            })
        };
        // Of a group the kernel names the address of ours that answers.
        let asked = local_of(&v4([192, 0, 2, 1]));
        assert_eq!(asked, Some(Some(Local::V4(Ipv4Addr::new(192, 0, 2, 1)))));
        for (address, told) in [
            ("2001:db8::1", Some(0)),
            ("fe80::1", Some(3)),
            ("::ffff:192.0.2.1", Some(0)),
            ("ff02::1", None),
            ("::ffff:224.0.0.1", None),
        ] {
            let address: Ipv6Addr = address.parse().unwrap();
            let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 3 };
            let wanted = told.map(|interface| Local::V6(address, interface));
            assert_eq!(local_of(&ControlMessageOwned::Ipv6PacketInfo(info)), Some(wanted), "{address}");
        }
        assert_eq!(local_of(&ControlMessageOwned::ScmRights(Vec::new())), None);
    }
}
