//! What filters make of a request: its path, its fields, its authority, or a redirect.

use crate::ir::{PathModifier, Redirect};
use crate::table::authority;
use crate::table::{EditedFields, Filters, HeaderEdits, Listener, MadeValue, RequestHead, Rewrite};
use std::borrow::Cow;

/// A path after `ReplaceFullPath` or `ReplacePrefixMatch` (`HTTPPathModifier`).
fn modify_path<'p>(modifier: &'p PathModifier, path: &'p str, prefix_length: Option<usize>) -> Cow<'p, str> {
    match (modifier, prefix_length) {
        (PathModifier::ReplaceFullPath(replacement), _) => rooted(replacement),
        (PathModifier::ReplacePrefixMatch(_), None) => Cow::Borrowed(path),
        (PathModifier::ReplacePrefixMatch(replacement), Some(length)) => {
            let rest = path.get(length..).unwrap_or_default();
            if rest.is_empty() {
                return rooted(replacement);
            }
            let base = replacement.strip_suffix('/').unwrap_or(replacement);
            let root = if base.is_empty() || base.starts_with('/') { "" } else { "/" };
            Cow::Owned(format!("{root}{base}/{}", rest.strip_prefix('/').unwrap_or(rest)))
        }
    }
}

fn rooted(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) }
}

/// The `Location` of a redirect (`HTTPRequestRedirectFilter`).
pub fn location(
    redirect: &Redirect,
    listener: &Listener,
    head: &RequestHead<'_>,
    prefix_length: Option<usize>,
) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(listener.ir.protocol.scheme());
    let well_known = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = redirect.port.or_else(|| match &redirect.scheme {
        Some(_) => well_known.or(Some(listener.ir.port)),
        None => Some(listener.ir.port),
    });
    let host = redirect.hostname.as_deref().unwrap_or(head.host);
    let path = match &redirect.path {
        Some(modifier) => modify_path(modifier, head.path, prefix_length),
        None => Cow::Borrowed(head.path),
    };
    let mut location = format!("{scheme}://{host}");
    if let Some(port) = port.filter(|port| Some(*port) != well_known) {
        location.push(':');
        location.push_str(itoa::Buffer::new().format(port));
    }
    location.push_str(&path);
    if let Some(query) = head.query {
        location.push('?');
        location.push_str(query);
    }
    location
}

/// What a rule's or backendRef's request filters change besides the fields.
#[derive(Debug, Default)]
pub struct Edited<'f> {
    pub authority: Option<&'f str>,
    pub path: Option<String>,
}

/// What a rewrite makes of a path is none, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPath;

/// Apply the request filters of a rule or of a backendRef: header edits to `fields`, the rest is returned.
///
/// `made`: what its expressions came to. `path` is the one that was matched, also where a filter before has replaced it: the
/// length is that of its prefix.
///
/// # Errors
/// [`NoPath`].
pub fn edit_request<'f>(
    filters: &'f Filters,
    made: &'f [MadeValue],
    fields: &mut EditedFields<'f>,
    path: &str,
    prefix_length: Option<usize>,
) -> Result<Edited<'f>, NoPath> {
    let (before, after) = filters.request.split_at(filters.edits_before_rewrite);
    let mut edited = Edited { authority: edit_headers(before, made, fields), path: None };
    if let Some(rewrite) = &filters.rewrite {
        edited.authority = rewritten_authority(rewrite, fields).or(edited.authority);
        edited.path = rewritten_path(rewrite, path, prefix_length)?;
    }
    edited.authority = edit_headers(after, made, fields).or(edited.authority);
    Ok(edited)
}

fn rewritten_authority<'f>(rewrite: &'f Rewrite, fields: &EditedFields<'f>) -> Option<&'f str> {
    let named = rewrite.ir.host_from.as_deref().and_then(|name| {
        let mut sent = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
        // One value that is a host, or nothing: of two nobody can say which one is meant.
        let value = sent.next().filter(|_| sent.next().is_none())?.value.trim_ascii();
        authority::parse(value)?;
        std::str::from_utf8(value).ok().filter(|value| !value.is_empty())
    });
    named.or(rewrite.ir.hostname.as_deref())
}

fn rewritten_path(rewrite: &Rewrite, path: &str, prefix_length: Option<usize>) -> Result<Option<String>, NoPath> {
    match (&rewrite.ir.path, &rewrite.substitution) {
        (_, Some(substitution)) => substitution.apply(path).map(|path| Some(path.into_owned())).ok_or(NoPath),
        (None, None) => Ok(None),
        // No prefix was matched, so there is none to replace.
        (Some(PathModifier::ReplacePrefixMatch(_)), None) if prefix_length.is_none() => Ok(None),
        (Some(modifier), None) => Ok(Some(modify_path(modifier, path, prefix_length).into_owned())),
    }
}

/// Header edits in order; returns the authority that the last edit of `host` asks for.
fn edit_headers<'f>(all: &'f [HeaderEdits], made: &'f [MadeValue], fields: &mut EditedFields<'f>) -> Option<&'f str> {
    let mut authority = None;
    for edits in all {
        edits.apply(fields, made);
        if let Some(host) = edits.host() {
            authority = Some(host);
            fields.retain(|field| !field.name.eq_ignore_ascii_case(b"host"));
        }
    }
    authority
}

#[cfg(test)]
mod tests {
    use super::modify_path;
    use crate::ir::PathModifier;

    /// The table in the documentation of `HTTPPathModifier.replacePrefixMatch`, and its corners.
    #[test]
    fn replace_prefix_match() {
        for (path, prefix, replacement, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo", "/", "/xyz", "/xyz/foo"),
            ("/", "/", "/xyz", "/xyz"),
            ("/foo/bar", "/foo", "xyz", "/xyz/bar"),
        ] {
            let modifier = PathModifier::ReplacePrefixMatch(replacement.to_owned());
            assert_eq!(modify_path(&modifier, path, Some(prefix.len())), expected, "{path} {prefix} {replacement}");
        }
        let full = PathModifier::ReplaceFullPath("/full".to_owned());
        assert_eq!(modify_path(&full, "/foo/bar", None), "/full");
    }
}
