//! What an expression comes to for one request (CEL, "Evaluation"), with a limit of what that may cost.

use super::cost::Steps;
use super::tree::{Binary, Each, EachKind, Form, Function, Literal, Node};
use super::value::{Headers, Text, Value, equal, get, keys, numbers};
use super::{Fact, Failed, Inputs};
use std::cmp::Ordering;

/// # Errors
/// [`Failed`].
pub(super) fn evaluate<'v>(root: &'v Node, inputs: &'v Inputs<'v>) -> Result<Value<'v>, Failed> {
    Evaluation { inputs, locals: Vec::new(), steps: Steps::of(&inputs.budget) }.value(root)
}

struct Evaluation<'v> {
    inputs: &'v Inputs<'v>,
    locals: Vec<Value<'v>>,
    steps: Steps<'v>,
}

impl<'v> Evaluation<'v> {
    fn value(&mut self, node: &'v Node) -> Result<Value<'v>, Failed> {
        self.steps.take(1)?;
        match &node.form {
            Form::Literal(literal) => Ok(match literal {
                Literal::Null => Value::Null,
                Literal::Bool(value) => Value::Bool(*value),
                Literal::Int(value) => Value::Int(*value),
                Literal::Double(value) => Value::Double(*value),
                Literal::Text(text) => Value::text(text),
            }),
            Form::Fact(fact) => self.fact(*fact),
            Form::Local(place) => self.locals.get(*place).cloned().ok_or(Failed::WrongType),
            Form::List(all) => {
                let elements: Result<Vec<Value<'v>>, Failed> = all.iter().map(|it| self.value(it)).collect();
                Ok(Value::List(elements?.into()))
            }
            Form::Map(entries) => self.map(entries),
            Form::Any(all) => self.joined(all, true),
            Form::All(all) => self.joined(all, false),
            Form::Not(operand) => self.bool(operand).map(|value| Value::Bool(!value)),
            Form::Negate(operand) => match self.value(operand)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Failed::OutOfRange),
                Value::Double(value) => Ok(Value::Double(-value)),
                _ => Err(Failed::WrongType),
            },
            Form::Choose(three) => {
                let [condition, yes, no] = &**three;
                if self.bool(condition)? { self.value(yes) } else { self.value(no) }
            }
            Form::Binary(operator, two) => {
                let left = self.value(&two[0])?;
                let right = self.value(&two[1])?;
                self.binary(*operator, left, right)
            }
            Form::Member(of, name) => {
                let of = self.value(of)?;
                get(&of, &Value::text(name), &mut self.steps)?.ok_or(Failed::NoSuchKey)
            }
            Form::Has(of, name) => {
                let of = self.value(of)?;
                Ok(Value::Bool(get(&of, &Value::text(name), &mut self.steps)?.is_some()))
            }
            Form::Index(two) => {
                let of = self.value(&two[0])?;
                let key = self.value(&two[1])?;
                self.index(&of, &key)
            }
            Form::Call(function, arguments) => self.call(*function, arguments),
            Form::Matches(of, pattern) => {
                let text = self.text(of)?;
                self.steps.take_bytes(text.len())?;
                pattern.is_in(text.as_bytes()).map(Value::Bool).map_err(|_| self.steps.end())
            }
            Form::Each(each) => self.each(each),
        }
    }

    fn bool(&mut self, node: &'v Node) -> Result<bool, Failed> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failed::WrongType),
        }
    }

    fn text(&mut self, node: &'v Node) -> Result<Text<'v>, Failed> {
        match self.value(node)? {
            Value::Text(text) => Ok(text),
            _ => Err(Failed::WrongType),
        }
    }

    fn fact(&mut self, fact: Fact) -> Result<Value<'v>, Failed> {
        let inputs = self.inputs;
        Ok(match fact {
            Fact::Method => Value::text(inputs.method),
            Fact::Scheme => Value::text(inputs.scheme),
            Fact::Host => Value::text(inputs.host),
            Fact::Path => Value::text(inputs.path),
            Fact::Query => Value::text(inputs.query),
            Fact::Headers => Value::Headers(Headers { authority: inputs.authority, fields: inputs.fields }),
            Fact::Address => {
                let address = inputs.address.map(|it| it.to_string()).unwrap_or_default();
                Value::Text(Text::Shared(address.into()))
            }
            Fact::User => Value::text(inputs.user),
            Fact::Claims => match inputs.claims {
                Some(claims) => Value::Object(claims),
                None => Value::Map([].into()),
            },
            Fact::Scopes => {
                self.steps.take(inputs.scopes.len())?;
                let scopes: Vec<Value<'v>> = inputs.scopes.iter().map(|it| Value::text(it)).collect();
                Value::List(scopes.into())
            }
        })
    }

    fn map(&mut self, entries: &'v [(Node, Node)]) -> Result<Value<'v>, Failed> {
        let mut made: Vec<(Value<'v>, Value<'v>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.value(key)?;
            for (known, _) in &made {
                if equal(known, &key, &mut self.steps)? {
                    return Err(Failed::WrongType);
                }
            }
            made.push((key, self.value(value)?));
        }
        Ok(Value::Map(made.into()))
    }

    /// `||` (`decides` is true) and `&&`: an operand that decides does so whatever the others come to; one that fails
    /// fails the whole only where none decides.
    fn joined(&mut self, all: &'v [Node], decides: bool) -> Result<Value<'v>, Failed> {
        let mut failed = None;
        for operand in all {
            match self.bool(operand) {
                Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(Failed::TooCostly) => return Err(Failed::TooCostly),
                Err(other) => failed = failed.or(Some(other)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn binary(&mut self, operator: Binary, left: Value<'v>, right: Value<'v>) -> Result<Value<'v>, Failed> {
        match operator {
            Binary::Equal => equal(&left, &right, &mut self.steps).map(Value::Bool),
            Binary::Different => equal(&left, &right, &mut self.steps).map(|it| Value::Bool(!it)),
            Binary::Less => self.order(&left, &right).map(|it| Value::Bool(it == Some(Ordering::Less))),
            Binary::AtMost => self.order(&left, &right).map(|it| Value::Bool(it.is_some_and(Ordering::is_le))),
            Binary::Greater => self.order(&left, &right).map(|it| Value::Bool(it == Some(Ordering::Greater))),
            Binary::AtLeast => self.order(&left, &right).map(|it| Value::Bool(it.is_some_and(Ordering::is_ge))),
            Binary::In => self.is_in(&left, &right).map(Value::Bool),
            _ => self.arithmetic(operator, left, right),
        }
    }

    /// `None`: one of two numbers is none (NaN).
    fn order(&mut self, left: &Value<'v>, right: &Value<'v>) -> Result<Option<Ordering>, Failed> {
        match (left, right) {
            (Value::Text(left), Value::Text(right)) => {
                self.steps.take_bytes(left.len().min(right.len()))?;
                Ok(Some(left.cmp(right)))
            }
            (Value::Bool(left), Value::Bool(right)) => Ok(Some(left.cmp(right))),
            (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => Ok(numbers(left, right)),
            _ => Err(Failed::WrongType),
        }
    }

    fn is_in(&mut self, element: &Value<'v>, of: &Value<'v>) -> Result<bool, Failed> {
        let Value::List(list) = of else { return get(of, element, &mut self.steps).map(|found| found.is_some()) };
        for each in list.iter() {
            if equal(each, element, &mut self.steps)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn arithmetic(&mut self, operator: Binary, left: Value<'v>, right: Value<'v>) -> Result<Value<'v>, Failed> {
        match (left, right) {
            (Value::Int(left), Value::Int(right)) => {
                let result = match operator {
                    Binary::Add => left.checked_add(right),
                    Binary::Subtract => left.checked_sub(right),
                    Binary::Multiply => left.checked_mul(right),
                    Binary::Divide => left.checked_div(right),
                    _ => left.checked_rem(right),
                };
                result.map(Value::Int).ok_or(Failed::OutOfRange)
            }
            (Value::Double(left), Value::Double(right)) => Ok(Value::Double(match operator {
                Binary::Add => left + right,
                Binary::Subtract => left - right,
                Binary::Multiply => left * right,
                Binary::Divide => left / right,
                _ => return Err(Failed::WrongType),
            })),
            (Value::Text(left), Value::Text(right)) if operator == Binary::Add => {
                self.steps.take_bytes(left.len() + right.len())?;
                Ok(Value::Text(Text::Shared([&*left, &*right].concat().into())))
            }
            (Value::List(left), Value::List(right)) if operator == Binary::Add => {
                self.steps.take(left.len() + right.len())?;
                Ok(Value::List(left.iter().chain(right.iter()).cloned().collect()))
            }
            _ => Err(Failed::WrongType),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "what is cut off is compared after"
    )]
    fn index(&mut self, of: &Value<'v>, key: &Value<'v>) -> Result<Value<'v>, Failed> {
        let Value::List(list) = of else { return get(of, key, &mut self.steps)?.ok_or(Failed::NoSuchKey) };
        let place = match *key {
            Value::Int(place) => place,
            Value::Double(double) if numbers(&Value::Int(double as i64), key) == Some(Ordering::Equal) => double as i64,
            _ => return Err(Failed::WrongType),
        };
        usize::try_from(place).ok().and_then(|place| list.get(place)).cloned().ok_or(Failed::NoSuchKey)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the range is looked at before")]
    fn call(&mut self, function: Function, arguments: &'v [Node]) -> Result<Value<'v>, Failed> {
        let [first, rest @ ..] = arguments else { return Err(Failed::WrongType) };
        let value = self.value(first)?;
        if let Value::Text(text) = &value {
            self.steps.take_bytes(text.len())?;
        }
        if let [second] = rest {
            let (Value::Text(text), part) = (&value, self.text(second)?) else { return Err(Failed::WrongType) };
            return Ok(Value::Bool(match function {
                Function::Contains => text.contains(&*part),
                Function::StartsWith => text.starts_with(&*part),
                _ => text.ends_with(&*part),
            }));
        }
        let count = |count: usize| i64::try_from(count).map(Value::Int).map_err(|_| Failed::OutOfRange);
        match (function, value) {
            (Function::Size, Value::Text(text)) => count(text.chars().count()),
            (Function::Size, Value::List(list)) => count(list.len()),
            (Function::Size, map) => count(keys(&map, &mut self.steps)?.len()),
            (Function::Int, Value::Int(value)) => Ok(Value::Int(value)),
            (Function::Int, Value::Double(value)) if value.abs() < 9_223_372_036_854_775_808.0 => {
                Ok(Value::Int(value as i64))
            }
            (Function::Int, Value::Text(text)) => text.parse().map(Value::Int).map_err(|_| Failed::OutOfRange),
            (Function::Double, Value::Double(value)) => Ok(Value::Double(value)),
            (Function::Double, Value::Int(value)) => Ok(Value::Double(value as f64)),
            (Function::Double, Value::Text(text)) => text.parse().map(Value::Double).map_err(|_| Failed::OutOfRange),
            (Function::Text, Value::Text(text)) => Ok(Value::Text(text)),
            (Function::Text, Value::Int(value)) => Ok(Value::Text(Text::Shared(value.to_string().into()))),
            (Function::Text, Value::Bool(value)) => Ok(Value::text(if value { "true" } else { "false" })),
            (Function::Int, Value::Double(_)) => Err(Failed::OutOfRange),
            _ => Err(Failed::WrongType),
        }
    }

    fn each(&mut self, each: &'v Each) -> Result<Value<'v>, Failed> {
        let elements = match self.value(&each.range)? {
            Value::List(list) => list,
            map => keys(&map, &mut self.steps)?.into(),
        };
        let (mut made, mut count, mut failed) = (Vec::new(), 0usize, None);
        for element in elements.iter() {
            self.locals.push(element.clone());
            let outcome = self.of_element(each);
            self.locals.pop();
            match (each.kind, outcome) {
                // As `||` and `&&` of all elements.
                (EachKind::Exists, Ok(Some(Value::Bool(true)))) => return Ok(Value::Bool(true)),
                (EachKind::All, Ok(Some(Value::Bool(false)))) => return Ok(Value::Bool(false)),
                (EachKind::Exists | EachKind::All, Err(error)) if error != Failed::TooCostly => {
                    failed = failed.or(Some(error));
                }
                (_, Err(error)) => return Err(error),
                (EachKind::Map, Ok(mapped)) => made.extend(mapped),
                (_, Ok(Some(Value::Bool(true)))) => {
                    count += 1;
                    if each.kind == EachKind::Filter {
                        made.push(element.clone());
                    }
                }
                (_, Ok(Some(Value::Bool(false)))) => {}
                (_, Ok(_)) => return Err(Failed::WrongType),
            }
        }
        match (each.kind, failed) {
            (_, Some(error)) => Err(error),
            (EachKind::All, None) => Ok(Value::Bool(true)),
            (EachKind::Exists, None) => Ok(Value::Bool(false)),
            (EachKind::ExistsOne, None) => Ok(Value::Bool(count == 1)),
            (EachKind::Filter | EachKind::Map, None) => Ok(Value::List(made.into())),
        }
    }

    /// The body for the innermost variable; `None` where the test of `map` leaves the element out.
    fn of_element(&mut self, each: &'v Each) -> Result<Option<Value<'v>>, Failed> {
        if let Some(test) = &each.test
            && !self.bool(test)?
        {
            return Ok(None);
        }
        self.value(&each.body).map(Some)
    }
}
