//! JSON as values of CEL: whole numbers are `int`, as the API server has them, those with a point `double`.

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use serde_json::{Number, Value};
use std::collections::HashMap;

/// The value of CEL; its depth is what the reader of JSON allows.
pub fn value_of(value: Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(value)),
        Value::Number(value) => number_of(&value),
        Value::String(value) => Box::new(CelString::from(value)),
        Value::Array(items) => Box::new(CelList::from(items.into_iter().map(value_of).collect::<Vec<_>>())),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (CelMapKey::from(name), value_of(value)));
            Box::new(CelMap::from(fields.collect::<HashMap<_, _>>()))
        }
    }
}

fn number_of(value: &Number) -> Box<dyn Val> {
    if let Some(value) = value.as_i64() {
        return Box::new(CelInt::from(value));
    }
    // No field of a CRD is that large: their numbers have 64 bits with a sign.
    match value.as_u64() {
        Some(value) => Box::new(CelUInt::from(value)),
        None => Box::new(CelDouble::from(value.as_f64().unwrap_or(f64::NAN))),
    }
}
