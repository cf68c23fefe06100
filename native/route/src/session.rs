//! What of a request belongs to session persistence (GEP-1619): what a client tells, and what is not forwarded.

use crate::cookies;
use crate::ir::{Session, SessionCarrier};
use crate::policy::{Removal, same_field};
use codec::Field;

/// What a client says its session is, which may be anything.
pub fn sent<'f>(session: &'f Session, fields: &'f [Field<'f>]) -> impl Iterator<Item = &'f [u8]> {
    let (cookie, header) = match &session.carrier {
        SessionCarrier::Cookie { name, .. } => (Some(name.as_bytes()), None),
        SessionCarrier::Header { name } => (None, Some(name.as_bytes())),
    };
    let named = fields.iter().filter(move |field| header.is_some_and(|name| field.name.eq_ignore_ascii_case(name)));
    let of_cookie = cookie.into_iter().flat_map(|name| cookies::values(fields, name));
    of_cookie.chain(named.map(|field| field.value))
}

/// What its backend does not get of a request; `None`: the client says nothing of a session.
pub fn removal(session: &Session, fields: &[Field<'_>]) -> Option<Removal> {
    match &session.carrier {
        SessionCarrier::Cookie { name, .. } => sent(session, fields).next().map(|_| Removal::Cookie(name.clone())),
        // In whatever spelling a backend may take for it.
        SessionCarrier::Header { name } => {
            let is_sent = fields.iter().any(|field| same_field(field.name, name.as_bytes()));
            is_sent.then(|| Removal::Field(name.clone().into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{removal, sent};
    use crate::ir::{Session, SessionCarrier};
    use crate::policy::Removal;
    use crate::samples::fields;

    fn session(carrier: SessionCarrier) -> Session {
        Session { carrier, absolute_timeout_ms: 0 }
    }

    /// What a backend may take for the carrier goes, also where it is not read as one.
    #[test]
    fn what_a_client_says_of_its_session() {
        let cookie = session(SessionCarrier::Cookie { name: "s".to_owned(), path: "/".to_owned(), permanent: false });
        let header = session(SessionCarrier::Header { name: "x-s".to_owned() });
        let of_cookie = || Some(Removal::Cookie("s".to_owned()));
        let of_header = || Some(Removal::Field("x-s".into()));
        for (session, given, expected, removed) in [
            (&cookie, &[("Cookie", "a=1; s=one"), ("cookie", "s=two")][..], &["one", "two"][..], of_cookie()),
            (&cookie, &[("cookie", "a=1; S=one"), ("x-s", "one")], &[], None),
            (&header, &[("X-S", "one"), ("cookie", "x-s=two"), ("x-s", "three")], &["one", "three"], of_header()),
            (&header, &[("x_s", "one")], &[], of_header()),
            (&header, &[("x-t", "one")], &[], None),
        ] {
            let given = fields(given);
            let found: Vec<_> = sent(session, &given).map(String::from_utf8_lossy).collect();
            assert_eq!(found, expected, "{given:?}");
            assert_eq!(removal(session, &given), removed, "{given:?}");
        }
    }
}
