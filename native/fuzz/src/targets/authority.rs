//! Authorities: `route::table::authority::parse`.

use crate::verdict::{Outcome, Violation, ensure};
use route::table::authority::{Authority, parse};

pub const TOKENS: &[&[u8]] = &[
    b"example.com",
    b"EXAMPLE.com",
    b".",
    b"..",
    b":",
    b":80",
    b":0",
    b":65535",
    b":65536",
    b":99999",
    b"@",
    b"user:pw@",
    b"/",
    b"\\",
    b"?",
    b"#",
    b"%",
    b"%00",
    b",",
    b" ",
    b"[::1]",
    b"[",
    b"]",
    b"[::ffff:1.2.3.4]",
    b"[fe80::1%25eth0]",
    b"[v1.a]",
    b"127.0.0.1",
    b"*.",
    b"_",
    b"xn--a",
];

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let Some(authority) = parse(input) else {
        return Ok("refused".to_owned());
    };
    let Authority { host, port } = &authority;
    ensure!(host.len() <= input.len() && !host.is_empty(), "a host is of what was sent", "{host}");
    ensure!(!host.bytes().any(|byte| byte.is_ascii_uppercase()), "a host is lower case", "{host}");
    let literal = host.starts_with('[');
    let allowed = |byte: u8| if literal { b"0123456789abcdef:.[]".contains(&byte) } else { is_reg_name(byte) };
    ensure!(host.bytes().all(allowed), "a host has no userinfo, path or other name in it", "{host}");
    ensure!(!input.contains(&b'@'), "no userinfo is let through", "{host}");
    let again = parse(host.as_bytes());
    let alone = Authority { host: host.clone(), port: None };
    ensure!(again.as_ref() == Some(&alone), "a host that is read is read as itself", "{host}, then {again:?}");
    if let Some(port) = port {
        let text = format!("{host}:{port}");
        ensure!(parse(text.as_bytes()).as_ref() == Some(&authority), "a port is what was sent", "{text}");
    }
    let digits = input.rsplit(|&byte| byte == b':').next().map(String::from_utf8_lossy);
    let sent = digits.and_then(|digits| digits.parse().ok());
    ensure!(port.is_none() || sent == *port, "a port is what was sent", "{port:?}, not {sent:?}");
    let with_more = [input, b"@a"].concat();
    ensure!(parse(&with_more).is_none(), "no userinfo is let through", "{}", with_more.escape_ascii());
    Ok(format!("literal {literal} port {} dots {}", port.is_some(), host.matches('.').count().min(3)))
}

/// RFC 3986 section 3.2.2, without escapes and without the comma, which would be two fields in one.
fn is_reg_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte)
}
