//! An expression, read: what it is made of.

use super::Fact;
use crate::automaton::Automaton;

/// A part of an expression, and how deep the tree below it is.
#[derive(Debug)]
pub(super) struct Node {
    pub form: Form,
    pub depth: usize,
}

#[derive(Debug)]
pub(super) enum Form {
    Literal(Literal),
    Fact(Fact),
    /// The variable of a macro, by its place among those around it, from the outermost.
    Local(usize),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// `||` of all.
    Any(Vec<Node>),
    /// `&&` of all.
    All(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Choose(Box<[Node; 3]>),
    Binary(Binary, Box<[Node; 2]>),
    /// `of.name`.
    Member(Box<Node>, Box<str>),
    /// `of[key]`.
    Index(Box<[Node; 2]>),
    /// `has(of.name)`.
    Has(Box<Node>, Box<str>),
    Call(Function, Vec<Node>),
    /// `of.matches('pattern')`.
    Matches(Box<Node>, Box<Automaton>),
    Each(Box<Each>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Int,
    Double,
    Text,
}

/// A macro over the elements of a list, or the keys of a map.
#[derive(Debug)]
pub(super) struct Each {
    pub kind: EachKind,
    pub range: Node,
    /// Of `map` with three arguments.
    pub test: Option<Node>,
    pub body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EachKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Node {
    pub fn leaf(form: Form) -> Self {
        Self { form, depth: 1 }
    }

    pub fn children(&self) -> Vec<&Self> {
        match &self.form {
            Form::Literal(_) | Form::Fact(_) | Form::Local(_) => Vec::new(),
            Form::List(all) | Form::Any(all) | Form::All(all) | Form::Call(_, all) => all.iter().collect(),
            Form::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Form::Not(one) | Form::Negate(one) | Form::Member(one, _) | Form::Has(one, _) | Form::Matches(one, _) => {
                vec![one]
            }
            Form::Choose(three) => three.iter().collect(),
            Form::Binary(_, two) | Form::Index(two) => two.iter().collect(),
            Form::Each(each) => {
                [Some(&each.range), each.test.as_ref(), Some(&each.body)].into_iter().flatten().collect()
            }
        }
    }
}
