//! Tokens of the RFCs, and those of attackers.

mod rfc;
mod wycheproof;

use crate::{BadKeys, Expected, Invalid, KeySet, MAX_KEYS, MAX_SET_BYTES, MAX_TOKEN_BYTES, Token};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD as BASE64;
use serde_json::{Value, json};
use std::time::Duration;

/// 2026-11-29.
const NOW: u64 = 1_795_910_400;

/// An issuer with a key on P-256, as identity providers have it.
struct Issuer {
    key: EcdsaKeyPair,
}

impl Issuer {
    fn new() -> Self {
        Self { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key") }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])})
    }

    fn keys(&self) -> KeySet {
        set(&[self.jwk()])
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header.as_bytes()), BASE64.encode(payload.as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", BASE64.encode(signature.as_ref()))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(r#"{"alg":"ES256","kid":"one","typ":"JWT"}"#, &claims.to_string())
    }
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).expect("usable keys")
}

fn expected() -> Expected {
    Expected {
        issuer: "https://login.test".to_owned(),
        audiences: vec!["shop".to_owned()],
        leeway: Duration::from_secs(60),
    }
}

fn claims() -> Value {
    json!({"iss": "https://login.test", "aud": "shop", "sub": "ada", "exp": NOW + 300})
}

fn verify(token: &str, keys: &KeySet) -> Result<Value, Invalid> {
    verify_as(&expected(), token, keys)
}

fn verify_as(expected: &Expected, token: &str, keys: &KeySet) -> Result<Value, Invalid> {
    let mut token = Token::parse(token.as_bytes())?;
    expected.verify(&mut token, keys, Duration::from_secs(NOW)).map(|claims| Value::Object(claims.all))
}

#[test]
fn a_good_token_gives_its_claims() {
    let issuer = Issuer::new();
    let token = issuer.token(&claims());
    assert_eq!(verify(&token, &issuer.keys()), Ok(claims()));
    assert_eq!(Token::parse(token.as_bytes()).unwrap().claimed_issuer(), Some("https://login.test"));
    assert_eq!(verify(&token, &Issuer::new().keys()), Err(Invalid::Signature));
}

/// Every byte counts, also the bits that base64 leaves over (RFC 4648 section 3.5).
#[test]
fn a_changed_token_is_another_one() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let issuer = Issuer::new();
    let (token, keys) = (issuer.token(&claims()), issuer.keys());
    for place in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        let value = ALPHABET.iter().position(|&letter| letter == changed[place]);
        changed[place] = value.map_or(b'A', |value| ALPHABET[(value + 1) % ALPHABET.len()]);
        let changed = String::from_utf8(changed).unwrap();
        assert!(verify(&changed, &keys).is_err(), "{changed}");
    }
}

#[test]
fn what_is_no_token() {
    let issuer = Issuer::new();
    let (token, keys) = (issuer.token(&claims()), issuer.keys());
    let parts: Vec<&str> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let large = issuer.token(&json!({"iss": "https://login.test", "x": "x".repeat(MAX_TOKEN_BYTES)}));
    for (bad, why) in [
        (String::new(), Invalid::Malformed),
        ("..".to_owned(), Invalid::Malformed),
        (format!("{header}.{payload}"), Invalid::Malformed),
        (format!("{header}.{payload}."), Invalid::Signature),
        (format!("{token}."), Invalid::Malformed),
        (format!("{token}.{signature}"), Invalid::Malformed),
        (format!(" {token}"), Invalid::Malformed),
        (format!("{token}\n"), Invalid::Malformed),
        (format!("{header}==.{payload}.{signature}"), Invalid::Malformed),
        (format!("{header}.{payload}.{signature}="), Invalid::Malformed),
        (format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")), Invalid::Signature),
        (json!({"payload": payload, "protected": header, "signature": signature}).to_string(), Invalid::Malformed),
        (issuer.sign("[]", "{}"), Invalid::Malformed),
        (issuer.sign("{}", "{}"), Invalid::Malformed),
        (issuer.sign(r#"{"alg":1}"#, "{}"), Invalid::Malformed),
        (issuer.sign(r#"{"alg":"ES256","alg":"ES256"}"#, &claims().to_string()), Invalid::Malformed),
        (issuer.sign(r#"{"alg":"ES256","kid":7}"#, &claims().to_string()), Invalid::Malformed),
        (issuer.sign(r#"{"alg":"ES256"}"#, "[1]"), Invalid::Malformed),
        (issuer.sign(r#"{"alg":"ES256"}"#, r#"{"aud":"shop","aud":"shop"}"#), Invalid::Malformed),
        (issuer.sign(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, &claims().to_string()), Invalid::Critical),
        (issuer.sign(r#"{"alg":"ES256","crit":[]}"#, &claims().to_string()), Invalid::Critical),
        (large, Invalid::TooLarge),
    ] {
        // Where the letters that were replaced were not there, the token is the good one.
        if bad != token {
            let found = verify(&bad, &keys);
            assert!(found == Err(why) || found == Err(Invalid::Malformed), "{bad}: {found:?}");
        }
    }
}

/// The key says which algorithms there are: RFC 8725 section 3.1, and the CVEs of libraries that asked the token.
#[test]
fn a_token_does_not_choose_its_algorithm() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let payload = BASE64.encode(claims().to_string().as_bytes());
    for algorithm in ["none", "None", "nOnE", "", "HS256", "ES384", "ES256K", "RS256", "PS256", "EdDSA", "es256"] {
        let header = BASE64.encode(json!({"alg": algorithm, "kid": "one"}).to_string().as_bytes());
        for signature in [String::new(), BASE64.encode(&[0; 64])] {
            assert_eq!(
                verify(&format!("{header}.{payload}.{signature}"), &keys),
                Err(Invalid::Algorithm),
                "{algorithm}"
            );
        }
    }
    // The public key as a shared secret, in the forms in which libraries have held it.
    let jwk = issuer.jwk().to_string();
    for secret in [issuer.key.public_key().as_ref(), jwk.as_bytes()] {
        let header = BASE64.encode(br#"{"alg":"HS256","kid":"one"}"#);
        let signed = format!("{header}.{payload}");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        assert_eq!(verify(&format!("{signed}.{}", BASE64.encode(tag.as_ref())), &keys), Err(Invalid::Algorithm));
    }
}

/// A key that a token brings along is nobody's.
#[test]
fn keys_in_tokens_are_not_looked_at() {
    let (issuer, attacker) = (Issuer::new(), Issuer::new());
    for brought in
        [json!({"jwk": attacker.jwk()}), json!({"jku": "https://evil.test/"}), json!({"x5u": "https://evil.test/"})]
    {
        let mut header = json!({"alg": "ES256", "kid": "one"});
        header.as_object_mut().unwrap().append(&mut brought.as_object().unwrap().clone());
        let token = attacker.sign(&header.to_string(), &claims().to_string());
        assert_eq!(verify(&token, &issuer.keys()), Err(Invalid::Signature), "{header}");
    }
}

#[test]
fn what_claims_have_to_say() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let changed = |name: &str, value: Value| {
        let mut claims = claims();
        let entries = claims.as_object_mut().unwrap();
        if value.is_null() {
            entries.remove(name);
        } else {
            entries.insert(name.to_owned(), value);
        }
        claims
    };
    let nothing = Value::Null;
    for (name, value, wanted) in [
        ("exp", json!(NOW + 1), None),
        ("exp", json!(NOW - 59), None),
        ("exp", json!(NOW - 60), Some(Invalid::Expired)),
        ("exp", json!(1_795_910_340.5), None),
        ("exp", json!(-1), Some(Invalid::Expired)),
        ("exp", nothing.clone(), Some(Invalid::NoExpiry)),
        ("exp", json!((NOW + 300).to_string()), Some(Invalid::ClaimType)),
        ("exp", json!([NOW + 300]), Some(Invalid::ClaimType)),
        ("exp", json!(true), Some(Invalid::ClaimType)),
        ("nbf", json!(NOW), None),
        ("nbf", json!(NOW + 60), None),
        ("nbf", json!(NOW + 61), Some(Invalid::NotYetValid)),
        ("nbf", json!("0"), Some(Invalid::ClaimType)),
        ("iat", json!(NOW + 60), None),
        ("iat", json!(NOW + 61), Some(Invalid::NotYetValid)),
        ("iat", json!({}), Some(Invalid::ClaimType)),
        ("iss", nothing.clone(), Some(Invalid::Issuer)),
        ("iss", json!("https://login.test/"), Some(Invalid::Issuer)),
        ("iss", json!("HTTPS://login.test"), Some(Invalid::Issuer)),
        ("iss", json!(["https://login.test"]), Some(Invalid::ClaimType)),
        ("aud", nothing.clone(), Some(Invalid::Audience)),
        ("aud", json!("shop2"), Some(Invalid::Audience)),
        ("aud", json!(""), Some(Invalid::Audience)),
        ("aud", json!(["bank", "shop"]), None),
        ("aud", json!(["bank"]), Some(Invalid::Audience)),
        ("aud", json!([]), Some(Invalid::Audience)),
        ("aud", json!(["shop", 1]), Some(Invalid::ClaimType)),
        ("aud", json!({"shop": true}), Some(Invalid::ClaimType)),
        ("aud", json!(1), Some(Invalid::ClaimType)),
        ("sub", nothing.clone(), None),
        ("sub", json!(1), Some(Invalid::ClaimType)),
    ] {
        let claims = changed(name, value);
        let found = verify(&issuer.token(&claims), &keys);
        assert_eq!(found, wanted.map_or_else(|| Ok(claims.clone()), Err), "{claims}");
    }
    let any = Expected { audiences: vec!["*".to_owned()], ..expected() };
    for (audience, wanted) in
        [(nothing, None), (json!("x"), None), (json!([]), None), (json!([1]), Some(Invalid::ClaimType))]
    {
        let found = verify_as(&any, &issuer.token(&changed("aud", audience.clone())), &keys);
        assert_eq!(found.err(), wanted, "{audience}");
    }
}

/// From `nbf` or `iat`, whichever is later, to `exp`, with the leeway on both sides.
#[test]
fn claims_hold_for_a_time() {
    let issuer = Issuer::new();
    let mut claims = claims();
    claims["nbf"] = json!(NOW - 10);
    claims["iat"] = json!(NOW - 20);
    let token = issuer.token(&claims);
    let at = Duration::from_secs;
    let found = expected().verify(&mut Token::parse(token.as_bytes()).unwrap(), &issuer.keys(), at(NOW)).unwrap();
    assert_eq!(found.valid, (at(NOW - 70).as_secs_f64(), at(NOW + 360).as_secs_f64()));
}

#[test]
fn key_ids() {
    let (one, two) = (Issuer::new(), Issuer::new());
    let named = |mut jwk: Value, name: Option<&str>| {
        match name {
            Some(name) => jwk["kid"] = json!(name),
            None => drop(jwk.as_object_mut().unwrap().remove("kid")),
        }
        jwk
    };
    let unnamed = two.sign(r#"{"alg":"ES256"}"#, &claims().to_string());
    let asks_two = two.sign(r#"{"alg":"ES256","kid":"two"}"#, &claims().to_string());
    let both = set(&[named(one.jwk(), Some("one")), named(two.jwk(), Some("two"))]);
    assert!(verify(&unnamed, &both).is_ok());
    assert!(verify(&asks_two, &both).is_ok());
    // A key without a name may be of any; one with another name is not tried.
    assert!(verify(&asks_two, &set(&[one.jwk(), named(two.jwk(), None)])).is_ok());
    assert_eq!(verify(&asks_two, &set(&[named(two.jwk(), Some("TWO"))])), Err(Invalid::UnknownKey));
    // Keys that are exchanged may share their name for a while.
    assert!(verify(&asks_two, &set(&[named(one.jwk(), Some("two")), named(two.jwk(), Some("two"))])).is_ok());
}

/// A token without a key id is not worth more than so many signatures.
#[test]
fn tries_are_bounded() {
    let issuer = Issuer::new();
    let token = issuer.sign(r#"{"alg":"ES256"}"#, &claims().to_string());
    let with_others = |others: usize| {
        let mut keys: Vec<Value> = (0..others).map(|_| Issuer::new().jwk()).collect();
        keys.push(issuer.jwk());
        verify(&token, &set(&keys)).err()
    };
    assert_eq!(with_others(crate::MAX_TRIES - 1), None);
    assert_eq!(with_others(crate::MAX_TRIES), Some(Invalid::Signature));
}

#[test]
fn rsa_keys_are_for_what_they_say() {
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let sign = |algorithm: &str, encoding: &'static dyn RsaEncoding| {
        let header = BASE64.encode(json!({ "alg": algorithm }).to_string().as_bytes());
        let signed = format!("{header}.{}", BASE64.encode(claims().to_string().as_bytes()));
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
        format!("{signed}.{}", BASE64.encode(&signature))
    };
    let (rs, ps) = (sign("RS256", &RSA_PKCS1_SHA256), sign("PS256", &RSA_PSS_SHA256));
    // RSAPublicKey of RFC 8017: what comes before the modulus of 2048 bits has nine octets.
    let modulus = pair.public_key().as_ref()[9..265].to_vec();
    let mut jwk = json!({"kty": "RSA", "n": BASE64.encode(&modulus), "e": "AQAB"});
    let keys = set(&[jwk.clone()]);
    assert!(verify(&rs, &keys).is_ok() && verify(&ps, &keys).is_ok());
    // One padding's signature is none of the other.
    assert_eq!(verify(&sign("RS256", &RSA_PSS_SHA256), &keys), Err(Invalid::Signature));
    assert_eq!(verify(&sign("PS256", &RSA_PKCS1_SHA256), &keys), Err(Invalid::Signature));
    assert_eq!(verify(&sign("RS512", &RSA_PKCS1_SHA256), &keys), Err(Invalid::Signature));
    jwk["alg"] = json!("RS256");
    let keys = set(&[jwk.clone()]);
    assert!(verify(&rs, &keys).is_ok());
    assert_eq!(verify(&ps, &keys), Err(Invalid::Algorithm));
    // With the sign octet of the number in front.
    jwk["n"] = json!(BASE64.encode(&[&[0], &modulus[..]].concat()));
    assert!(verify(&rs, &set(&[jwk])).is_ok());
}

#[test]
fn edwards_keys() {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": BASE64.encode(pair.public_key().as_ref())});
    for algorithm in ["EdDSA", "Ed25519"] {
        let header = BASE64.encode(json!({ "alg": algorithm }).to_string().as_bytes());
        let signed = format!("{header}.{}", BASE64.encode(claims().to_string().as_bytes()));
        let token = format!("{signed}.{}", BASE64.encode(pair.sign(signed.as_bytes()).as_ref()));
        assert!(verify(&token, &set(std::slice::from_ref(&jwk))).is_ok(), "{algorithm}");
    }
}

/// Each is told by its id, and whether somebody has to correct it.
#[test]
fn keys_that_are_skipped() {
    let good = Issuer::new().jwk();
    let bad = json!({"kid": "old\n", "kty": "oct", "k": "c2VjcmV0"});
    let mut encrypts = good.clone();
    encrypts["use"] = "enc".into();
    let mut odd = good.clone();
    odd["use"] = 1.into();
    let found = set(&[bad.clone(), good.clone(), encrypts, json!("text"), odd]);
    let told: Vec<_> = found.skipped().iter().map(|key| (key.to_string(), key.is_fault())).collect();
    let id = good["kid"].as_str().expect("an id");
    assert_eq!(
        told,
        [
            ("keys[0] (kid \"old\\n\") is a shared secret, which whoever verifies could sign with".to_owned(), true),
            (format!("keys[2] (kid {id:?}) is not for signatures (use)"), false),
            ("keys[3] is no object".to_owned(), true),
            (format!("keys[4] (kid {id:?}) is not for signatures (use)"), true),
        ]
    );
    let long = "x".repeat(1000);
    let all: Vec<_> = (0..5).map(|_| json!({"kid": long, "kty": "oct"})).collect();
    let error = KeySet::read(json!({ "keys": all }).to_string().as_bytes()).expect_err("no key").to_string();
    let shown = "x".repeat(128);
    assert!(error.contains(&format!("keys[2] (kid \"{shown}\") is a shared secret")), "{error}");
    assert!(error.ends_with(" and 2 more") && !error.contains("keys[3]"), "{error}");
}

/// What cannot verify is skipped; what has nothing that can is refused.
#[test]
fn key_sets() {
    let good = Issuer::new().jwk();
    let changed = |changes: Value| {
        let mut jwk = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    for bad in [
        json!(1),
        json!({}),
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "PQC"}),
        changed(json!({"use": "enc"})),
        changed(json!({"key_ops": ["sign"]})),
        changed(json!({"key_ops": "verify"})),
        changed(json!({"alg": "ES384"})),
        changed(json!({"alg": "HS256"})),
        changed(json!({"alg": 1})),
        changed(json!({"kid": 1})),
        changed(json!({"crv": "P-384"})),
        changed(json!({"crv": "secp256k1"})),
        changed(json!({"x": "AA"})),
        changed(json!({"x": good["y"]})),
        changed(json!({"y": "not base64!"})),
        json!({"kty": "RSA", "n": BASE64.encode(&[0xff; 128]), "e": "AQAB"}),
        json!({"kty": "RSA", "n": BASE64.encode(&[0xff; 1025]), "e": "AQAB"}),
        json!({"kty": "RSA", "n": BASE64.encode(&[0xff; 256]), "e": "AQ"}),
        json!({"kty": "RSA", "n": BASE64.encode(&[0xff; 256]), "e": "Ag"}),
        json!({"kty": "RSA", "n": "", "e": ""}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": BASE64.encode(&[1; 32])}),
    ] {
        let alone = KeySet::read(json!({"keys": [bad]}).to_string().as_bytes());
        assert!(matches!(&alone, Err(BadKeys::NoneUsable(all)) if all.len() == 1), "{bad}: {alone:?}");
        let beside = set(&[bad.clone(), good.clone()]);
        assert_eq!((beside.len(), beside.skipped().len(), beside.skipped()[0].place), (1, 1, 0), "{bad}");
    }
    for (text, why) in [
        (String::new(), BadKeys::NotASet),
        (good.to_string(), BadKeys::NotASet),
        (json!({"keys": {}}).to_string(), BadKeys::NotASet),
        (r#"{"keys": [], "keys": []}"#.to_owned(), BadKeys::NotASet),
        (json!({"keys": []}).to_string(), BadKeys::NoneUsable(Vec::new())),
        (json!({"keys": vec![good.clone(); MAX_KEYS + 1]}).to_string(), BadKeys::TooMany(MAX_KEYS + 1)),
        (" ".repeat(MAX_SET_BYTES + 1), BadKeys::TooLarge(MAX_SET_BYTES + 1)),
    ] {
        assert_eq!(KeySet::read(text.as_bytes()).err(), Some(why));
    }
    assert_eq!(set(&vec![good; MAX_KEYS]).len(), MAX_KEYS);
}
