//! What the backend is told of a token's claims.

use crate::ir::ClaimHeader;
use crate::policy::AnswerField;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Octets that the claim of a field may have: it has to stand in a head.
const MAX_FIELD: usize = 8 * 1024;

/// The fields of the claims that are there, and could stand in a head.
pub fn told_claims(forward: &[ClaimHeader], claims: &Map<String, Value>) -> Vec<AnswerField> {
    let told = forward.iter().filter_map(|pair| {
        let value = value_of(claims, &pair.claim)?;
        Some((Cow::Owned(pair.header.clone()), value))
    });
    told.collect()
}

/// A claim by its name; one with dots is a way through objects, unless there is a claim of just that name.
pub fn named_claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, part| value.get(part))
    })
}

/// A claim as the value of a field. `None`: it is not there, or could not stand in a head.
fn value_of(claims: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let value = named_claim(claims, name)?;
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        // Texts as a list of HTTP; what is neither text nor could stand in such a list as JSON.
        Value::Array(all) if all.iter().all(is_element) => {
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        _ => value.to_string(),
    };
    let stands = text.len() <= MAX_FIELD && !text.bytes().any(|byte| byte.is_ascii_control()) && text.trim() == text;
    stands.then(|| text.into_bytes())
}

/// Whether it is one element of a list, and the same one for whoever reads that.
fn is_element(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.contains(',') && text.trim() == text)
}

#[cfg(test)]
mod tests {
    use super::value_of;
    use serde_json::{Map, Value, json};

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn claims_as_fields() {
        let claims = map(json!({
            "sub": "ada", "n": 1, "yes": true, "groups": ["a", "b"], "mixed": ["a", 1], "a": {"b": {"c": "deep"}},
            "https://x.test/role": "dotted", "blanks": " ada ", "comma": ["a", "b,admin"], "padded": ["a "], "none": null, "bad": "a\r\nb: c", "long": "x".repeat(9000),
        }));
        for (path, expected) in [
            ("sub", Some("ada")),
            ("n", Some("1")),
            ("yes", Some("true")),
            ("groups", Some("a,b")),
            ("mixed", Some("[\"a\",1]")),
            ("a.b.c", Some("deep")),
            ("a.b", Some("{\"c\":\"deep\"}")),
            ("https://x.test/role", Some("dotted")),
            ("none", None),
            ("blanks", None),
            ("comma", Some("[\"a\",\"b,admin\"]")),
            ("padded", Some("[\"a \"]")),
            ("bad", None),
            ("long", None),
            ("a.x", None),
            ("sub.x", None),
            ("missing", None),
        ] {
            let found = value_of(&claims, path).map(|value| String::from_utf8(value).expect("text"));
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }
}
