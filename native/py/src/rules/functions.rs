//! What rules may call: CEL's own functions, the library of strings, and of Kubernetes' libraries what a CRD here asks.
//!
//! Source: "Kubernetes CEL libraries" of the Kubernetes documentation on CEL; `k8s.io/apiserver/pkg/cel/library`.

use cel::common::types::{CelBool, CelInt, CelList, CelOptional, CelString};
use cel::common::value::Val;
use cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload, extensions};
use std::net::IpAddr;

/// Bytes of a name in the DNS, and of a label of Kubernetes (`k8s.io/apimachinery/pkg/util/validation`).
const MAX_SUBDOMAIN: usize = 253;
const MAX_NAME: usize = 63;

/// The kinds of `format`; a value is checked by the name of one.
const SUBDOMAIN: &str = "dns1123Subdomain";
const QUALIFIED_NAME: &str = "qualifiedName";

/// What all rules are compiled for and asked in.
pub fn environment() -> Result<Env, DeclarationError> {
    let mut environment = Env::stdlib();
    environment.add_extension(extensions::strings)?;
    environment.add_extension(kubernetes)?;
    Ok(environment)
}

fn kubernetes(environment: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(environment, fn duration: (CelString) -> Result<CelInt>)?;
    add_overload!(environment, fn is_ip: (CelString) -> CelBool, name = "isIP")?;
    add_overload!(environment, fn subdomain: () -> CelString, name = "format.dns1123Subdomain")?;
    add_overload!(environment, fn qualified_name: () -> CelString, name = "format.qualifiedName")?;
    add_member_overload!(environment, fn validate: (CelString, CelString) -> Result<CelOptional>)
}

/// In nanoseconds: rules compare durations with each other and do nothing else with them, and the type that the crate has
/// brings a library of time zones.
fn duration(text: &CelString<'_>) -> Result<CelInt, ExecutionError> {
    nanoseconds(text.inner())
        .map(CelInt::from)
        .ok_or_else(|| ExecutionError::function_error("duration", "no duration, such as 1m30s"))
}

fn is_ip(text: &CelString<'_>) -> CelBool {
    text.inner().parse::<IpAddr>().is_ok().into()
}

fn subdomain() -> CelString<'static> {
    SUBDOMAIN.into()
}

fn qualified_name() -> CelString<'static> {
    QUALIFIED_NAME.into()
}

/// What is wrong with a value; nothing where it is right.
fn validate(format: &CelString<'_>, value: &CelString<'_>) -> Result<CelOptional<'static>, ExecutionError> {
    let format = format.inner();
    let fits = match format {
        SUBDOMAIN => is_subdomain(value.inner()),
        QUALIFIED_NAME => is_qualified(value.inner()),
        _ => return Err(ExecutionError::function_error("validate", "there is no such format")),
    };
    if fits {
        return Ok(CelOptional::none());
    }
    let wrong: Vec<Box<dyn Val>> = vec![Box::new(CelString::from(format!("no {format}")))];
    Ok(CelOptional::of(Box::new(CelList::from(wrong))))
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN
        && text.split('.').all(|label| {
            has_ends(label, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), |byte| byte == b'-')
        })
}

/// A name with or without the domain of who gave it: `example.com/name`.
fn is_qualified(text: &str) -> bool {
    let (domain, name) = text.rsplit_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    name.len() <= MAX_NAME
        && has_ends(name, |byte| byte.is_ascii_alphanumeric(), |byte| b"-_.".contains(&byte))
        && domain.is_none_or(is_subdomain)
}

/// Whether a text is made of some bytes, with others allowed between its first and its last.
fn has_ends(text: &str, everywhere: impl Fn(u8) -> bool, within: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| everywhere(*byte))
        && bytes.last().is_some_and(|byte| everywhere(*byte))
        && bytes.iter().all(|byte| everywhere(*byte) || within(*byte))
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `-2ms`.
fn nanoseconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = if rest.is_empty() { None } else { Some(0_i64) };
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|it: char| !it.is_ascii_digit() && it != '.')?);
        let (unit, after) =
            after.split_at(after.find(|it: char| it.is_ascii_digit() || it == '.').unwrap_or(after.len()));
        total = total?.checked_add(part(number, unit)?);
        rest = after;
    }
    total?.checked_mul(sign)
}

/// One number with its unit; what is less than a nanosecond is cut off.
fn part(number: &str, unit: &str) -> Option<i64> {
    let unit: i64 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mut total = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.checked_mul(unit)? };
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        total = total.checked_add(i64::from(digit - b'0').checked_mul(scale)?)?;
    }
    Some(total)
}
