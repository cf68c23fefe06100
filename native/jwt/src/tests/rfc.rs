//! Examples of RFC 7515 (appendix A), RFC 7520 (section 4) and RFC 8037 (appendix A.4), in their own numbers.

use crate::{Expected, Invalid, KeySet, Token};
use serde_json::{Value, json};
use std::time::Duration;

/// RFC 7515 A.2.1.
const RSA_A2: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-\
    yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2\
    CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyu\
    XpoQ";

/// RFC 7520 section 3.3.
const RSA_3_3: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBS\
    FKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsd\
    e3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5z\
    w";

const BILBO: &str = "bilbo.baggins@hobbiton.example";

/// RFC 7515 A.2 and A.3: the claims of both.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7520 section 4: the payload of all.
const FRODO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCw\
    gYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

const SIGNATURE_A2: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5ju\
    jGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn\
    6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGl\
    UPQGe77Rw";

const SIGNATURE_A3: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

const SIGNATURE_4_1: &str = "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PN\
    Di84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpE\
    RV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18k\
    DquDg";

const SIGNATURE_4_2: &str = "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDD\
    ItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr\
    2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X\
    72Eaw";

const SIGNATURE_4_3: &str = "AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu\
    _u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2";

const SIGNATURE_8037: &str = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn a2() -> Value {
    json!({"kty": "RSA", "n": RSA_A2, "e": "AQAB"})
}

fn a3() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn frodo_rsa() -> Value {
    json!({"kty": "RSA", "kid": BILBO, "use": "sig", "n": RSA_3_3, "e": "AQAB"})
}

fn frodo_elliptic() -> Value {
    json!({
        "kty": "EC",
        "kid": BILBO,
        "use": "sig",
        "crv": "P-521",
        "x": "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt",
        "y": "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1",
    })
}

fn edwards() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

#[test]
fn signatures() {
    const ED_PAYLOAD: &str = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let keys = |jwk: Value| KeySet::read(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a usable key");
    let kid = "ImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9";
    for (section, jwk, header, payload, signature) in [
        ("RFC 7515 A.2", a2(), "eyJhbGciOiJSUzI1NiJ9".to_owned(), CLAIMS, SIGNATURE_A2),
        ("RFC 7515 A.3", a3(), "eyJhbGciOiJFUzI1NiJ9".to_owned(), CLAIMS, SIGNATURE_A3),
        ("RFC 7520 4.1", frodo_rsa(), format!("eyJhbGciOiJSUzI1NiIs{kid}"), FRODO, SIGNATURE_4_1),
        ("RFC 7520 4.2", frodo_rsa(), format!("eyJhbGciOiJQUzM4NCIs{kid}"), FRODO, SIGNATURE_4_2),
        ("RFC 7520 4.3", frodo_elliptic(), format!("eyJhbGciOiJFUzUxMiIs{kid}"), FRODO, SIGNATURE_4_3),
        ("RFC 8037 A.4", edwards(), "eyJhbGciOiJFZERTQSJ9".to_owned(), ED_PAYLOAD, SIGNATURE_8037),
    ] {
        let token = format!("{header}.{payload}.{signature}");
        let token = Token::parse(token.as_bytes()).unwrap_or_else(|why| panic!("{section}: {why:?}"));
        let signed = token.signed_payload(&keys(jwk)).unwrap_or_else(|why| panic!("{section}: {why:?}"));
        assert_eq!(data_encoding::BASE64URL_NOPAD.encode(signed), payload, "{section}");
        let altered = format!("{header}.{payload}.{}", signature.replacen(&signature[4..5], "x", 1));
        let altered = Token::parse(altered.as_bytes()).expect("a token");
        for other in [a2(), a3(), frodo_rsa(), frodo_elliptic(), edwards()] {
            assert!(altered.signed_payload(&keys(other)).is_err(), "{section}");
        }
    }
}

/// RFC 7515 A.3 as a token: it has an issuer and a time, and no audience.
#[test]
fn claims() {
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.{SIGNATURE_A3}");
    let mut token = Token::parse(token.as_bytes()).expect("a token");
    let keys = KeySet::read(json!({"keys": [a3()]}).to_string().as_bytes()).expect("a usable key");
    let expected = |audience: &str| Expected {
        issuer: "joe".to_owned(),
        audiences: vec![audience.to_owned()],
        leeway: Duration::ZERO,
    };
    let before = Duration::from_secs(1_300_819_379);
    let found = expected("*").verify(&mut token, &keys, before).expect("a good token");
    assert_eq!(found.all.get("http://example.com/is_root"), Some(&json!(true)));
    assert_eq!(expected("x").verify(&mut token, &keys, before), Err(Invalid::Audience));
    assert_eq!(expected("*").verify(&mut token, &keys, before + Duration::from_secs(1)), Err(Invalid::Expired));
}
