//! A selection of the vectors of Project Wycheproof (`wycheproof.json` says where they are from).

use crate::{KeySet, Token};
use serde_json::{Value, json};

#[test]
fn signatures() {
    let all: Value = serde_json::from_str(include_str!("wycheproof.json")).expect("vectors");
    let mut valid = 0;
    for group in all["groups"].as_array().expect("groups") {
        // A key that is for encryption verifies nothing.
        let keys = KeySet::read(json!({"keys": [group["key"]]}).to_string().as_bytes()).ok();
        for test in group["tests"].as_array().expect("tests") {
            let token = Token::parse(test["jws"].as_str().expect("a text").as_bytes());
            let verified = match (&keys, &token) {
                (Some(keys), Ok(token)) => token.signed_payload(keys).is_ok(),
                _ => false,
            };
            assert_eq!(Some(verified), test["valid"].as_bool(), "{test}");
            valid += u32::from(verified);
        }
    }
    assert!(valid >= 8, "{valid}");
}
