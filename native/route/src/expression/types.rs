//! What can be said of an expression before it is evaluated: operators and functions have operands that they know.

use super::tree::{Binary, EachKind, Form, Function, Literal, Node};
use super::{Fact, Wanted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// Known only of the value.
    Any,
    Null,
    Bool,
    Int,
    Double,
    Text,
    List,
    Map,
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::Double => "a number with a fraction",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }

    /// Whether a value of this type may be one of those.
    fn may_be(self, all: &[Self]) -> bool {
        self == Self::Any || all.contains(&self)
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

/// # Errors
/// What no value makes sense of.
pub(super) fn check(root: &Node, wanted: Wanted) -> Result<(), String> {
    let found = type_of(root, &mut Vec::new())?;
    let (allowed, word): (&[Type], _) = match wanted {
        Wanted::Condition => (&[Type::Bool], "true or false"),
        Wanted::Number => (&[Type::Int], "an integer"),
        Wanted::Key | Wanted::Text => {
            (&[Type::Bool, Type::Int, Type::Text, Type::List], "a text, a number or a list of them")
        }
    };
    if found.may_be(allowed) {
        Ok(())
    } else {
        Err(format!("the expression has to come to {word}, and comes to {}", found.word()))
    }
}

fn type_of(node: &Node, locals: &mut Vec<Type>) -> Result<Type, String> {
    Ok(match &node.form {
        Form::Literal(Literal::Null) => Type::Null,
        Form::Literal(Literal::Bool(_)) => Type::Bool,
        Form::Literal(Literal::Int(_)) => Type::Int,
        Form::Literal(Literal::Double(_)) => Type::Double,
        Form::Fact(Fact::Headers | Fact::Claims) => Type::Map,
        Form::Fact(Fact::Scopes) => Type::List,
        Form::Literal(Literal::Text(_)) | Form::Fact(_) => Type::Text,
        Form::Local(place) => locals.get(*place).copied().unwrap_or(Type::Any),
        Form::List(all) => {
            for element in all {
                type_of(element, locals)?;
            }
            Type::List
        }
        Form::Map(entries) => {
            for (key, value) in entries {
                expect(
                    key,
                    &[Type::Text, Type::Int, Type::Bool],
                    "keys of a map are texts, integers or true and false",
                    locals,
                )?;
                type_of(value, locals)?;
            }
            Type::Map
        }
        Form::Any(all) | Form::All(all) => {
            for operand in all {
                expect(operand, &[Type::Bool], "&& and || join what is true or false", locals)?;
            }
            Type::Bool
        }
        Form::Not(operand) => expect(operand, &[Type::Bool], "! is for what is true or false", locals)?,
        Form::Negate(operand) => expect(operand, &[Type::Int, Type::Double], "- is for numbers", locals)?,
        Form::Choose(three) => {
            let [condition, yes, no] = &**three;
            expect(condition, &[Type::Bool], "what stands before ? is true or false", locals)?;
            let (yes, no) = (type_of(yes, locals)?, type_of(no, locals)?);
            if yes == no { yes } else { Type::Any }
        }
        Form::Binary(operator, two) => {
            let left = type_of(&two[0], locals)?;
            let right = type_of(&two[1], locals)?;
            binary(*operator, left, right)?
        }
        Form::Member(of, _) => {
            expect(of, &[Type::Map], "only a map has members", locals)?;
            member_of(of)
        }
        Form::Has(of, _) => {
            expect(of, &[Type::Map], "only a map has members", locals)?;
            Type::Bool
        }
        Form::Index(two) => {
            let of = expect(&two[0], &[Type::Map, Type::List], "only a list or a map has an index", locals)?;
            let wanted: &[Type] = if of == Type::List {
                &[Type::Int, Type::Double]
            } else {
                &[Type::Text, Type::Int, Type::Bool, Type::Double]
            };
            expect(&two[1], wanted, "the index of a list is an integer", locals)?;
            member_of(&two[0])
        }
        Form::Call(function, arguments) => call(*function, arguments, locals)?,
        Form::Matches(of, _) => {
            expect(of, &[Type::Text], "matches is for texts", locals)?;
            Type::Bool
        }
        Form::Each(each) => {
            let range = expect(
                &each.range,
                &[Type::List, Type::Map],
                "all, exists, filter and map are for lists and maps",
                locals,
            )?;
            let texts = matches!(each.range.form, Form::Fact(Fact::Scopes | Fact::Headers))
                || matches!(&each.range.form, Form::Index(two) if matches!(two[0].form, Form::Fact(Fact::Headers)));
            locals.push(if texts && range != Type::Any { Type::Text } else { Type::Any });
            let test =
                each.test.as_ref().map(|test| expect(test, &[Type::Bool], "the test of map is true or false", locals));
            let body = if each.kind == EachKind::Map {
                type_of(&each.body, locals)
            } else {
                expect(&each.body, &[Type::Bool], "all, exists and filter ask what is true or false", locals)
            };
            locals.pop();
            test.transpose()?;
            body?;
            if matches!(each.kind, EachKind::Filter | EachKind::Map) { Type::List } else { Type::Bool }
        }
    })
}

/// What a member of a map is.
fn member_of(of: &Node) -> Type {
    match &of.form {
        Form::Fact(Fact::Headers) => Type::List,
        Form::Index(two) if matches!(two[0].form, Form::Fact(Fact::Headers)) => Type::Text,
        Form::Fact(Fact::Scopes) => Type::Text,
        _ => Type::Any,
    }
}

fn expect(node: &Node, allowed: &[Type], rule: &str, locals: &mut Vec<Type>) -> Result<Type, String> {
    let found = type_of(node, locals)?;
    if found.may_be(allowed) { Ok(found) } else { Err(format!("{rule}, not {}", found.word())) }
}

fn binary(operator: Binary, left: Type, right: Type) -> Result<Type, String> {
    let known = left != Type::Any && right != Type::Any;
    let same = left == right || !known;
    let numbers = left.is_number() && right.is_number();
    match operator {
        Binary::Equal | Binary::Different => {
            if same || numbers || left == Type::Null || right == Type::Null {
                return Ok(Type::Bool);
            }
            let hint = match (left, right) {
                (Type::List, Type::Text) | (Type::Text, Type::List) => {
                    "; a header field may come several times: write 'value' in request.headers['name']"
                }
                _ => "",
            };
            Err(format!("{} and {} are never equal{hint}", left.word(), right.word()))
        }
        Binary::Less | Binary::AtMost | Binary::Greater | Binary::AtLeast => {
            let ordered = [Type::Int, Type::Double, Type::Text, Type::Bool];
            if (same || numbers) && left.may_be(&ordered) && right.may_be(&ordered) {
                Ok(Type::Bool)
            } else {
                Err(format!("{} and {} have no order", left.word(), right.word()))
            }
        }
        Binary::In if right.may_be(&[Type::List, Type::Map]) => Ok(Type::Bool),
        Binary::In => Err(format!("in asks a list or a map, not {}", right.word())),
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
            let operands: &[Type] = match operator {
                Binary::Add => &[Type::Int, Type::Double, Type::Text, Type::List],
                Binary::Remainder => &[Type::Int],
                _ => &[Type::Int, Type::Double],
            };
            if same && left.may_be(operands) && right.may_be(operands) {
                Ok(if left == Type::Any { right } else { left })
            } else {
                Err(format!("there is no such operation on {} and {}", left.word(), right.word()))
            }
        }
    }
}

fn call(function: Function, arguments: &[Node], locals: &mut Vec<Type>) -> Result<Type, String> {
    let (allowed, rule, result): (&[Type], _, _) = match function {
        Function::Size => (&[Type::Text, Type::List, Type::Map], "size is of texts, lists and maps", Type::Int),
        Function::Contains | Function::StartsWith | Function::EndsWith => {
            (&[Type::Text], "contains, startsWith and endsWith are for texts", Type::Bool)
        }
        Function::Int => (&[Type::Int, Type::Double, Type::Text], "int is made of numbers and texts", Type::Int),
        Function::Double => {
            (&[Type::Int, Type::Double, Type::Text], "double is made of numbers and texts", Type::Double)
        }
        Function::Text => {
            (&[Type::Int, Type::Bool, Type::Text], "string is made of integers, texts, true and false", Type::Text)
        }
    };
    for argument in arguments {
        expect(argument, allowed, rule, locals)?;
    }
    Ok(result)
}
