//! Fuzzing on stable Rust: hostile input for the parsers of the data plane, and the rules that hold whatever comes.
//!
//! A [`Target`] takes bytes, gives them to a parser, and says in a few words what the parser made of them, or which rule was
//! broken. The [`Fuzzer`] changes inputs of a corpus and keeps those with a new outcome or a new size; there is no
//! instrumentation, so the outcomes are what leads it. What it finds is made small and written into the corpus, whose
//! inputs are all tried by the tests.
//!
//! All of it is deterministic: a seed gives the same inputs on every machine.
#![forbid(unsafe_code)]

pub mod corpus;
mod engine;
mod minimise;
mod mutate;
mod random;
mod targets;
mod verdict;

pub use engine::{Finding, Fuzzer};
pub use random::Random;
pub use targets::{TARGETS, Target};
pub use verdict::{Outcome, Violation, examine};
