//! Where a request comes from, as its backend will be told: what matches of rules see of that, and what is hashed of it. What a
//! client says of itself counts for neither, as it does not for policies.

use crate::policy::told;
use crate::table::{EditedFields, Found, Listener, RequestHead};
use codec::{Field, is_forwarding_name};
use std::fmt::Debug;

/// What the gateway says of it itself.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'o> {
    /// Of who asks, behind what proxies said that are believed; `None`: nobody can say.
    pub addresses: Option<&'o [u8]>,
    pub scheme: &'o [u8],
    pub host: &'o [u8],
}

impl<'o> Origin<'o> {
    /// Fields as a backend is told them. `sent`: how many of them are the client's.
    pub fn tell(self, fields: &[Field<'o>], sent: usize) -> EditedFields<'o> {
        let addresses = self.addresses.map(|addresses| ("x-forwarded-for", addresses));
        let own = [("x-forwarded-proto", self.scheme), ("x-forwarded-host", self.host)];
        told(fields, sent, addresses.into_iter().chain(own))
    }
}

/// Who knows where a request comes from.
pub trait Whence: Debug {
    /// Of a request with these fields, of which so many are the client's. The listener's policies say whose word about it
    /// counts; `list`: memory.
    fn origin<'f>(
        &'f self,
        listener: &Listener,
        sent: &[Field<'f>],
        authority: &'f [u8],
        list: &'f mut Vec<u8>,
    ) -> Origin<'f>;
}

/// The first match in the order of the specification.
pub(super) fn find<'t>(
    listener: &'t Listener,
    whence: &dyn Whence,
    head: &RequestHead<'_>,
    sent: usize,
) -> Option<Found<'t>> {
    if !listener.hosts.asks_forwarded() {
        return listener.find(head);
    }
    let mut list = Vec::new();
    let origin = whence.origin(listener, &head.fields[..sent], head.authority, &mut list);
    let told = origin.tell(head.fields, sent);
    listener.find(&RequestHead { fields: &told, taken_out: &without_forwarded(head.taken_out), ..*head })
}

/// Fields that `Connection` names, without what a client says of where it comes from.
pub fn without_forwarded<'f>(taken_out: &[Field<'f>]) -> EditedFields<'f> {
    taken_out.iter().filter(|field| !is_forwarding_name(field.name)).copied().collect()
}
