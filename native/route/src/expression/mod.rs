//! Expressions over a request and who sent it, in the Common Expression Language: the part of it that requests need.
//!
//! Taken are: `null`, booleans, integers, doubles, texts, lists and maps; all operators; `size`, `contains`, `startsWith`,
//! `endsWith`, `matches` (RE2, a pattern that is written out), `int`, `double`, `string`, `has`; the macros `all`, `exists`,
//! `exists_one`, `filter`, `map`. Not taken: bytes, unsigned numbers, times, protocol buffers.
//!
//! An expression is read, checked and compiled once. It is bounded in length, depth and in what one evaluation may cost, so
//! whoever writes policies cannot stop a gateway with one. The library that the control side has for the rules of CRDs knows
//! no such limits and takes owned values; it is what the tests compare with.

mod cost;
mod evaluate;
mod lexer;
mod parser;
mod tree;
mod types;
mod value;

use codec::Field;
pub use cost::Budget;
use std::fmt;
use std::net::IpAddr;
use tree::{Form, Node};
use value::Value;

/// Bytes of an expression.
pub const MAX_LENGTH: usize = 4096;

/// What an expression may ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Method,
    Scheme,
    Host,
    Path,
    Query,
    Headers,
    Address,
    User,
    Claims,
    Scopes,
}

impl Fact {
    const ROOTS: [&'static str; 3] = ["request", "client", "identity"];

    const ALL: [(&'static str, &'static str, Self); 10] = [
        ("request", "method", Self::Method),
        ("request", "scheme", Self::Scheme),
        ("request", "host", Self::Host),
        ("request", "path", Self::Path),
        ("request", "query", Self::Query),
        ("request", "headers", Self::Headers),
        ("client", "address", Self::Address),
        ("identity", "user", Self::User),
        ("identity", "claims", Self::Claims),
        ("identity", "scopes", Self::Scopes),
    ];

    fn named(root: &str, member: &str) -> Option<Self> {
        Self::ALL.iter().find(|(of, name, _)| *of == root && *name == member).map(|(_, _, fact)| *fact)
    }

    fn names() -> String {
        let all: Vec<String> = Self::ALL.iter().map(|(root, member, _)| format!("{root}.{member}")).collect();
        all.join(", ")
    }
}

/// What an expression is asked of.
#[derive(Debug, Clone, Default)]
pub struct Inputs<'v> {
    pub method: &'v str,
    pub scheme: &'v str,
    pub host: &'v str,
    /// Normalised, as it is forwarded.
    pub path: &'v str,
    /// As sent; empty where there is none.
    pub query: &'v str,
    /// The value of `host` among the header fields.
    pub authority: &'v [u8],
    pub fields: &'v [Field<'v>],
    /// Of the client; `None` is an empty text.
    pub address: Option<IpAddr>,
    /// Empty: nobody was authenticated.
    pub user: &'v str,
    pub claims: Option<&'v serde_json::Map<String, serde_json::Value>>,
    pub scopes: &'v [String],
    /// What all expressions that are asked of these inputs may cost together.
    pub budget: Budget,
}

/// What an expression has to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Condition,
    /// An integer.
    Number,
    /// What tells requests apart: a text, a number, a boolean, or a list of them.
    Key,
    /// What is written: the same.
    Text,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Byte of the text; `None`: of the whole.
    at: Option<usize>,
    message: String,
}

impl CompileError {
    fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into() }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(to, "at byte {}: {}", at + 1, self.message),
            None => to.write_str(&self.message),
        }
    }
}

impl std::error::Error for CompileError {}

/// Why an expression comes to nothing for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// A map has no such key, a list no such index.
    NoSuchKey,
    WrongType,
    /// A number out of range, a division by zero, a text that is no number.
    OutOfRange,
    TooCostly,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// # Errors
    /// Where and why the text is none, or that it does not come to what is wanted.
    pub fn compile(text: &str, wanted: Wanted) -> Result<Self, CompileError> {
        let whole = |message| CompileError { at: None, message };
        if text.len() > MAX_LENGTH {
            return Err(whole(format!("the expression has {} bytes; {MAX_LENGTH} is the limit", text.len())));
        }
        let root = parser::parse(text)?;
        types::check(&root, wanted).map_err(whole)?;
        Ok(Self { root })
    }

    /// Whether it asks who sent the request: then it is nothing before authentication.
    pub fn asks_identity(&self) -> bool {
        self.asks(|fact| matches!(fact, Fact::User | Fact::Claims | Fact::Scopes))
    }

    /// Whether it asks what header fields say.
    pub fn asks_fields(&self) -> bool {
        self.asks(|fact| fact == Fact::Headers)
    }

    fn asks(&self, wanted: impl Fn(Fact) -> bool) -> bool {
        let mut nodes = vec![&self.root];
        while let Some(node) = nodes.pop() {
            if matches!(node.form, Form::Fact(fact) if wanted(fact)) {
                return true;
            }
            nodes.extend(node.children());
        }
        false
    }

    /// Of a [`Wanted::Condition`].
    ///
    /// # Errors
    /// [`Failed`].
    pub fn holds(&self, inputs: &Inputs<'_>) -> Result<bool, Failed> {
        match evaluate::evaluate(&self.root, inputs)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failed::WrongType),
        }
    }

    /// Of a [`Wanted::Number`].
    ///
    /// # Errors
    /// [`Failed`].
    pub fn number(&self, inputs: &Inputs<'_>) -> Result<i64, Failed> {
        match evaluate::evaluate(&self.root, inputs)? {
            Value::Int(value) => Ok(value),
            _ => Err(Failed::WrongType),
        }
    }

    /// Of a [`Wanted::Text`]: a list joined by commas; `None`: it is null.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn text(&self, inputs: &Inputs<'_>) -> Result<Option<String>, Failed> {
        let mut text = String::new();
        match evaluate::evaluate(&self.root, inputs)? {
            Value::Null => return Ok(None),
            Value::List(list) => {
                for (place, element) in list.iter().enumerate() {
                    text.push_str(if place == 0 { "" } else { ", " });
                    write_text(element, &mut text)?;
                }
            }
            value => write_text(&value, &mut text)?,
        }
        Ok(Some(text))
    }

    /// Of a [`Wanted::Key`], appended to `key`: different values give different bytes.
    ///
    /// # Errors
    /// [`Failed`].
    pub fn key(&self, inputs: &Inputs<'_>, key: &mut Vec<u8>) -> Result<(), Failed> {
        write_key(&evaluate::evaluate(&self.root, inputs)?, key)
    }
}

fn write_text(value: &Value<'_>, text: &mut String) -> Result<(), Failed> {
    match value {
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => text.push_str(itoa::Buffer::new().format(*value)),
        Value::Text(part) => text.push_str(part),
        _ => return Err(Failed::WrongType),
    }
    Ok(())
}

fn write_key(value: &Value<'_>, key: &mut Vec<u8>) -> Result<(), Failed> {
    match value {
        Value::Bool(value) => key.extend([b'b', u8::from(*value)]),
        Value::Int(value) => {
            key.push(b'i');
            key.extend(value.to_be_bytes());
        }
        Value::Text(text) => {
            key.push(b't');
            key.extend((text.len() as u64).to_be_bytes());
            key.extend(text.as_bytes());
        }
        Value::List(list) => {
            key.push(b'l');
            key.extend((list.len() as u64).to_be_bytes());
            for element in list.iter() {
                write_key(element, key)?;
            }
        }
        Value::Null | Value::Double(_) | Value::Map(_) | Value::Object(_) | Value::Headers(_) => {
            return Err(Failed::WrongType);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
