//! The head of a request, whichever protocol it came by.

use codec::{FieldList, Framing, RequestHead as WireHead, TakenFields};

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
        }
    }
}
