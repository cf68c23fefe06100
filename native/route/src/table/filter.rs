//! Filters of a rule or of one of its backends, compiled.

use super::state::Slots;
use super::substitution::Substitution;
use crate::ir;
use codec::{Field, is_wire_field};
use smallvec::SmallVec;
use std::sync::Arc;

/// Fields of one message while they are edited.
pub type EditedFields<'a> = SmallVec<[Field<'a>; 32]>;

/// One header modifier: set, then add, then remove. Edits of wire fields (RFC 9110 section 7.6.1) are left out: one
/// that was brought through would end a connection or a message where the other side does not.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits {
    set: Vec<(String, String)>,
    add: Vec<(String, String)>,
    remove: Vec<String>,
}

impl HeaderEdits {
    fn compile(edit: &ir::HeaderEdit) -> Self {
        let pairs = |values: &[ir::HeaderValue]| {
            let kept = values.iter().filter(|field| !is_wire_field(field.name.as_bytes()));
            kept.map(|field| (field.name.clone(), field.value.clone())).collect()
        };
        let remove = edit.remove.iter().filter(|name| !is_wire_field(name.as_bytes())).cloned().collect();
        Self { set: pairs(&edit.set), add: pairs(&edit.add), remove }
    }

    /// Names compare case-insensitively and are written as the filter has them; what is set or added goes to the end.
    pub fn apply<'a>(&'a self, fields: &mut EditedFields<'a>) {
        for (name, value) in &self.set {
            remove(fields, name);
            fields.push(Field { name: name.as_bytes(), value: value.as_bytes() });
        }
        for (name, value) in &self.add {
            fields.push(Field { name: name.as_bytes(), value: value.as_bytes() });
        }
        for name in &self.remove {
            remove(fields, name);
        }
    }

    /// Take out what the edits replace or remove.
    fn remove_edited(&self, fields: &mut EditedFields<'_>) {
        for name in self.set.iter().map(|(name, _)| name).chain(&self.remove) {
            remove(fields, name);
        }
    }

    /// The authority that an edit of `host` asks for.
    pub fn host(&self) -> Option<&str> {
        self.set
            .iter()
            .chain(&self.add)
            .rfind(|(name, _)| name.eq_ignore_ascii_case("host"))
            .map(|(_, value)| value.as_str())
    }
}

fn remove(fields: &mut EditedFields<'_>, name: &str) {
    fields.retain(|field| !field.name.eq_ignore_ascii_case(name.as_bytes()));
}

/// The filters of a listener: they run before a rule is chosen, so matching sees what they leave (GEP-5224).
#[derive(Debug, Clone, Default)]
pub struct PreRouting(Vec<HeaderEdits>);

impl PreRouting {
    /// # Errors
    /// A filter that is no request header edit.
    pub(super) fn compile(filters: &[ir::Filter]) -> Result<Self, String> {
        let edit = |(index, filter): (usize, &ir::Filter)| match filter {
            ir::Filter::RequestHeaders(edit) => Ok(HeaderEdits::compile(&without_host(edit))),
            _ => Err(format!("filters[{index}]: a listener can only have request_headers filters")),
        };
        filters.iter().enumerate().map(edit).collect::<Result<_, _>>().map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Edit what a client sent. Returns how much of that is left: what is behind it in `fields` is the filters'.
    ///
    /// `taken_out`: fields that `Connection` names are not forwarded, but an edit of one replaces it for matching too.
    pub fn apply<'a>(&'a self, fields: &mut EditedFields<'a>, taken_out: &mut EditedFields<'a>) -> usize {
        let mut own = EditedFields::new();
        for edits in &self.0 {
            edits.remove_edited(taken_out);
            edits.remove_edited(fields);
            edits.apply(&mut own);
        }
        let left = fields.len();
        fields.extend(own);
        left
    }
}

/// What would change the authority does not take effect: the listener was chosen by it (`ListenerFilters.requests`).
fn without_host(edit: &ir::HeaderEdit) -> ir::HeaderEdit {
    let other = |name: &str| !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case(":authority");
    let pairs = |values: &[ir::HeaderValue]| values.iter().filter(|field| other(&field.name)).cloned().collect();
    ir::HeaderEdit {
        set: pairs(&edit.set),
        add: pairs(&edit.add),
        remove: edit.remove.iter().filter(|name| other(name)).cloned().collect(),
    }
}

/// A copy of some of the requests to another backend.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub slot: u32,
    pub backend: String,
    pub percentage: ir::Percentage,
}

/// A rewrite of path and authority; `substitution`: its own, compiled.
#[derive(Debug, Clone)]
pub struct Rewrite {
    pub ir: ir::Rewrite,
    pub substitution: Option<Substitution>,
}

/// An answer in place of a backend's.
#[derive(Debug, Clone)]
pub struct Respond {
    pub status: u16,
    pub fields: HeaderEdits,
    pub body: Arc<str>,
}

/// The patterns of a rule's rewrites, compiled, in the order written: of the rule, then of its backends.
pub(super) type Substitutions = std::vec::IntoIter<Substitution>;

/// # Errors
/// A pattern that cannot be used.
pub(super) fn compile_substitutions(rule: &ir::HttpRule) -> Result<Substitutions, String> {
    let filters = rule.filters.iter().chain(rule.backends.iter().flat_map(|backend| &backend.filters));
    let wanted = filters.filter_map(|filter| match filter {
        ir::Filter::Rewrite(rewrite) => rewrite.substitution.as_ref(),
        _ => None,
    });
    let compile = |wanted| Substitution::compile(wanted).map_err(|error| format!("rewrite.substitution: {error}"));
    wanted.map(compile).collect::<Result<Vec<_>, _>>().map(Vec::into_iter)
}

/// Filters in the order they act, sorted by what they act on.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    pub request: Vec<HeaderEdits>,
    pub response: Vec<HeaderEdits>,
    pub rewrite: Option<Rewrite>,
    /// How many of the request's header edits come before the rewrite: both can set the authority, the later one counts.
    pub edits_before_rewrite: usize,
    pub mirrors: Vec<Mirror>,
    pub redirect: Option<ir::Redirect>,
    pub respond: Option<Respond>,
    pub cors: Option<CorsFilter>,
}

impl Filters {
    pub(super) fn compile(filters: &[ir::Filter], slots: &mut Slots, substitutions: &mut Substitutions) -> Self {
        let mut compiled = Self::default();
        for filter in filters {
            match filter {
                ir::Filter::RequestHeaders(edit) => compiled.request.push(HeaderEdits::compile(edit)),
                ir::Filter::ResponseHeaders(edit) => compiled.response.push(HeaderEdits::compile(edit)),
                ir::Filter::Redirect(redirect) => compiled.redirect = Some(redirect.clone()),
                ir::Filter::Rewrite(rewrite) => {
                    let substitution = rewrite.substitution.as_ref().and_then(|_| substitutions.next());
                    compiled.rewrite = Some(Rewrite { ir: rewrite.clone(), substitution });
                    compiled.edits_before_rewrite = compiled.request.len();
                }
                ir::Filter::Mirror { backend, percentage } => compiled.mirrors.push(Mirror {
                    slot: slots.of(backend),
                    backend: backend.clone(),
                    percentage: *percentage,
                }),
                ir::Filter::Cors(cors) => compiled.cors = Some(CorsFilter::compile(cors)),
                ir::Filter::Respond(respond) => {
                    let edit = ir::HeaderEdit { add: respond.headers.clone(), ..ir::HeaderEdit::default() };
                    compiled.respond = Some(Respond {
                        status: respond.status,
                        fields: HeaderEdits::compile(&edit),
                        body: Arc::from(respond.body.as_str()),
                    });
                }
            }
        }
        compiled
    }

    pub fn is_empty(&self) -> bool {
        self.request.is_empty()
            && self.response.is_empty()
            && self.rewrite.is_none()
            && self.mirrors.is_empty()
            && self.redirect.is_none()
            && self.respond.is_none()
            && self.cors.is_none()
    }
}

/// One entry of `allowOrigins`.
#[derive(Debug, Clone)]
pub enum OriginPattern {
    Any,
    Exact(String),
    /// What stands before and after the `*` in the host.
    Wildcard(String, String),
}

/// `HTTPCORSFilter` (GEP-1767).
#[derive(Debug, Clone)]
pub struct CorsFilter {
    pub origins: Vec<OriginPattern>,
    pub ir: ir::Cors,
}

impl CorsFilter {
    fn compile(cors: &ir::Cors) -> Self {
        let origins = cors
            .allow_origins
            .iter()
            .map(|origin| match origin.split_once('*') {
                _ if origin == "*" => OriginPattern::Any,
                Some((before, after)) => {
                    OriginPattern::Wildcard(before.to_ascii_lowercase(), after.to_ascii_lowercase())
                }
                None => OriginPattern::Exact(origin.to_ascii_lowercase()),
            })
            .collect();
        Self { origins, ir: cors.clone() }
    }

    /// Every response has the same `*`, whoever asks.
    pub fn is_open(&self) -> bool {
        !self.ir.allow_credentials && self.origins.iter().any(|pattern| matches!(pattern, OriginPattern::Any))
    }

    pub fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.iter().any(|pattern| match pattern {
            OriginPattern::Any => true,
            OriginPattern::Exact(exact) => *exact == origin,
            OriginPattern::Wildcard(before, after) => origin
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(after.as_str()))
                .is_some_and(|star| {
                    !star.is_empty()
                        && star.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
                }),
        })
    }
}
