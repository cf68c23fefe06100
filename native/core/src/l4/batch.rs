//! Several datagrams in one system call: room for them, and how they are taken and sent.
//!
//! `nix` lays out the headers, so nothing here is unsafe. Two of its ways shape what uses them:
//! - Headers that receive keep the lengths that the kernel wrote into them last (nix issue 2506, pull request 2813), so a set
//!   of them serves one kind of socket only, where every datagram comes with the same.
//! - One control message is for all datagrams of a call, so what is sent at once leaves from one address.

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, RecvMsg, SockaddrLike, recvmmsg, sendmmsg, sendmsg};
use smallvec::SmallVec;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::RawFd;

/// Datagrams in one system call, at most. More would save little and take room.
pub const BATCH: usize = 32;

/// The largest datagram that IP carries.
const LARGEST: usize = 65_535;

/// The largest datagram that may leave as a part of one that the kernel cuts: one that no Ethernet has to fragment, since the
/// kernel does not cut into pieces that would have to be.
const SEGMENT: usize = 1_452;

/// From one place to the next. Were it a power of two, the beginnings of all would compete for the same cache lines.
const STRIDE: usize = 65_536 + 320;

/// Places for a batch of datagrams of any size. Memory is taken only for what was ever written.
#[derive(Debug)]
pub struct Room(Vec<u8>);

impl Default for Room {
    fn default() -> Self {
        Self(vec![0; BATCH * STRIDE])
    }
}

impl Room {
    /// The first bytes of a place.
    pub fn bytes(&self, place: usize, length: usize) -> &[u8] {
        &self.0[place * STRIDE..][..length]
    }

    /// Take datagrams without waiting, into the places from `first` on; `each` gets them one by one. How many were taken,
    /// and whether there was a place for more: then the socket has no more.
    ///
    /// # Errors
    /// As of `recvmmsg`. `WouldBlock`: there is none.
    pub fn take<S: SockaddrLike + Copy>(
        &mut self,
        first: usize,
        socket: RawFd,
        headers: &mut MultiHeaders<S>,
        mut each: impl FnMut(&RecvMsg<'_, '_, S>),
    ) -> io::Result<(usize, bool)> {
        let mut places = self.0[first * STRIDE..].chunks_exact_mut(STRIDE);
        let wanted = places.len();
        let mut slices: [_; BATCH] = std::array::from_fn(|_| {
            let place = places.next().map(|place| &mut place[..LARGEST]);
            [IoSliceMut::new(place.unwrap_or_default())]
        });
        let mut taken = 0;
        for message in recvmmsg(socket, headers, &mut slices[..wanted], MsgFlags::empty(), None)? {
            taken += 1;
            each(&message);
        }
        Ok((taken, taken < wanted))
    }
}

/// Send datagrams in order, up to a batch, without waiting. How many were sent: the next one met an error that the kernel
/// does not tell.
///
/// # Errors
/// What the first one met.
pub fn send<'b, S: SockaddrLike + Copy>(
    socket: RawFd,
    headers: &mut MultiHeaders<S>,
    datagrams: impl ExactSizeIterator<Item = (&'b [u8], Option<S>)>,
    control: &[ControlMessage<'_>],
) -> io::Result<usize> {
    let count = datagrams.len().min(BATCH);
    let mut slices = [[IoSlice::new(&[])]; BATCH];
    let mut addresses = [None; BATCH];
    for (place, (bytes, address)) in datagrams.take(BATCH).enumerate() {
        slices[place] = [IoSlice::new(bytes)];
        addresses[place] = address;
    }
    Ok(sendmmsg(socket, headers, &slices[..count], &addresses[..count], control, MsgFlags::empty())?.count())
}

/// How many of the first datagrams may leave as one that the kernel cuts: of one length, only the last one shorter.
pub fn alike(lengths: impl IntoIterator<Item = usize>) -> usize {
    let mut lengths = lengths.into_iter();
    let first = lengths.next().unwrap_or_default();
    if !(1..=SEGMENT).contains(&first) {
        return 1;
    }
    let mut count = 1;
    for length in lengths.take(BATCH - 1) {
        if !(1..=first).contains(&length) {
            break;
        }
        count += 1;
        if length < first {
            break;
        }
    }
    count
}

/// Send datagrams that are `alike` on one way through the network stack, without waiting: all or none (`UDP_SEGMENT`).
///
/// # Errors
/// As of `sendmsg`; also where the way out cannot do it.
pub fn send_alike<S: SockaddrLike>(
    socket: RawFd,
    datagrams: &[&[u8]],
    to: Option<&S>,
    control: &[ControlMessage<'_>],
) -> io::Result<()> {
    let first = datagrams.first().map_or(0, |bytes| bytes.len());
    let length = u16::try_from(first).map_err(|_| io::ErrorKind::InvalidInput)?;
    let slices: SmallVec<[IoSlice<'_>; BATCH]> = datagrams.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut control: SmallVec<[ControlMessage<'_>; 2]> = control.iter().copied().collect();
    control.push(ControlMessage::UdpGsoSegments(&length));
    sendmsg(socket, &slices, &control, MsgFlags::empty(), to)?;
    Ok(())
}

/// Call `each` with the places of items that are the same: groups by their first, their items in order.
pub fn together<T>(items: &[T], same: impl Fn(&T, &T) -> bool, mut each: impl FnMut(&[usize])) {
    let mut left: SmallVec<[usize; BATCH]> = (0..items.len()).collect();
    let mut group: SmallVec<[usize; BATCH]> = SmallVec::new();
    while let Some(&first) = left.first() {
        group.clear();
        left.retain(|place| {
            let belongs = same(&items[first], &items[*place]);
            if belongs {
                group.push(*place);
            }
            !belongs
        });
        each(&group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_within_them() {
        let mut groups = Vec::new();
        together(&["a1", "b1", "a2", "c1", "b2", "a3"], |a, b| a[..1] == b[..1], |group| groups.push(group.to_vec()));
        assert_eq!(groups, [vec![0, 2, 5], vec![1, 4], vec![3]]);
        together(&[], |(): &(), ()| true, |_| panic!("nothing has no groups"));
    }

    #[test]
    fn the_kernel_cuts_what_is_of_one_length() {
        for (lengths, count) in [
            (vec![5], 1),
            (vec![5, 5, 5], 3),
            (vec![5, 5, 4, 4], 3),
            (vec![5, 6], 1),
            (vec![5, 5, 0, 5], 2),
            (vec![0, 0], 1),
            (vec![SEGMENT; 40], BATCH),
            (vec![SEGMENT + 1; 2], 1),
        ] {
            assert_eq!(alike(lengths.clone()), count, "{lengths:?}");
        }
    }
}
