//! Response heads on their way to a client, whatever speaks on either side.

use super::body::{BodyError, BodySink};
use super::grpc::End;
use codec::{Field, Framing};

/// A response head. `fields` has no framing and no hop-by-hop fields.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'b> {
    pub status: u16,
    pub reason: &'b [u8],
    pub fields: &'b [Field<'b>],
    pub framing: Framing,
    /// The length that a HEAD or 304 response tells of a body that does not follow.
    pub announced_length: Option<u64>,
}

/// Where the response of one exchange goes: a head, perhaps after informational ones, then a body.
pub trait ReplySink: BodySink {
    /// 1xx, to be followed by another head. Dropped where the client cannot take it.
    fn informational(&mut self, status: u16, fields: &[Field<'_>]) -> Result<(), BodyError>;

    /// The final head. Not flushed.
    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError>;

    /// 101: what follows on this stream is `protocol`, not HTTP.
    fn switching(&mut self, fields: &[Field<'_>], protocol: &[u8]) -> Result<(), BodyError>;

    /// The final head was given: an error can no longer become a status code.
    fn head_sent(&self) -> bool;

    /// Body bytes given so far.
    fn body_bytes(&self) -> u64;

    /// What follows on the client's connection cannot be trusted: this response is the last one on it. Over HTTP/2 only
    /// the stream is at stake.
    fn end_connection(&mut self) {}

    /// What follows is an error of the gateway.
    fn own_error(&mut self) {}

    /// The response will not be whole: tell so as far as the protocol can.
    fn break_off(&mut self, _: End) {}

    /// `grpc-status` of the response, once it has come.
    fn grpc_status(&self) -> Option<u32> {
        None
    }
}

/// A response that has none when it is passed on gets one (RFC 9110 section 6.6.1).
pub fn has_date(fields: &[Field<'_>]) -> bool {
    fields.iter().any(|field| field.name.len() == 4 && field.name.eq_ignore_ascii_case(b"date"))
}

#[cfg(test)]
mod tests {
    use super::has_date;
    use codec::Field;

    #[test]
    fn which_field_is_the_date() {
        for (names, found) in
            [(&[][..], false), (&["date"], true), (&["x", "DATE"], true), (&["dates", "x-date", "dat"], false)]
        {
            let fields: Vec<_> = names.iter().map(|name| Field { name: name.as_bytes(), value: b"" }).collect();
            assert_eq!(has_date(&fields), found, "{names:?}");
        }
    }
}
