//! The rules of CRDs (`x-kubernetes-validations`), in CEL, by the crate `cel`.
//!
//! Rules are those of `python/sluicegate/schema/data`; what they are asked about comes from users. A rule compiles once
//! and is asked often: it borrows a value, and copies nothing of it.

mod functions;
mod parsing;
mod values;

use cel::common::ast::IdedExpr;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value};
use pyo3::exceptions::{PyLookupError, PyValueError};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

/// Bytes of a reason: some hold the values of the object.
const MAX_REASON: usize = 300;

static ENVIRONMENT: LazyLock<Result<Arc<Env>, String>> =
    LazyLock::new(|| functions::environment().map(Arc::new).map_err(|error| error.to_string()));

fn environment() -> PyResult<Arc<Env>> {
    ENVIRONMENT.clone().map_err(PyValueError::new_err)
}

/// A rule, or the expression of its message.
#[pyclass(frozen, module = "sluicegate._native")]
pub struct Rule {
    expression: IdedExpr,
}

#[pymethods]
impl Rule {
    /// Raises `ValueError` for a text that is no CEL.
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<Self> {
        // Other people's code, and what a panic leaves behind is thrown away.
        let parsed = py.detach(|| catch_unwind(|| parsing::parse(text)));
        let parsed = parsed.unwrap_or_else(|_| Err("it is no CEL".to_owned()));
        let expression = parsed.map_err(|reason| PyValueError::new_err(shortened(reason)))?;
        Ok(Self { expression })
    }

    /// Functions and operators that it calls, sorted.
    fn functions(&self) -> Vec<String> {
        let mut names: Vec<_> = self.expression.references().functions().into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// Whether it holds.
    ///
    /// Raises `LookupError` for a field or an item that is not there, `ValueError` for all else that can go wrong.
    fn holds(&self, py: Python<'_>, scope: &RuleScope) -> PyResult<bool> {
        match self.evaluate(py, scope)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(PyValueError::new_err(format!("it comes to a {}, not to true or false", other.type_of()))),
        }
    }

    /// The text that it comes to; raises what `holds` does.
    fn text(&self, py: Python<'_>, scope: &RuleScope) -> PyResult<String> {
        match self.evaluate(py, scope)? {
            Value::String(text) => Ok(text.as_ref().clone()),
            other => Err(PyValueError::new_err(format!("it comes to a {}, not to a text", other.type_of()))),
        }
    }
}

impl Rule {
    fn evaluate(&self, py: Python<'_>, scope: &RuleScope) -> PyResult<Value> {
        let environment = environment()?;
        let found = py.detach(|| {
            catch_unwind(AssertUnwindSafe(|| {
                let mut context = Context::with_env(environment);
                context.set_variable_resolver(scope);
                Value::resolve(&self.expression, &context)
            }))
        });
        match found {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(refused(&error)),
            Err(_) => Err(PyValueError::new_err("the evaluator failed")),
        }
    }
}

/// What rules about one value see: `self`.
#[pyclass(frozen, module = "sluicegate._native")]
pub struct RuleScope {
    value: Box<dyn Val>,
}

#[pymethods]
impl RuleScope {
    /// Raises `ValueError` for what is no JSON, or nested deeper than 127 levels.
    #[new]
    fn new(py: Python<'_>, seen: &[u8]) -> PyResult<Self> {
        py.detach(|| serde_json::from_slice(seen))
            .map(|value| Self { value: values::value_of(value) })
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

impl VariableResolver for RuleScope {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == "self").then(|| CowVal::Borrowed(self.value.as_ref()))
    }
}

fn refused(error: &ExecutionError) -> PyErr {
    let reason = shortened(error.to_string());
    match error {
        ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => PyLookupError::new_err(reason),
        _ => PyValueError::new_err(reason),
    }
}

fn shortened(mut reason: String) -> String {
    if reason.len() > MAX_REASON {
        let end = (0..=MAX_REASON).rev().find(|end| reason.is_char_boundary(*end));
        reason.truncate(end.unwrap_or(0));
        reason.push('\u{2026}');
    }
    reason
}
