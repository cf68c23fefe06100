//! The socket of a UDP listener: knows which of its addresses a client sent to, and answers from that one.

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
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

/// An address of this host. The interface counts for link-local addresses only: others are routed as ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Local {
    V4(Ipv4Addr),
    V6(Ipv6Addr, u32),
}

#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    /// Room for the control message; empty where the socket is bound to one address.
    control: RefCell<Vec<u8>>,
}

impl DatagramSocket {
    /// # Errors
    /// The system refuses what the socket needs.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        let mut control = Vec::new();
        if bound.ip().is_unspecified() {
            // One set of options for both families: a socket of IPv6 tells of IPv4 as mapped addresses.
            match bound {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
            control = nix::cmsg_space!(libc::in6_pktinfo);
        }
        Ok(Self { socket: UdpSocket::from_std(socket)?, control: RefCell::new(control) })
    }

    /// # Errors
    /// What the runtime says.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// One datagram, without waiting.
    ///
    /// # Errors
    /// `WouldBlock`: there is none.
    pub fn try_receive(&self, space: &mut [u8]) -> io::Result<(usize, Client)> {
        self.socket.try_io(Interest::READABLE, || {
            let mut control = self.control.borrow_mut();
            let mut slices = [IoSliceMut::new(space)];
            let fd = self.socket.as_raw_fd();
            let room = if control.is_empty() { None } else { Some(&mut control[..]) };
            let received = recvmsg::<SockaddrStorage>(fd, &mut slices, room, MsgFlags::empty())?;
            let local = received.cmsgs().ok().and_then(|mut all| all.find_map(|message| local_of(&message)));
            let peer = received.address.as_ref().and_then(socket_address);
            let peer = peer.ok_or_else(|| io::Error::other("a datagram without sender"))?;
            Ok((received.bytes, Client { peer, local }))
        })
    }

    /// Send to a client from the address that it had sent to. Never waits.
    ///
    /// # Errors
    /// `WouldBlock`: the kernel has no room.
    pub fn send(&self, bytes: &[u8], client: &Client) -> io::Result<()> {
        let slices = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(client.peer);
        let fd = self.socket.as_raw_fd();
        match client.local {
            None => sendmsg(fd, &slices, &[], MsgFlags::empty(), Some(&to))?,
            Some(Local::V4(address)) => {
                let source = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
                let info =
                    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
                sendmsg(fd, &slices, &[ControlMessage::Ipv4PacketInfo(&info)], MsgFlags::empty(), Some(&to))?
            }
            Some(Local::V6(address, interface)) => {
                let source = libc::in6_addr { s6_addr: address.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: interface };
                sendmsg(fd, &slices, &[ControlMessage::Ipv6PacketInfo(&info)], MsgFlags::empty(), Some(&to))?
            }
        };
        Ok(())
    }
}

fn local_of(message: &ControlMessageOwned) -> Option<Local> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Local::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let interface = if address.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
            // Nothing can be sent from a group's address.
            let usable = !address.is_multicast() && !IpAddr::V6(address).to_canonical().is_multicast();
            usable.then_some(Local::V6(address, interface))
        }
        _ => None,
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))
}
