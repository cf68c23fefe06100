//! A question over HTTP/1.1.

use super::{MAX_ANSWER, USER_AGENT, said};
use crate::upstream::UpstreamStream;
use codec::{MAX_FIELDS, Parsed, parse_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The status of the answer; its body is left.
pub(super) async fn get(stream: &mut UpstreamStream, host: &str, path: &str) -> Result<u16, String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| said(&error))?;
    stream.flush().await.map_err(|error| said(&error))?;
    let mut heard = Vec::new();
    loop {
        let more = match parse_response(&heard, false, MAX_FIELDS) {
            // An interim answer is followed by another one.
            Ok(Parsed::Complete(head)) if head.status < 200 && head.status != 101 => Some(head.consumed),
            Ok(Parsed::Complete(head)) => return Ok(head.status),
            Ok(Parsed::Partial) if heard.len() >= MAX_ANSWER => return Err("an answer without an end".to_owned()),
            Ok(Parsed::Partial) => None,
            Err(_) => return Err("what it answers is not HTTP".to_owned()),
        };
        if let Some(consumed) = more {
            heard.drain(..consumed);
        } else if stream.read_buf(&mut heard).await.map_err(|error| said(&error))? == 0 {
            return Err("it closed the connection before an answer".to_owned());
        }
    }
}
