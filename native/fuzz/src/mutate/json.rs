//! Changing JSON that stays JSON: almost every change of its bytes is refused before anything looks at what they say.

use super::mutate;
use crate::random::Random;
use serde_json::{Deserializer, Value};

/// Documents that are changed together.
const MAX_DOCUMENTS: usize = 8;

/// Change JSON documents, one after the other in `input`: one value in them, or the documents. What is no JSON, and now and
/// then what is, is changed as bytes.
pub fn mutate_json(random: &mut Random, input: &[u8], other: &[u8], dictionary: &[&[u8]]) -> Vec<u8> {
    let mut documents = read(input);
    let others = read(other);
    if documents.is_empty() || random.one_in(16) {
        return mutate(random, input, other, dictionary);
    }
    let changes = 1 + random.below(3);
    for _ in 0..changes {
        let place = random.below(documents.len());
        match random.below(10) {
            0 => {
                let more = random.pick(&others).unwrap_or(&documents[place]).clone();
                documents.insert(place, more);
            }
            1 if documents.len() > 1 => {
                documents.remove(place);
            }
            2 => {
                let again = documents[place].clone();
                documents.insert(place, again);
            }
            _ => change(random, &mut documents[place], &others, dictionary),
        }
    }
    documents.truncate(MAX_DOCUMENTS);
    documents.iter().flat_map(|document| document.to_string().into_bytes()).collect()
}

fn read(input: &[u8]) -> Vec<Value> {
    let documents = Deserializer::from_slice(input).into_iter::<Value>();
    documents.map_while(Result::ok).take(MAX_DOCUMENTS).collect()
}

/// Change one value in `document`, chosen by chance; what is put in is of `others`.
fn change(random: &mut Random, document: &mut Value, others: &[Value], dictionary: &[&[u8]]) {
    let mut from = random.pick(others).unwrap_or(document).clone();
    let mut taken = Value::Null;
    let mut number = random.below(count(&from));
    with_value(&mut from, &mut number, &mut |value| taken = value.take());
    let mut number = random.below(count(document));
    with_value(document, &mut number, &mut |value| change_value(random, value, taken.take(), dictionary));
}

fn change_value(random: &mut Random, value: &mut Value, taken: Value, dictionary: &[&[u8]]) {
    match value {
        Value::Array(items) if !random.one_in(4) => change_array(random, items, taken),
        Value::Object(fields) if !random.one_in(4) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            let name = random.pick(&names).cloned().unwrap_or_default();
            match random.below(3) {
                0 => drop(fields.remove(&name)),
                1 => drop(fields.insert(name, taken)),
                // The same value under another name.
                _ => {
                    let new = random.pick(dictionary).map(|token| String::from_utf8_lossy(token).into_owned());
                    let value = fields.get(&name).cloned().unwrap_or(taken);
                    fields.insert(new.unwrap_or_default(), value);
                }
            }
        }
        Value::String(text) if !random.one_in(4) => {
            let changed = mutate(random, text.as_bytes(), taken.as_str().unwrap_or_default().as_bytes(), dictionary);
            *text = String::from_utf8_lossy(&changed).into_owned();
        }
        Value::Number(number) if !random.one_in(4) => {
            let bounds = [0, 1, 2, 80, 443, 127, 255, 256, 65_535, 65_536, u64::from(u32::MAX), u64::MAX];
            let bound = random.pick(&bounds).copied().unwrap_or_default();
            *number = if random.one_in(8) { (-1).into() } else { bound.into() };
        }
        Value::Bool(truth) if !random.one_in(4) => *truth = !*truth,
        _ => *value = taken,
    }
}

fn change_array(random: &mut Random, items: &mut Vec<Value>, taken: Value) {
    let place = random.below(items.len());
    match random.below(4) {
        0 if !items.is_empty() => drop(items.remove(place)),
        1 if !items.is_empty() => items.push(items[place].clone()),
        2 if !items.is_empty() => items.swap(place, 0),
        _ => items.push(taken),
    }
}

/// Values in `value`, itself included.
fn count(value: &Value) -> usize {
    let children = match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum::<usize>(),
        _ => 0,
    };
    1 + children
}

/// Give `visit` the value of that number, parents before their children. True: there was one.
fn with_value(value: &mut Value, number: &mut usize, visit: &mut dyn FnMut(&mut Value)) -> bool {
    if *number == 0 {
        visit(value);
        return true;
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| with_value(item, number, visit)),
        Value::Object(fields) => fields.values_mut().any(|field| with_value(field, number, visit)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_has_its_number() {
        let mut value = json!({"a": [1, {"b": 2}], "c": 3});
        assert_eq!(count(&value), 6);
        for (number, text) in ["{\"a\"", "[1,{\"b\":2}]", "1", "{\"b\":2}", "2", "3"].iter().enumerate() {
            let mut seen = String::new();
            assert!(with_value(&mut value, &mut number.clone(), &mut |value| seen = value.to_string()));
            assert!(seen.starts_with(text), "{number}: {seen}");
        }
        assert!(!with_value(&mut value, &mut 6, &mut |_| ()));
    }

    #[test]
    fn most_changes_are_json() {
        let (mut random, input) = (Random::new(1), br#"{"a":["x",1,true]}{"b":{}}"#);
        let changed: Vec<Vec<u8>> = (0..200).map(|_| mutate_json(&mut random, input, input, &[b"c"])).collect();
        let valid = |bytes: &&Vec<u8>| Deserializer::from_slice(bytes).into_iter::<Value>().all(|read| read.is_ok());
        assert!(changed.iter().filter(valid).count() > 150);
        assert!(changed.iter().filter(|bytes| bytes[..] != input[..]).count() > 150);
    }
}
