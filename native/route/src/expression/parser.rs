//! From tokens to a tree (CEL, "Grammar"): names are looked up, macros are found, nothing is nested deeper than the limit.

use super::lexer::{Placed, Token, tokens};
use super::tree::{Binary, Each, EachKind, Form, Function, Literal, Node};
use super::{CompileError, Fact};
use crate::automaton::Automaton;

/// How deep an expression may be nested: reading and evaluating it go down on the stack.
pub(super) const MAX_DEPTH: usize = 48;

const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "true",
    "false",
    "null",
];

/// # Errors
/// Where and why the text is no expression.
pub(super) fn parse(text: &str) -> Result<Node, CompileError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, scope: Vec::new(), nesting: 0 };
    let root = parser.expression()?;
    match parser.token() {
        Token::End => Ok(root),
        _ => Err(parser.error("the expression goes on where it should end")),
    }
}

struct Parser {
    tokens: Vec<Placed>,
    next: usize,
    /// Variables of the macros around.
    scope: Vec<String>,
    nesting: usize,
}

impl Parser {
    /// The last one is the end, which is never gone past.
    fn token(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)].token
    }

    fn error(&self, message: impl Into<String>) -> CompileError {
        CompileError::at(self.tokens[self.next.min(self.tokens.len() - 1)].at, message)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.token(), Token::Sign(it) if *it == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), CompileError> {
        if self.take(sign) { Ok(()) } else { Err(self.error(format!("{sign:?} is missing"))) }
    }

    fn name(&mut self) -> Result<String, CompileError> {
        match self.token() {
            Token::Name(name) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.error("a name is missing")),
        }
    }

    fn node(&self, form: Form) -> Result<Node, CompileError> {
        let mut node = Node::leaf(form);
        node.depth += node.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if node.depth > MAX_DEPTH { Err(self.too_deep()) } else { Ok(node) }
    }

    fn too_deep(&self) -> CompileError {
        self.error(format!("the expression is nested deeper than {MAX_DEPTH}"))
    }

    /// Run what reads something that is nested in what is read.
    fn nested(&mut self, read: fn(&mut Self) -> Result<Node, CompileError>) -> Result<Node, CompileError> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let node = read(self);
        self.nesting -= 1;
        node
    }

    fn expression(&mut self) -> Result<Node, CompileError> {
        self.nested(|parser| {
            let condition = parser.or()?;
            if !parser.take("?") {
                return Ok(condition);
            }
            let yes = parser.or()?;
            parser.expect(":")?;
            let no = parser.expression()?;
            parser.node(Form::Choose(Box::new([condition, yes, no])))
        })
    }

    fn or(&mut self) -> Result<Node, CompileError> {
        let mut all = vec![self.and()?];
        while self.take("||") {
            all.push(self.and()?);
        }
        self.joined(all, Form::Any)
    }

    fn and(&mut self) -> Result<Node, CompileError> {
        let mut all = vec![self.relation()?];
        while self.take("&&") {
            all.push(self.relation()?);
        }
        self.joined(all, Form::All)
    }

    /// One operand stays what it is.
    fn joined(&self, mut all: Vec<Node>, join: fn(Vec<Node>) -> Form) -> Result<Node, CompileError> {
        match (all.len(), all.pop()) {
            (1, Some(only)) => Ok(only),
            (_, last) => {
                all.extend(last);
                self.node(join(all))
            }
        }
    }

    fn relation(&mut self) -> Result<Node, CompileError> {
        let mut left = self.sum()?;
        loop {
            let operator = match self.token() {
                Token::Sign("==") => Binary::Equal,
                Token::Sign("!=") => Binary::Different,
                Token::Sign("<") => Binary::Less,
                Token::Sign("<=") => Binary::AtMost,
                Token::Sign(">") => Binary::Greater,
                Token::Sign(">=") => Binary::AtLeast,
                Token::Name(name) if name == "in" => Binary::In,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.sum()?;
            left = self.node(Form::Binary(operator, Box::new([left, right])))?;
        }
    }

    fn sum(&mut self) -> Result<Node, CompileError> {
        let mut left = self.product()?;
        loop {
            let operator = match self.token() {
                Token::Sign("+") => Binary::Add,
                Token::Sign("-") => Binary::Subtract,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.product()?;
            left = self.node(Form::Binary(operator, Box::new([left, right])))?;
        }
    }

    fn product(&mut self) -> Result<Node, CompileError> {
        let mut left = self.unary()?;
        loop {
            let operator = match self.token() {
                Token::Sign("*") => Binary::Multiply,
                Token::Sign("/") => Binary::Divide,
                Token::Sign("%") => Binary::Remainder,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.unary()?;
            left = self.node(Form::Binary(operator, Box::new([left, right])))?;
        }
    }

    fn unary(&mut self) -> Result<Node, CompileError> {
        if self.take("!") {
            let operand = self.nested(Self::unary)?;
            return self.node(Form::Not(Box::new(operand)));
        }
        if self.take("-") {
            let number = match *self.token() {
                Token::Int(magnitude) => {
                    let value = 0i64.checked_sub_unsigned(magnitude);
                    Some(Literal::Int(value.ok_or_else(|| self.error("the number is out of range"))?))
                }
                Token::Double(magnitude) => Some(Literal::Double(-magnitude)),
                _ => None,
            };
            if let Some(number) = number {
                self.next += 1;
                return self.member(Node::leaf(Form::Literal(number)));
            }
            let operand = self.nested(Self::unary)?;
            return self.node(Form::Negate(Box::new(operand)));
        }
        let primary = self.primary()?;
        self.member(primary)
    }

    /// What stands behind a value: members, indices, calls of methods.
    fn member(&mut self, mut of: Node) -> Result<Node, CompileError> {
        loop {
            if self.take("[") {
                let key = self.expression()?;
                self.expect("]")?;
                self.check_field_name(&of, &key)?;
                of = self.node(Form::Index(Box::new([of, key])))?;
            } else if self.take(".") {
                let name = self.name()?;
                if self.take("(") {
                    of = self.method(of, &name)?;
                } else {
                    of = self.node(Form::Member(Box::new(of), name.into()))?;
                }
            } else {
                return Ok(of);
            }
        }
    }

    fn check_field_name(&self, of: &Node, key: &Node) -> Result<(), CompileError> {
        match (&of.form, &key.form) {
            (Form::Fact(Fact::Headers), Form::Literal(Literal::Text(name)))
                if name.bytes().any(|it| it.is_ascii_uppercase()) =>
            {
                Err(self.error(format!(
                    "names of header fields are in lower case here: write {:?}",
                    name.to_ascii_lowercase()
                )))
            }
            _ => Ok(()),
        }
    }

    fn method(&mut self, of: Node, name: &str) -> Result<Node, CompileError> {
        let kind = match name {
            "all" => EachKind::All,
            "exists" => EachKind::Exists,
            "exists_one" => EachKind::ExistsOne,
            "filter" => EachKind::Filter,
            "map" => EachKind::Map,
            _ => return self.plain_method(of, name),
        };
        let variable = self.name()?;
        if RESERVED.contains(&&*variable) || Fact::ROOTS.contains(&&*variable) {
            return Err(self.error(format!("{variable} has a meaning of its own: name the variable otherwise")));
        }
        self.expect(",")?;
        self.scope.push(variable);
        let first = self.expression()?;
        let second = if kind == EachKind::Map && self.take(",") { Some(self.expression()?) } else { None };
        self.scope.pop();
        self.expect(")")?;
        let (test, body) = match second {
            Some(body) => (Some(first), body),
            None => (None, first),
        };
        self.node(Form::Each(Box::new(Each { kind, range: of, test, body })))
    }

    fn plain_method(&mut self, of: Node, name: &str) -> Result<Node, CompileError> {
        let mut arguments = self.arguments(")")?;
        if name == "matches" {
            let (1, Some(Form::Literal(Literal::Text(pattern)))) = (arguments.len(), arguments.pop().map(|it| it.form))
            else {
                let message = "matches takes one pattern, which is written as a text, so that it is compiled once";
                return Err(self.error(message));
            };
            let compiled = Automaton::compile(&pattern);
            let pattern = compiled.map_err(|error| self.error(format!("the pattern is none: {error}")))?;
            return self.node(Form::Matches(Box::new(of), Box::new(pattern)));
        }
        let (function, count) = match name {
            "size" => (Function::Size, 0),
            "contains" => (Function::Contains, 1),
            "startsWith" => (Function::StartsWith, 1),
            "endsWith" => (Function::EndsWith, 1),
            _ => {
                let known = "size, contains, startsWith, endsWith, matches, all, exists, exists_one, filter, map";
                return Err(self.error(format!("there is no method {name}; there are {known}")));
            }
        };
        if arguments.len() != count {
            return Err(self.error(format!("{name} takes {count} arguments, not {}", arguments.len())));
        }
        arguments.insert(0, of);
        self.node(Form::Call(function, arguments))
    }

    /// Expressions up to a closing sign, which is taken; the last one may have a comma behind it.
    fn arguments(&mut self, close: &str) -> Result<Vec<Node>, CompileError> {
        let mut all = Vec::new();
        while !self.take(close) {
            all.push(self.expression()?);
            if !self.take(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(all)
    }

    fn primary(&mut self) -> Result<Node, CompileError> {
        let literal = match self.token().clone() {
            Token::Int(value) => {
                Literal::Int(i64::try_from(value).map_err(|_| self.error("the number is out of range"))?)
            }
            Token::Double(value) => Literal::Double(value),
            Token::Text(text) => Literal::Text(text.into()),
            Token::Name(name) => {
                self.next += 1;
                return self.named(&name);
            }
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => {
                self.next += 1;
                let elements = self.arguments("]")?;
                return self.node(Form::List(elements));
            }
            Token::Sign("{") => {
                self.next += 1;
                return self.map();
            }
            Token::Sign(_) | Token::End => return Err(self.error("a value is missing")),
        };
        self.next += 1;
        Ok(Node::leaf(Form::Literal(literal)))
    }

    fn map(&mut self) -> Result<Node, CompileError> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        self.node(Form::Map(entries))
    }

    fn named(&mut self, name: &str) -> Result<Node, CompileError> {
        let constant = match name {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if let Some(constant) = constant {
            return Ok(Node::leaf(Form::Literal(constant)));
        }
        if RESERVED.contains(&name) {
            return Err(self.error(format!("{name} is a reserved word")));
        }
        if self.take("(") {
            return self.call(name);
        }
        if let Some(place) = self.scope.iter().rposition(|it| it == name) {
            return Ok(Node::leaf(Form::Local(place)));
        }
        if !Fact::ROOTS.contains(&name) {
            return Err(self.error(format!("there is no variable {name}; there are {}", Fact::names())));
        }
        self.expect(".")
            .map_err(|_| self.error(format!("{name} is no value by itself; there are {}", Fact::names())))?;
        let member = self.name()?;
        let fact = Fact::named(name, &member);
        let fact =
            fact.ok_or_else(|| self.error(format!("there is no {name}.{member}; there are {}", Fact::names())))?;
        Ok(Node::leaf(Form::Fact(fact)))
    }

    fn call(&mut self, name: &str) -> Result<Node, CompileError> {
        let mut arguments = self.arguments(")")?;
        let function = match name {
            "size" => Function::Size,
            "int" => Function::Int,
            "double" => Function::Double,
            "string" => Function::Text,
            "has" => {
                return match (arguments.len(), arguments.pop().map(|it| it.form)) {
                    (1, Some(Form::Member(of, member))) => self.node(Form::Has(of, member)),
                    _ => Err(self.error("has takes one member, such as has(identity.claims.email)")),
                };
            }
            _ => {
                return Err(
                    self.error(format!("there is no function {name}; there are size, int, double, string, has"))
                );
            }
        };
        if arguments.len() != 1 {
            return Err(self.error(format!("{name} takes one argument, not {}", arguments.len())));
        }
        self.node(Form::Call(function, arguments))
    }
}
