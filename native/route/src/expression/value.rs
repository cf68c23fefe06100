//! What parts of an expression come to.

use super::Failed;
use super::cost::Steps;
use codec::Field;
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::rc::Rc;

#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Text<'v>),
    List(Rc<[Value<'v>]>),
    Map(Rc<[(Value<'v>, Value<'v>)]>),
    /// Of claims.
    Object(&'v serde_json::Map<String, Json>),
    Headers(Headers<'v>),
}

#[derive(Debug, Clone)]
pub(super) enum Text<'v> {
    Borrowed(&'v str),
    Shared(Rc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// Header fields by name in lower case, each a list of its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Headers<'v> {
    pub authority: &'v [u8],
    pub fields: &'v [Field<'v>],
}

impl<'v> Headers<'v> {
    fn all(self) -> impl Iterator<Item = Field<'v>> {
        let host = (!self.authority.is_empty()).then_some(Field { name: b"host", value: self.authority });
        host.into_iter().chain(self.fields.iter().copied())
    }

    /// `None`: there is no field of that name.
    ///
    /// # Errors
    /// It costs too much.
    pub fn get(self, name: &str, steps: &mut Steps<'_>) -> Result<Option<Value<'v>>, Failed> {
        steps.take(1 + self.fields.len() / 8)?;
        // The map has names in lower case alone.
        if name.bytes().any(|it| it.is_ascii_uppercase()) {
            return Ok(None);
        }
        let mut values = Vec::new();
        for field in self.all().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes())) {
            steps.take_bytes(field.value.len())?;
            values.push(Value::Text(text_of(field.value.trim_ascii())));
        }
        Ok((!values.is_empty()).then(|| Value::List(values.into())))
    }

    pub fn names(self) -> Vec<String> {
        let mut names: Vec<String> =
            self.all().map(|field| String::from_utf8_lossy(field.name).to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Bytes that are no UTF-8 become replacement characters, which no configured text has.
fn text_of(bytes: &[u8]) -> Text<'_> {
    match String::from_utf8_lossy(bytes) {
        std::borrow::Cow::Borrowed(text) => Text::Borrowed(text),
        std::borrow::Cow::Owned(text) => Text::Shared(text.into()),
    }
}

impl<'v> Value<'v> {
    pub fn text(text: &'v str) -> Self {
        Self::Text(Text::Borrowed(text))
    }

    /// `steps` counts what is made anew.
    ///
    /// # Errors
    /// It is too much.
    pub fn of_json(json: &'v Json, steps: &mut Steps<'_>) -> Result<Self, Failed> {
        Ok(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::text(text),
            Json::Array(elements) => {
                steps.take(elements.len())?;
                let all: Result<Vec<Self>, Failed> = elements.iter().map(|it| Self::of_json(it, steps)).collect();
                Self::List(all?.into())
            }
            Json::Object(map) => Self::Object(map),
        })
    }
}

/// Values of different kinds differ; numbers are compared as numbers.
///
/// # Errors
/// It costs too much.
pub(super) fn equal(one: &Value<'_>, two: &Value<'_>, steps: &mut Steps<'_>) -> Result<bool, Failed> {
    steps.take(1)?;
    Ok(match (one, two) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(two)) => one == two,
        (Value::Text(one), Value::Text(two)) => {
            steps.take_bytes(one.len().min(two.len()))?;
            **one == **two
        }
        (Value::List(one), Value::List(two)) => {
            if one.len() != two.len() {
                return Ok(false);
            }
            for (one, two) in one.iter().zip(two.iter()) {
                if !equal(one, two, steps)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
            numbers(one, two) == Some(Ordering::Equal)
        }
        (
            Value::Map(_) | Value::Object(_) | Value::Headers(_),
            Value::Map(_) | Value::Object(_) | Value::Headers(_),
        ) => {
            let (ours, theirs) = (keys(one, steps)?, keys(two, steps)?);
            if ours.len() != theirs.len() {
                return Ok(false);
            }
            for key in &ours {
                let (Some(mine), Some(other)) = (get(one, key, steps)?, get(two, key, steps)?) else {
                    return Ok(false);
                };
                if !equal(&mine, &other, steps)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => false,
    })
}

/// The order of two numbers; `None` where one is no number.
pub(super) fn numbers(one: &Value<'_>, two: &Value<'_>) -> Option<Ordering> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => Some(one.cmp(two)),
        (Value::Double(one), Value::Double(two)) => one.partial_cmp(two),
        (Value::Int(one), Value::Double(two)) => mixed(*one, *two),
        (Value::Double(one), Value::Int(two)) => mixed(*two, *one).map(Ordering::reverse),
        _ => None,
    }
}

/// Exact, also where a double cannot hold the integer.
#[allow(clippy::cast_possible_truncation, reason = "the range is looked at before")]
fn mixed(integer: i64, double: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        None
    } else if double >= BEYOND {
        Some(Ordering::Less)
    } else if double < -BEYOND {
        Some(Ordering::Greater)
    } else {
        let whole = double.trunc();
        Some(integer.cmp(&(whole as i64)).then_with(|| whole.partial_cmp(&double).unwrap_or(Ordering::Equal)))
    }
}

/// The value of a key of a map; `None` where there is none.
///
/// # Errors
/// It is no map, or costs too much.
pub(super) fn get<'v>(map: &Value<'v>, key: &Value<'v>, steps: &mut Steps<'_>) -> Result<Option<Value<'v>>, Failed> {
    match map {
        Value::Map(entries) => {
            for (known, value) in entries.iter() {
                if equal(known, key, steps)? {
                    return Ok(Some(value.clone()));
                }
            }
            Ok(None)
        }
        Value::Object(object) => match key {
            Value::Text(name) => object.get(&**name).map(|it| Value::of_json(it, steps)).transpose(),
            _ => Ok(None),
        },
        Value::Headers(headers) => match key {
            Value::Text(name) => headers.get(name, steps),
            _ => Ok(None),
        },
        _ => Err(Failed::WrongType),
    }
}

/// The keys of a map.
///
/// # Errors
/// As `get`.
pub(super) fn keys<'v>(map: &Value<'v>, steps: &mut Steps<'_>) -> Result<Vec<Value<'v>>, Failed> {
    match map {
        Value::Map(entries) => {
            steps.take(entries.len())?;
            Ok(entries.iter().map(|(key, _)| key.clone()).collect())
        }
        Value::Object(object) => {
            steps.take(object.len())?;
            Ok(object.keys().map(|key| Value::text(key)).collect())
        }
        Value::Headers(headers) => {
            steps.take(headers.fields.len())?;
            Ok(headers.names().into_iter().map(|name| Value::Text(Text::Shared(name.into()))).collect())
        }
        _ => Err(Failed::WrongType),
    }
}
