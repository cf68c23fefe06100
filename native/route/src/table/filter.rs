//! Filters of a rule or of one of its backends, compiled.

use super::state::Slots;
use super::substitution::Substitution;
use crate::expression::{Expression, Inputs, Wanted};
use crate::ir;
use codec::{Field, is_value, is_wire_field, without_blanks};
use smallvec::SmallVec;
use std::sync::Arc;

/// Octets of a value that an expression comes to: with many of them a head stays one that backends take.
const MAX_MADE: usize = 8 << 10;

/// Fields of one message while they are edited.
pub type EditedFields<'a> = SmallVec<[Field<'a>; 32]>;

/// One header modifier: set, then add, then remove. Edits of wire fields (RFC 9110 section 7.6.1) are left out: one
/// that was brought through would end a connection or a message where the other side does not.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits {
    set: Vec<(String, EditValue)>,
    add: Vec<(String, EditValue)>,
    remove: Vec<String>,
}

/// What an edit writes.
#[derive(Debug, Clone)]
enum EditValue {
    Fixed(String),
    /// What the expression in that place came to.
    Made(usize),
}

/// What the expressions of a rule or of a backendRef came to for one request, in their order.
pub type MadeValues = Vec<MadeValue>;

/// `None`: there is no field.
pub type MadeValue = Option<Vec<u8>>;

/// What an expression comes to. One that fails, or comes to what cannot stand in a head, comes to nothing.
pub(crate) fn made_value(expression: &Expression, inputs: &Inputs<'_>) -> MadeValue {
    let usable = |value: &Vec<u8>| !value.is_empty() && value.len() <= MAX_MADE && is_value(value);
    let text = expression.text(inputs).ok().flatten()?;
    Some(without_blanks(&text).as_bytes().to_vec()).filter(usable)
}

impl EditValue {
    /// `None`: there is no field.
    fn of<'a>(&'a self, made: &'a [MadeValue]) -> Option<&'a [u8]> {
        match self {
            Self::Fixed(value) => Some(value.as_bytes()),
            Self::Made(at) => made.get(*at)?.as_deref(),
        }
    }
}

impl HeaderEdits {
    /// `expressions`: those of the edit come first; they are put among `values`.
    fn compile(edit: &ir::HeaderEdit, expressions: &mut Expressions, values: &mut Vec<Expression>) -> Self {
        let mut pairs = |written: &[ir::HeaderValue]| {
            let mut kept = Vec::with_capacity(written.len());
            for field in written {
                let value = if field.expression.is_none() {
                    EditValue::Fixed(without_blanks(&field.value).to_owned())
                } else {
                    values.extend(expressions.next());
                    EditValue::Made(values.len().saturating_sub(1))
                };
                if !is_wire_field(field.name.as_bytes()) {
                    kept.push((field.name.clone(), value));
                }
            }
            kept
        };
        let (set, add) = (pairs(&edit.set), pairs(&edit.add));
        let remove = edit.remove.iter().filter(|name| !is_wire_field(name.as_bytes())).cloned().collect();
        Self { set, add, remove }
    }

    /// Of an edit without expressions.
    fn fixed(edit: &ir::HeaderEdit) -> Self {
        Self::compile(edit, &mut Vec::new().into_iter(), &mut Vec::new())
    }

    /// Names compare case-insensitively and are written as the filter has them; what is set or added goes to the end.
    /// `made`: what expressions came to.
    pub fn apply<'a>(&'a self, fields: &mut EditedFields<'a>, made: &'a [MadeValue]) {
        for (name, value) in &self.set {
            remove(fields, name);
            fields.extend(value.of(made).map(|value| Field { name: name.as_bytes(), value }));
        }
        for (name, value) in &self.add {
            fields.extend(value.of(made).map(|value| Field { name: name.as_bytes(), value }));
        }
        for name in &self.remove {
            remove(fields, name);
        }
    }

    /// Names of the fields that are replaced or removed, whoever sent them.
    fn replaced(&self) -> impl Iterator<Item = &String> {
        self.set.iter().map(|(name, _)| name).chain(&self.remove)
    }

    fn replaces(&self, name: &[u8]) -> bool {
        self.replaced().any(|edited| name.eq_ignore_ascii_case(edited.as_bytes()))
    }

    /// Take out what the edits replace or remove.
    fn remove_edited(&self, fields: &mut EditedFields<'_>) {
        for name in self.replaced() {
            remove(fields, name);
        }
    }

    /// The authority that an edit of `host` asks for.
    pub fn host(&self) -> Option<&str> {
        self.set.iter().chain(&self.add).rfind(|(name, _)| name.eq_ignore_ascii_case("host")).and_then(|(_, value)| {
            match value {
                EditValue::Fixed(value) => Some(value.as_str()),
                // Refused where it is written.
                EditValue::Made(_) => None,
            }
        })
    }
}

fn remove(fields: &mut EditedFields<'_>, name: &str) {
    fields.retain(|field| !field.name.eq_ignore_ascii_case(name.as_bytes()));
}

/// The filters of a listener.
#[derive(Debug, Clone, Default)]
pub struct ListenerFilters {
    pub pre_routing: PreRouting,
    /// What is done to its answers, and the answer to all that have a rule. `None`: nothing.
    pub own: Option<Arc<Filters>>,
}

impl ListenerFilters {
    /// # Errors
    /// A filter that a listener cannot have, or an expression that cannot be used.
    pub(super) fn compile(filters: &[ir::Filter]) -> Result<Self, String> {
        let (mut before, mut own) = (Vec::new(), Vec::new());
        for (index, filter) in filters.iter().enumerate() {
            match filter {
                ir::Filter::RequestHeaders(edit) if has_expressions(edit) => {
                    return Err(format!("filters[{index}]: what comes before a rule is chosen has no expressions"));
                }
                ir::Filter::RequestHeaders(edit) => before.push(HeaderEdits::fixed(&without_host(edit))),
                ir::Filter::ResponseHeaders(_) | ir::Filter::Respond(_) => own.push(filter.clone()),
                _ => return Err(format!("filters[{index}]: a listener cannot have a filter of this kind")),
            }
        }
        let mut parts = compile_parts(own.iter())?;
        let compiled = (!own.is_empty()).then(|| Filters::compile(&own, &mut Slots::default(), &mut parts));
        Ok(Self { pre_routing: PreRouting(before), own: compiled.map(Arc::new) })
    }
}

/// Edits of a listener that run before a rule is chosen, so matching sees what they leave (GEP-5224).
#[derive(Debug, Clone, Default)]
pub struct PreRouting(Vec<HeaderEdits>);

impl PreRouting {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As [`Filters::replaces`].
    pub fn replaces(&self, name: &[u8]) -> bool {
        self.0.iter().any(|edits| edits.replaces(name))
    }

    /// Edit what a client sent. Returns how much of that is left: what is behind it in `fields` is the filters'.
    ///
    /// `taken_out`: fields that `Connection` names are not forwarded, but an edit of one replaces it for matching too.
    pub fn apply<'a>(&'a self, fields: &mut EditedFields<'a>, taken_out: &mut EditedFields<'a>) -> usize {
        let mut own = EditedFields::new();
        for edits in &self.0 {
            edits.remove_edited(taken_out);
            edits.remove_edited(fields);
            edits.apply(&mut own, &[]);
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
    /// Empty: that of the request.
    pub hostname: String,
    pub without_body: bool,
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

/// What filters have that has to be compiled, in the order written; of a rule its own come first, then those of its backends.
#[derive(Debug, Default)]
pub(super) struct FilterParts {
    substitutions: std::vec::IntoIter<Substitution>,
    expressions: Expressions,
}

type Expressions = std::vec::IntoIter<Expression>;

/// # Errors
/// A pattern or an expression that cannot be used.
pub(super) fn compile_parts<'f>(filters: impl Iterator<Item = &'f ir::Filter>) -> Result<FilterParts, String> {
    let (mut substitutions, mut expressions) = (Vec::new(), Vec::new());
    for filter in filters {
        match filter {
            ir::Filter::Rewrite(ir::Rewrite { substitution: Some(wanted), .. }) => {
                let compiled = Substitution::compile(wanted);
                substitutions.push(compiled.map_err(|error| format!("rewrite.substitution: {error}"))?);
            }
            ir::Filter::RequestHeaders(edit) | ir::Filter::ResponseHeaders(edit) => {
                for field in edit.set.iter().chain(&edit.add) {
                    let compiled = field.expression.as_ref().map(|text| Expression::compile(text, Wanted::Text));
                    let compiled = compiled.transpose();
                    expressions.extend(compiled.map_err(|error| format!("headers, {}: {error}", field.name))?);
                }
            }
            _ => {}
        }
    }
    Ok(FilterParts { substitutions: substitutions.into_iter(), expressions: expressions.into_iter() })
}

fn has_expressions(edit: &ir::HeaderEdit) -> bool {
    edit.set.iter().chain(&edit.add).any(|field| field.expression.is_some())
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
    /// Of responses of backends.
    pub response_rewrite: Option<ir::ResponseRewrite>,
    /// Values of the edits.
    expressions: Arc<[Expression]>,
}

impl Filters {
    pub(super) fn compile(filters: &[ir::Filter], slots: &mut Slots, parts: &mut FilterParts) -> Self {
        let (mut compiled, mut values) = (Self::default(), Vec::new());
        let FilterParts { substitutions, expressions } = parts;
        let mut edits = |edit: &ir::HeaderEdit| HeaderEdits::compile(edit, expressions, &mut values);
        for filter in filters {
            match filter {
                ir::Filter::RequestHeaders(edit) => compiled.request.push(edits(edit)),
                ir::Filter::ResponseHeaders(edit) => compiled.response.push(edits(edit)),
                ir::Filter::ResponseRewrite(rewrite) => compiled.response_rewrite = Some(rewrite.clone()),
                ir::Filter::Redirect(redirect) => compiled.redirect = Some(redirect.clone()),
                ir::Filter::Rewrite(rewrite) => {
                    let substitution = rewrite.substitution.as_ref().and_then(|_| substitutions.next());
                    compiled.rewrite = Some(Rewrite { ir: rewrite.clone(), substitution });
                    compiled.edits_before_rewrite = compiled.request.len();
                }
                ir::Filter::Mirror { backend, percentage, hostname, without_body } => compiled.mirrors.push(Mirror {
                    slot: slots.of(backend),
                    backend: backend.clone(),
                    percentage: *percentage,
                    hostname: hostname.clone(),
                    without_body: *without_body,
                }),
                ir::Filter::Cors(cors) => compiled.cors = Some(CorsFilter::compile(cors)),
                ir::Filter::Respond(respond) => {
                    let edit = ir::HeaderEdit { add: respond.headers.clone(), ..ir::HeaderEdit::default() };
                    compiled.respond = Some(Respond {
                        status: respond.status,
                        fields: HeaderEdits::fixed(&edit),
                        body: Arc::from(respond.body.as_str()),
                    });
                }
            }
        }
        compiled.expressions = values.into();
        compiled
    }

    /// Whether clients cannot send a field of this name: what they say there is replaced or removed.
    pub fn replaces(&self, name: &[u8]) -> bool {
        self.request.iter().any(|edits| edits.replaces(name))
    }

    /// The same of backends and fields of responses.
    pub fn replaces_of_response(&self, name: &[u8]) -> bool {
        self.response.iter().any(|edits| edits.replaces(name))
    }

    pub fn has_expressions(&self) -> bool {
        !self.expressions.is_empty()
    }

    /// What the expressions come to.
    pub fn make<'i>(&self, inputs: impl FnOnce() -> Inputs<'i>) -> MadeValues {
        if self.expressions.is_empty() {
            return MadeValues::new();
        }
        let inputs = inputs();
        self.expressions.iter().map(|expression| made_value(expression, &inputs)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.request.is_empty()
            && self.response.is_empty()
            && self.rewrite.is_none()
            && self.mirrors.is_empty()
            && self.redirect.is_none()
            && self.respond.is_none()
            && self.cors.is_none()
            && self.response_rewrite.is_none()
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

#[cfg(test)]
mod tests;
