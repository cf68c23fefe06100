//! What is fuzzed: one file for each parser, with the rules that must hold for it.

mod authority;
mod chunked;
mod connection;
mod hello;
mod incremental;
mod pem;
mod request;
mod request_target;
mod response;
mod trailers;
mod transaction;
mod wire;

use super::mutate::{mutate, mutate_json};
use super::random::Random;
use super::verdict::{Outcome, Violation, examine};

/// Changes an input: source of chance, the input, another one to take pieces from, tokens of the target.
pub type Mutate = fn(&mut Random, &[u8], &[u8], &[&[u8]]) -> Vec<u8>;

/// One parser and its rules.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub(crate) check: fn(&[u8]) -> Result<Outcome, Violation>,
    /// Tokens that mean something there.
    pub(crate) dictionary: &'static [&'static [u8]],
    pub(crate) mutate: Mutate,
    /// Bytes of an input: over the limits of the parser where that costs little.
    pub(crate) max_length: usize,
}

impl Target {
    /// # Errors
    /// The rule that the input breaks.
    pub fn try_input(&self, input: &[u8]) -> Result<Outcome, Violation> {
        examine(self.check, input)
    }
}

const fn bytes(
    name: &'static str,
    check: fn(&[u8]) -> Result<Outcome, Violation>,
    dictionary: &'static [&'static [u8]],
    max_length: usize,
) -> Target {
    Target { name, check, dictionary, mutate, max_length }
}

pub const TARGETS: [Target; 10] = [
    bytes("request", request::check, wire::TOKENS, 8 * 1024),
    bytes("response", response::check, wire::TOKENS, 8 * 1024),
    bytes("connection", connection::check, wire::TOKENS, 8 * 1024),
    bytes("chunked", chunked::check, chunked::TOKENS, 12 * 1024),
    bytes("trailers", trailers::check, wire::TOKENS, 4 * 1024),
    bytes("request-target", request_target::check, request_target::TOKENS, 512),
    bytes("authority", authority::check, authority::TOKENS, 300),
    bytes("hello", hello::check, hello::TOKENS, 4 * 1024),
    bytes("pem", pem::check, pem::TOKENS, 4 * 1024),
    Target {
        name: "transaction",
        check: transaction::check,
        dictionary: transaction::TOKENS,
        mutate: mutate_json,
        max_length: 16 * 1024,
    },
];
