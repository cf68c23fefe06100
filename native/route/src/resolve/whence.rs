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

#[cfg(test)]
mod tests {
    use super::{Origin, Whence, find, without_forwarded};
    use crate::samples::{Somewhere, fields, head, lines, rule, table};
    use crate::table::{Listener, RequestHead};
    use codec::Field;
    use serde_json::{Value, json};

    #[test]
    fn what_a_backend_is_told() {
        let sent = fields(&[("X-Forwarded-For", "6.6.6.6"), ("x-a", "1"), ("X-Forwarded-Host", "edge.test")]);
        let origin = Origin { addresses: Some(b"192.0.2.1"), scheme: b"https", host: b"a.test" };
        let (proto, host) = ("x-forwarded-proto: https", "x-forwarded-host: a.test");
        for (addresses, count, expected) in [
            (origin.addresses, 3, &["x-a: 1", "x-forwarded-for: 192.0.2.1", proto, host][..]),
            // A filter of the listener has set the last one.
            (origin.addresses, 2, &["x-a: 1", "X-Forwarded-Host: edge.test", "x-forwarded-for: 192.0.2.1", proto]),
            (None, 3, &["x-a: 1", proto, host]),
        ] {
            assert_eq!(lines(&Origin { addresses, ..origin }.tell(&sent, count)), expected, "{count}");
        }
    }

    fn matched(name: &str, value: &str) -> Value {
        let headers = json!([{"name": name, "value": value}]);
        json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": headers}]})
    }

    /// Who is not asked, whatever matches ask.
    #[derive(Debug)]
    struct Nobody;

    impl Whence for Nobody {
        fn origin<'f>(&'f self, _: &Listener, _: &[Field<'f>], _: &'f [u8], _: &'f mut Vec<u8>) -> Origin<'f> {
            panic!("asked where a request comes from");
        }
    }

    /// A rule for clients of one address is no rule for whoever writes that address into a head.
    #[test]
    fn matches_see_where_a_request_comes_from_and_not_what_it_says_of_that() {
        let rules = json!([
            rule("here", matched("x-forwarded-for", "192.0.2.1")),
            rule("inside", matched("x-forwarded-for", "10.0.0.1")),
        ]);
        let table = table(rules, json!({}));
        let listener = table.sockets().flat_map(|socket| socket.listeners()).next().unwrap();
        for name in ["x-forwarded-for", "X_Forwarded_For", "x-a"] {
            let forged = fields(&[(name, "10.0.0.1")]);
            let as_sent = head("/", &forged);
            let taken_out = RequestHead { fields: &[], taken_out: &forged, ..as_sent };
            for (head, sent) in [(as_sent, 1), (taken_out, 0)] {
                let found = find(listener, &Somewhere, &head, sent).map(|found| found.rule.ir.id.clone());
                assert_eq!(found.as_deref(), Some("here"), "{head:?}");
            }
        }
        // What the listener's own filter sets is believed.
        let set = fields(&[("x-forwarded-for", "10.0.0.1")]);
        let found = find(listener, &Somewhere, &head("/", &set), 0).map(|found| found.rule.ir.id.clone());
        assert_eq!(found.as_deref(), Some("inside"));
    }

    #[test]
    fn nobody_is_asked_where_no_match_asks() {
        let table = table(json!([rule("r", matched("x-a", "1"))]), json!({}));
        let listener = table.sockets().flat_map(|socket| socket.listeners()).next().unwrap();
        let sent = fields(&[("x-forwarded-for", "6.6.6.6"), ("x-a", "1")]);
        assert!(find(listener, &Nobody, &head("/", &sent), 2).is_some());
    }

    #[test]
    fn what_is_left_of_fields_that_are_not_forwarded() {
        let taken_out = fields(&[("X-Forwarded-For", "1"), ("x-a", "2"), ("Forwarded", "3"), ("x.real.ip", "4")]);
        assert_eq!(lines(&without_forwarded(&taken_out)), ["x-a: 2"]);
    }
}
