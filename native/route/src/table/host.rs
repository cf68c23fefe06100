//! Hostnames: exact first, then wildcards from the longest to the shortest, then none.

use super::path::PathTable;
use super::{Found, RequestHead, Rule};
use ahash::AHashMap;
use std::sync::Arc;

/// Labels of a hostname that are looked at; DNS allows 127 (RFC 1035 section 2.3.4).
const MAX_LABELS: usize = 127;

/// The routes of one listener by their own hostnames.
#[derive(Debug, Clone, Default)]
pub struct HostTable {
    /// Keys: a hostname, `*.suffix`, or empty for routes without hostnames.
    hosts: AHashMap<Arc<str>, Arc<PathTable>>,
    /// How many keys have a wildcard: with none, labels need not be tried.
    wildcards: usize,
    /// A match asks where a request comes from. Only grows until the table is rebuilt.
    asks_forwarded: bool,
}

impl HostTable {
    pub fn find<'t>(&'t self, head: &RequestHead<'_>) -> Option<Found<'t>> {
        if let Some(paths) = self.hosts.get(head.host)
            && let Some(found) = paths.find(head)
        {
            return Some(found);
        }
        if self.wildcards > 0 {
            let mut suffixes = suffixes(head.host);
            if let Some(found) = suffixes.find_map(|suffix| self.find_wildcard(suffix, head)) {
                return Some(found);
            }
        }
        self.hosts.get("")?.find(head)
    }

    /// Whether some match asks where a request comes from.
    pub fn asks_forwarded(&self) -> bool {
        self.asks_forwarded
    }

    /// A match asks that.
    pub(super) fn ask_forwarded(&mut self) {
        self.asks_forwarded = true;
    }

    /// Every attached rule, once for each of its matches.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.hosts.values().flat_map(|paths| paths.rules())
    }

    fn find_wildcard<'t>(&'t self, suffix: &str, head: &RequestHead<'_>) -> Option<Found<'t>> {
        self.hosts.get(with_star(suffix, &mut [0; MAX_WILDCARD])?)?.find(head)
    }

    /// The routes of one hostname, made where there are none yet.
    pub(super) fn entry(&mut self, hostname: &str) -> &mut Arc<PathTable> {
        if !self.hosts.contains_key(hostname) && hostname.starts_with("*.") {
            self.wildcards += 1;
        }
        self.hosts.entry(Arc::from(hostname)).or_default()
    }

    /// Change the routes of one hostname, and drop them when nothing is left.
    pub(super) fn update(&mut self, hostname: &str, change: impl FnOnce(&mut PathTable)) {
        let Some(paths) = self.hosts.get_mut(hostname) else {
            return;
        };
        let paths = Arc::make_mut(paths);
        change(paths);
        if paths.is_empty() {
            self.hosts.remove(hostname);
            self.wildcards -= usize::from(hostname.starts_with("*."));
        }
    }
}

/// `*.` and the longest hostname (253 octets).
const MAX_WILDCARD: usize = 256;

/// `*` put before `.suffix`, on the stack.
fn with_star<'s>(suffix: &str, space: &'s mut [u8; MAX_WILDCARD]) -> Option<&'s str> {
    let length = suffix.len() + 1;
    if length > MAX_WILDCARD {
        return None;
    }
    space[0] = b'*';
    space[1..length].copy_from_slice(suffix.as_bytes());
    std::str::from_utf8(&space[..length]).ok()
}

/// `.example.com`, `.com` for `www.example.com`: what a wildcard may stand before.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter(|&(at, _)| at > 0).take(MAX_LABELS).map(|(at, _)| &host[at..])
}

/// The value of the most specific key that holds for `host`: the name itself, then `*.` before ever shorter suffixes.
/// The empty key is the caller's.
pub(super) fn most_specific<'m, V>(map: &'m AHashMap<Box<str>, V>, host: &str) -> Option<&'m V> {
    if !host.is_empty()
        && let Some(value) = map.get(host)
    {
        return Some(value);
    }
    suffixes(host).find_map(|suffix| map.get(with_star(suffix, &mut [0; MAX_WILDCARD])?))
}

/// Exact names before wildcards, longer ones first; none last. Larger is more specific.
pub fn hostname_specificity(hostname: &str) -> (bool, usize) {
    let wildcard = hostname.starts_with("*.");
    (!wildcard && !hostname.is_empty(), hostname.len())
}

#[cfg(test)]
mod tests {
    use super::{HostTable, MAX_WILDCARD, hostname_specificity, most_specific, suffixes, with_star};
    use crate::samples::{head, rule, table};
    use crate::table::RequestHead;
    use ahash::AHashMap;
    use serde_json::{Value, json};

    /// Exact, then ever shorter wildcards, then none; where the first of them has no match for the path the next one is asked.
    #[test]
    fn whose_routes_take_a_host() {
        let at = |id: &str, hostnames: Value, path: &str| {
            rule(id, json!({"hostnames": hostnames, "matches": [{"path": {"type": "PathPrefix", "value": path}}]}))
        };
        let rules = json!([
            at("exact", json!(["www.a.test"]), "/exact"),
            at("narrow", json!(["*.a.test"]), "/narrow"),
            at("wide", json!(["*.test"]), "/wide"),
            at("any", json!([]), "/any"),
            at("all", json!(["www.a.test", "*.b.test"]), "/all"),
        ]);
        let table = table(rules, json!({}));
        let listener = table.sockets().flat_map(|socket| socket.listeners()).next().unwrap();
        for (host, path, expected) in [
            ("www.a.test", "/exact", Some("exact")),
            ("www.a.test", "/narrow", Some("narrow")),
            ("www.a.test", "/wide", Some("wide")),
            ("www.a.test", "/any", Some("any")),
            ("www.a.test", "/none", None),
            ("x.y.a.test", "/narrow", Some("narrow")),
            ("a.test", "/narrow", None),
            ("a.test", "/wide", Some("wide")),
            ("test", "/wide", None),
            ("x.a.test", "/exact", None),
            ("other", "/any", Some("any")),
            ("", "/any", Some("any")),
            ("x.b.test", "/all", Some("all")),
            ("b.test", "/all", None),
            (".a.test", "/narrow", None),
        ] {
            let found = listener.hosts.find(&RequestHead { host, ..head(path, &[]) });
            assert_eq!(found.map(|found| &*found.rule.ir.id), expected, "{host} {path}");
        }
        let mut rules: Vec<&str> = listener.hosts.rules().map(|rule| &*rule.ir.id).collect();
        rules.sort_unstable();
        assert_eq!(rules, ["all", "all", "any", "exact", "narrow", "wide"]);
    }

    /// Hosts without routes leave nothing behind that every request would pay for.
    #[test]
    fn hosts_go_when_nothing_is_left_of_them() {
        let mut hosts = HostTable::default();
        for name in ["*.a.test", "*.b.test", "c.test", "", "*.a.test"] {
            hosts.entry(name);
        }
        assert_eq!((hosts.hosts.len(), hosts.wildcards), (4, 2));
        for (name, left, wildcards) in
            [("x.test", 4, 2), ("c.test", 3, 2), ("*.a.test", 2, 1), ("*.a.test", 2, 1), ("*.b.test", 1, 0), ("", 0, 0)]
        {
            hosts.update(name, |_| ());
            assert_eq!((hosts.hosts.len(), hosts.wildcards), (left, wildcards), "{name}");
        }
        assert!(!hosts.asks_forwarded());
        hosts.ask_forwarded();
        assert!(hosts.asks_forwarded());
    }

    #[test]
    fn the_key_that_holds_for_a_host() {
        let keys = ["www.a.test", "*.a.test", "*.test", ""];
        let map: AHashMap<Box<str>, &str> = keys.iter().map(|&key| (Box::from(key), key)).collect();
        let longest = format!("{}.a.test", "x".repeat(247));
        for (host, expected) in [
            ("www.a.test", Some("www.a.test")),
            ("x.a.test", Some("*.a.test")),
            ("a.test", Some("*.test")),
            ("test", None),
            ("", None),
            ("*.a.test", Some("*.a.test")),
            (&longest, Some("*.a.test")),
        ] {
            assert_eq!(most_specific(&map, host).copied(), expected, "{host}");
        }
    }

    /// However long a host is that somebody sends.
    #[test]
    fn suffixes_of_a_host() {
        assert_eq!(suffixes("a.b.c").collect::<Vec<_>>(), [".b.c", ".c"]);
        assert_eq!(suffixes(".b").count() + suffixes("a").count() + suffixes("").count(), 0);
        assert_eq!(suffixes(&"a.".repeat(200)).count(), 127);
        for (length, is_some) in [(1, true), (MAX_WILDCARD - 1, true), (MAX_WILDCARD, false), (1000, false)] {
            let suffix = format!(".{}", "a".repeat(length - 1));
            let mut space = [0; MAX_WILDCARD];
            let found = with_star(&suffix, &mut space);
            assert_eq!(found, is_some.then(|| format!("*{suffix}")).as_deref(), "{length}");
        }
    }

    #[test]
    fn the_order_of_hostnames() {
        let order = ["a.long.test", "a.test", "*.very.long.example.test", "*.test", ""];
        for pair in order.windows(2) {
            assert!(hostname_specificity(pair[0]) > hostname_specificity(pair[1]), "{pair:?}");
        }
    }
}
