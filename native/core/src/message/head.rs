//! The head of a request, whichever protocol it came by.

use codec::{Field, FieldList, Framing, RequestHead as WireHead, TakenFields};
use route::policy::Mutation;

/// The protocol of a request, as logs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
    Http2,
}

impl HttpVersion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// A request head of either protocol, hop-by-hop fields taken out.
#[derive(Debug)]
pub struct Inbound<'b> {
    pub version: HttpVersion,
    pub method: &'b str,
    /// As sent.
    pub target: &'b [u8],
    pub authority: Option<&'b [u8]>,
    pub fields: FieldList<'b>,
    /// What was taken out of `fields`, `Host` apart: matching sees it.
    pub taken_out: TakenFields<'b>,
    pub framing: Framing,
    pub expect_continue: bool,
    pub upgrade: Option<&'b [u8]>,
    /// The upgrade is an extended CONNECT, where any 2xx would say that the tunnel is open (RFC 8441 section 5).
    pub connect: bool,
    pub accepts_trailers: bool,
    /// What those did to it who are asked before its rule is looked for; `None`: nobody is, or not yet.
    pub mutation: Option<&'b Mutation>,
}

impl<'b> Inbound<'b> {
    pub fn from_http1(head: WireHead<'b>) -> Self {
        Self {
            version: if head.minor == 0 { HttpVersion::Http10 } else { HttpVersion::Http11 },
            method: head.method,
            target: head.target,
            authority: head.host,
            fields: head.fields,
            taken_out: head.taken_out,
            framing: head.framing,
            expect_continue: head.expect_continue,
            upgrade: head.upgrade,
            connect: false,
            accepts_trailers: head.accepts_trailers,
            mutation: None,
        }
    }

    /// The same head, with what those did to it who were asked.
    pub fn mutated<'m>(&'m self, mutation: &'m Mutation) -> Inbound<'m> {
        Inbound {
            version: self.version,
            method: self.method,
            target: self.target,
            authority: self.authority,
            fields: self.fields.iter().copied().collect(),
            taken_out: self.taken_out.iter().copied().collect(),
            framing: self.framing,
            expect_continue: self.expect_continue,
            upgrade: self.upgrade,
            connect: self.connect,
            accepts_trailers: self.accepts_trailers,
            mutation: Some(mutation),
        }
    }
}

/// A head that outlives the bytes it came in: what a request has while somebody is asked about it.
#[derive(Debug)]
pub struct OwnedHead {
    bytes: Vec<u8>,
    version: HttpVersion,
    method: Span,
    target: Span,
    authority: Option<Span>,
    fields: Vec<(Span, Span)>,
    taken_out: Vec<(Span, Span)>,
    framing: Framing,
    expect_continue: bool,
    upgrade: Option<Span>,
    connect: bool,
    accepts_trailers: bool,
    mutation: Option<Box<Mutation>>,
}

/// A part of an owned head's bytes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl OwnedHead {
    pub fn of(head: &Inbound<'_>) -> Self {
        let mut bytes = Vec::new();
        let mut copy = |part: &[u8]| {
            let start = bytes.len();
            bytes.extend_from_slice(part);
            Span { start, end: bytes.len() }
        };
        let mut copy_all =
            |fields: &[Field<'_>]| fields.iter().map(|field| (copy(field.name), copy(field.value))).collect();
        let (fields, taken_out) = (copy_all(&head.fields), copy_all(&head.taken_out));
        Self {
            version: head.version,
            method: copy(head.method.as_bytes()),
            target: copy(head.target),
            authority: head.authority.map(&mut copy),
            fields,
            taken_out,
            framing: head.framing,
            expect_continue: head.expect_continue,
            upgrade: head.upgrade.map(copy),
            connect: head.connect,
            accepts_trailers: head.accepts_trailers,
            mutation: head.mutation.cloned().map(Box::new),
            bytes,
        }
    }

    /// The client waits to be asked for the body.
    pub fn expects_continue(&self) -> bool {
        self.expect_continue
    }

    /// The client was told to go on, or has: nobody else need tell it.
    pub fn goes_on(&mut self) {
        self.expect_continue = false;
    }

    /// All of the body is there, and it has this length.
    pub fn collected(&mut self, length: u64) {
        self.framing = if length == 0 { Framing::Empty } else { Framing::Length(length) };
        self.goes_on();
    }

    /// The same head again.
    pub fn inbound(&self) -> Inbound<'_> {
        let part = |span: Span| &self.bytes[span.start..span.end];
        let field = |&(name, value): &(Span, Span)| Field { name: part(name), value: part(value) };
        Inbound {
            version: self.version,
            // It was text, and its bytes are the same.
            method: std::str::from_utf8(part(self.method)).unwrap_or_default(),
            target: part(self.target),
            authority: self.authority.map(part),
            fields: self.fields.iter().map(field).collect(),
            taken_out: self.taken_out.iter().map(field).collect(),
            framing: self.framing,
            expect_continue: self.expect_continue,
            upgrade: self.upgrade.map(part),
            connect: self.connect,
            accepts_trailers: self.accepts_trailers,
            mutation: self.mutation.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inbound, OwnedHead};
    use codec::{Framing, Parsed, parse_request};
    use route::policy::{Mutation, Passage};

    #[test]
    fn an_owned_head_is_the_same() {
        let bytes =
            b"POST /a?b HTTP/1.1\r\nHost: a.test\r\nX-Empty:\r\nCookie: a=1\r\nCookie: b=2\r\nExpect: 100-continue\r\n\
            Connection: upgrade, x\r\nUpgrade: websocket\r\nX: 1\r\nTE: trailers\r\nContent-Length: 5\r\n\r\n";
        let Ok(Parsed::Complete(head)) = parse_request(bytes, 64) else { panic!("a head") };
        let inbound = Inbound::from_http1(head);
        assert!(!inbound.fields.is_empty() && !inbound.taken_out.is_empty());
        assert_eq!(format!("{:?}", OwnedHead::of(&inbound).inbound()), format!("{inbound:?}"));
        let mutation = Mutation::of(&mut Passage { forward: vec![("x".into(), b"1".to_vec())], ..Passage::default() });
        let mutated = inbound.mutated(&mutation);
        assert_eq!(format!("{:?}", OwnedHead::of(&mutated).inbound()), format!("{mutated:?}"));
        assert_eq!((inbound.mutation, OwnedHead::of(&mutated).inbound().mutation), (None, Some(&mutation)));
        let mut owned = OwnedHead::of(&inbound);
        owned.goes_on();
        assert!(!owned.expects_continue() && !owned.inbound().expect_continue);
        let mut owned = OwnedHead::of(&inbound);
        for (length, framing) in [(7, Framing::Length(7)), (0, Framing::Empty)] {
            owned.collected(length);
            assert_eq!((owned.inbound().framing, owned.expects_continue()), (framing, false));
        }
    }
}
