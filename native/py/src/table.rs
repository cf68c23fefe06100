//! A routing table without a gateway around it: for `explain`, tests and benchmarks.

use crate::errors::{malformed, refused};
use codec::{Field, MAX_FIELDS, Parsed, parse_request};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use route::expression::{Expression, Wanted};
use route::ir::{self, Transaction, Transport};
use route::resolve::{DecisionRequest, Question, Request, Workspace, decide, resolve};
use route::table::{NoTags, State, Substitution, Table};
use std::hint::black_box;
use std::time::Instant;

/// Compiles an IR transaction and decides requests by it.
#[pyclass(module = "sluicegate._native")]
pub struct RouteTable {
    state: State,
    table: Table,
}

#[pymethods]
impl RouteTable {
    #[new]
    fn new(py: Python<'_>, ir: &[u8]) -> PyResult<Self> {
        let mut state = State::default();
        let table = py.detach(|| apply(&mut state, ir))?;
        Ok(Self { state, table })
    }

    /// Apply another transaction. Returns the seconds that compiling took.
    fn apply(&mut self, py: Python<'_>, ir: &[u8]) -> PyResult<f64> {
        let Self { state, table } = self;
        py.detach(|| {
            let transaction = parse(ir)?;
            let started = Instant::now();
            *table = state.apply(transaction, &NoTags).map_err(|error| refused(&error))?;
            Ok(started.elapsed().as_secs_f64())
        })
    }

    /// The decision on one request, JSON in and out.
    fn decide<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let decision = py.detach(|| {
            let question =
                Question::parse(request).map_err(|error| PyValueError::new_err(format!("request: {error}")))?;
            serde_json::to_vec(&question.decide(&self.table)).map_err(|error| PyValueError::new_err(error.to_string()))
        })?;
        Ok(PyBytes::new(py, &decision))
    }

    /// Nanoseconds to resolve a request (target, authority, listener, rule), over all of them, `rounds` times.
    fn bench(&self, py: Python<'_>, requests: Vec<Vec<u8>>, rounds: u32) -> PyResult<f64> {
        py.detach(|| {
            let requests = requests.iter().map(|request| decode_request(request)).collect::<PyResult<Vec<_>>>()?;
            let prepared: Vec<_> = requests.iter().map(Prepared::new).collect();
            let started = Instant::now();
            for _ in 0..rounds {
                for request in &prepared {
                    black_box(request.is_routed(&self.table));
                }
            }
            Ok(nanoseconds_each(started, rounds, prepared.len()))
        })
    }

    /// Nanoseconds per whole decision (normalisation, match, filters), without JSON.
    fn bench_decide(&self, py: Python<'_>, requests: Vec<Vec<u8>>, rounds: u32) -> PyResult<f64> {
        py.detach(|| {
            let requests = requests.iter().map(|request| decode_request(request)).collect::<PyResult<Vec<_>>>()?;
            let started = Instant::now();
            for _ in 0..rounds {
                for request in &requests {
                    black_box(decide(&self.table, request));
                }
            }
            Ok(nanoseconds_each(started, rounds, requests.len()))
        })
    }
}

fn parse(ir: &[u8]) -> PyResult<Transaction> {
    serde_json::from_slice(ir).map_err(|error| malformed("transaction", &error))
}

fn apply(state: &mut State, ir: &[u8]) -> PyResult<Table> {
    state.apply(parse(ir)?, &NoTags).map_err(|error| refused(&error))
}

fn decode_request(request: &[u8]) -> PyResult<DecisionRequest> {
    serde_json::from_slice(request).map_err(|error| PyValueError::new_err(format!("request: {error}")))
}

fn nanoseconds_each(started: Instant, rounds: u32, requests: usize) -> f64 {
    let requests = u32::try_from(requests).unwrap_or(u32::MAX).max(1);
    started.elapsed().as_secs_f64() * 1e9 / f64::from(rounds) / f64::from(requests)
}

/// A request as the proxy has it after parsing.
struct Prepared<'r> {
    request: &'r DecisionRequest,
    fields: Vec<Field<'r>>,
}

impl<'r> Prepared<'r> {
    fn new(request: &'r DecisionRequest) -> Self {
        let fields = request.headers.iter();
        let fields = fields.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect();
        Self { request, fields }
    }

    /// Whether a rule takes the request.
    fn is_routed(&self, table: &Table) -> bool {
        let asked = Request {
            method: &self.request.method,
            target: self.request.target.as_bytes(),
            paths: self.request.path_normalization,
            authority: Some(self.request.authority.as_bytes()),
            may_lack_authority: false,
            sni: self.request.sni.as_deref(),
            fields: &self.fields,
            taken_out: &[],
            whence: self.request,
        };
        let socket = table.socket_on_port(Transport::Tcp, self.request.bind_port).map(|socket| &**socket);
        resolve(socket, &asked, &mut Workspace::default()).is_ok()
    }
}

/// Nanoseconds per parse of an HTTP/1.1 request head, `rounds` times.
#[pyfunction]
pub fn bench_parse_head(py: Python<'_>, head: &[u8], rounds: u32) -> PyResult<f64> {
    py.detach(|| {
        if !matches!(parse_request(head, MAX_FIELDS), Ok(Parsed::Complete(_))) {
            return Err(PyValueError::new_err("no complete request head"));
        }
        let started = Instant::now();
        for _ in 0..rounds {
            black_box(parse_request(black_box(head), MAX_FIELDS).is_ok());
        }
        Ok(nanoseconds_each(started, rounds, 1))
    })
}

/// What is wrong with an expression that has to come to a `condition`, a `number` or a `key`, or None. An `exemption` is a
/// condition that is asked before anybody has authenticated.
#[pyfunction]
pub fn check_expression(py: Python<'_>, text: &str, wanted: &str) -> PyResult<Option<String>> {
    let is_early = wanted == "exemption";
    let wanted = match wanted {
        "condition" | "exemption" => Wanted::Condition,
        "number" => Wanted::Number,
        "key" => Wanted::Key,
        "text" => Wanted::Text,
        other => return Err(PyValueError::new_err(format!("no expression comes to a {other}"))),
    };
    Ok(py.detach(|| match Expression::compile(text, wanted) {
        Ok(expression) if is_early && expression.asks_identity() => {
            Some("it asks for identity, and is asked before anybody has authenticated".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }))
}

/// What is wrong with a pattern that is searched for in a path, or with what stands in its place, or None.
#[pyfunction]
pub fn check_substitution(py: Python<'_>, pattern: String, replacement: String) -> Option<String> {
    py.detach(|| Substitution::compile(&ir::Substitution { pattern, replacement }).err())
}
