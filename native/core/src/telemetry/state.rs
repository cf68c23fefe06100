//! `tracestate` (W3C Trace Context, section 3.3): checked and handed on, never added to.

use codec::Field;

/// Members of a list (section 3.3.1.1).
const MAX_MEMBERS: usize = 32;

/// Octets of a list that is handed on; the specification asks for 512 at least. Stops clients from having every span carry much.
const MAX_LIST: usize = 4096;

/// The lists of all its fields as one; empty: there is none, or one that is none, which is then handed on by nobody.
pub fn read(fields: &[Field<'_>]) -> String {
    let mut list = String::new();
    for field in fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"tracestate")) {
        let Ok(text) = std::str::from_utf8(field.value) else { return String::new() };
        for member in text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
        {
            if !is_member(member) {
                return String::new();
            }
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(member);
        }
    }
    let fits = list.len() <= MAX_LIST && list.split(',').count() <= MAX_MEMBERS;
    if fits && !has_twice(&list) { list } else { String::new() }
}

fn key(member: &str) -> &str {
    member.split_once('=').map_or(member, |(key, _)| key)
}

fn has_twice(list: &str) -> bool {
    list.split(',').enumerate().any(|(at, one)| list.split(',').skip(at + 1).any(|other| key(one) == key(other)))
}

/// `key=value` of section 3.3.1.3.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    is_key(key) && is_value(value)
}

fn is_key(key: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_other = |byte: u8| is_first(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    key.len() <= 256 && key.bytes().next().is_some_and(is_first) && key.bytes().all(is_other)
}

fn is_value(value: &str) -> bool {
    let is_part = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && !value.ends_with(' ') && value.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::{MAX_LIST, read};
    use codec::Field;

    fn of(values: &[&str]) -> String {
        let fields: Vec<_> =
            values.iter().map(|value| Field { name: b"TraceState", value: value.as_bytes() }).collect();
        read(&fields)
    }

    #[test]
    fn lists_are_one_list() {
        for (values, expected) in [
            (&[][..], ""),
            (&[""], ""),
            (&["a=1"], "a=1"),
            (&["a=1,b=2"], "a=1,b=2"),
            (&["a=1", "b=2"], "a=1,b=2"),
            (&[" a=1 ,\t, b=2 x"], "a=1,b=2 x"),
            (&["tenant@system=v/*-_:!"], "tenant@system=v/*-_:!"),
            (&["0a=1"], "0a=1"),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }

    /// One that is none is handed on by nobody, whole.
    #[test]
    fn what_is_no_list() {
        let long_key = format!("{}=1", "a".repeat(257));
        let long_value = format!("a={}", "v".repeat(257));
        let many = (0..33).map(|at| format!("k{at}=1")).collect::<Vec<_>>().join(",");
        let much = (0..30).map(|at| format!("k{at}={}", "v".repeat(250))).collect::<Vec<_>>().join(",");
        assert!(much.len() > MAX_LIST);
        for bad in
            ["a", "=1", "a=", "A=1", "a=1=2", "a =1", "_a=1", "a=\u{e9}", "a=1\u{7f}", "a=1,a=2", "b=1,a", "a=1\u{1}b"]
        {
            assert_eq!(of(&[bad]), "", "{bad}");
        }
        for bad in [long_key, long_value, many, much] {
            assert_eq!(of(&[&bad]), "", "{bad}");
        }
        assert_eq!(read(&[Field { name: b"tracestate", value: b"a=\xff" }]), "");
        assert_eq!(of(&["a=1", "a=2"]), "");
    }
}
