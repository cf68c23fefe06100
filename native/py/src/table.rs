//! A routing table without a gateway around it: for `explain`, tests and benchmarks.

use crate::errors::{malformed, refused};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sluicegate_core::codec::{Parsed, parse_request};
use sluicegate_core::decision::{DecisionRequest, EditedHead, Question, decide, listener, pre_route};
use sluicegate_core::ir::{Transaction, Transport};
use sluicegate_core::observe::metrics::NoSeries;
use sluicegate_core::table::{Field, RequestHead, State, Table, authority, path_regex, target};
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
            *table = state.apply(transaction, &NoSeries).map_err(|error| refused(&error))?;
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

    /// Nanoseconds per match (listener and rule) over all requests, `rounds` times.
    fn bench(&self, py: Python<'_>, requests: Vec<Vec<u8>>, rounds: u32) -> PyResult<f64> {
        py.detach(|| {
            let requests = requests.iter().map(|request| decode_request(request)).collect::<PyResult<Vec<_>>>()?;
            let prepared: Vec<_> = requests.iter().filter_map(Prepared::new).collect();
            if prepared.len() != requests.len() {
                return Err(PyValueError::new_err("a request with a bad target or authority"));
            }
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
    state.apply(parse(ir)?, &NoSeries).map_err(|error| refused(&error))
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
    path: String,
    query: Option<&'r str>,
    host: String,
    fields: Vec<Field<'r>>,
}

impl<'r> Prepared<'r> {
    fn new(request: &'r DecisionRequest) -> Option<Self> {
        let target = target::normalise(&request.method, request.target.as_bytes()).ok()?;
        let host = authority::parse(request.authority.as_bytes())?.host.into_owned();
        let fields = request.headers.iter();
        let fields = fields.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect();
        Some(Self { request, path: target.path.into_owned(), query: target.query, host, fields })
    }

    /// Whether a rule takes the request.
    fn is_routed(&self, table: &Table) -> bool {
        let head = RequestHead {
            method: &self.request.method,
            path: &self.path,
            query: self.query,
            host: &self.host,
            authority: self.request.authority.as_bytes(),
            fields: &self.fields,
            taken_out: &[],
        };
        let mut space = EditedHead::default();
        table
            .socket_on_port(Transport::Tcp, self.request.bind_port)
            .and_then(|socket| listener(socket, self.request.sni.as_deref(), head.host).ok())
            .is_some_and(|listener| listener.find(&pre_route(listener, head, &mut space)).is_some())
    }
}

/// Nanoseconds per parse of an HTTP/1.1 request head, `rounds` times.
#[pyfunction]
pub fn bench_parse_head(py: Python<'_>, head: &[u8], rounds: u32) -> PyResult<f64> {
    py.detach(|| {
        if !matches!(parse_request(head), Ok(Parsed::Complete(_))) {
            return Err(PyValueError::new_err("no complete request head"));
        }
        let started = Instant::now();
        for _ in 0..rounds {
            black_box(parse_request(black_box(head)).is_ok());
        }
        Ok(nanoseconds_each(started, rounds, 1))
    })
}

/// What is wrong with a regular expression, or None.
#[pyfunction]
pub fn check_regex(py: Python<'_>, pattern: &str) -> Option<String> {
    py.detach(|| path_regex(pattern).err())
}
