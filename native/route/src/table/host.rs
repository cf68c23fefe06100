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
