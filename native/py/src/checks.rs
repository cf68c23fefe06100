//! Pure checks that the control plane makes before something becomes IR.

use nix::time::{ClockId, clock_gettime};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use route::search::search;
use route::table::pattern_facts;
use serde_json::json;
use sluicegate_core::tls::inspect;
use std::hint::black_box;
use std::time::Duration;

/// Facts of a certificate chain and its key, both PEM, as JSON: error, names, `not_before`, `not_after`.
#[pyfunction]
pub fn check_certificate<'py>(py: Python<'py>, chain: &str, key: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| serde_json::to_vec(&inspect::certificate(chain, key)).unwrap_or_default());
    PyBytes::new(py, &facts)
}

/// A certificate for these names that its own key signs, and the key, both PEM.
///
/// Raises `ValueError` for a name that no certificate can have.
#[pyfunction]
pub fn self_signed(py: Python<'_>, names: Vec<String>) -> PyResult<(String, String)> {
    py.detach(|| sluicegate_core::tls::self_signed::self_signed(names)).map_err(pyo3::exceptions::PyValueError::new_err)
}

/// Facts of a bundle of CA certificates, PEM, as JSON: error, count.
#[pyfunction]
pub fn check_trust<'py>(py: Python<'py>, pem: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| serde_json::to_vec(&inspect::trust(pem)).unwrap_or_default());
    PyBytes::new(py, &facts)
}

/// Facts of an htpasswd file, as JSON: error, users, weak.
#[pyfunction]
pub fn check_users<'py>(py: Python<'py>, file: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| serde_json::to_vec(&sluicegate_core::inspect_users(file)).unwrap_or_default());
    PyBytes::new(py, &facts)
}

/// Facts of a JWK Set, as JSON: error (no key of it can verify a token), unusable (keys beside those that can).
#[pyfunction]
pub fn check_key_set<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| match jwt::KeySet::read(text.as_bytes()) {
        Err(error) => json!({"error": error.to_string(), "unusable": ""}),
        Ok(keys) => {
            let faults = keys.skipped().iter().filter(|key| key.is_fault());
            json!({"error": null, "unusable": jwt::listed(faults)})
        }
    });
    PyBytes::new(py, facts.to_string().as_bytes())
}

/// What a token says, as JSON; or why it is not taken. `now`: seconds since 1970.
#[pyfunction]
pub fn check_token(
    token: &str,
    keys: &str,
    issuer: String,
    audiences: Vec<String>,
    now: u64,
) -> (Option<String>, Option<String>) {
    let expected = jwt::Expected { issuer, audiences, leeway: Duration::ZERO };
    let verify =
        |keys: &jwt::KeySet| expected.verify(&mut jwt::Token::parse(token.as_bytes())?, keys, Duration::from_secs(now));
    match jwt::KeySet::read(keys.as_bytes()) {
        Err(error) => (None, Some(error.to_string())),
        Ok(keys) => match verify(&keys) {
            Err(why) => (None, Some(why.name().to_owned())),
            Ok(claims) => (serde_json::to_string(&claims.all).ok(), None),
        },
    }
}

/// Nanoseconds of this thread that the signature of a token takes with the crypto library, and nothing else of it: each of them is
/// looked at once, for a processor learns one that it has seen.
#[pyfunction]
pub fn bench_signatures(py: Python<'_>, tokens: Vec<String>, keys: &str) -> PyResult<f64> {
    let invalid = |why: jwt::Invalid| PyValueError::new_err(why.name());
    py.detach(|| {
        let keys = jwt::KeySet::read(keys.as_bytes()).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let parsed = tokens.iter().map(|token| jwt::Token::parse(token.as_bytes()).map_err(invalid));
        let parsed = parsed.collect::<PyResult<Vec<_>>>()?;
        let started = own_time()?;
        for token in &parsed {
            black_box(black_box(token).signed_payload(&keys)).map_err(invalid)?;
        }
        let took = own_time()?.saturating_sub(started);
        Ok(took.as_secs_f64() * 1e9 / f64::from(u32::try_from(tokens.len().max(1)).unwrap_or(u32::MAX)))
    })
}

/// The processor's time of this thread.
fn own_time() -> PyResult<Duration> {
    let time =
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(|error| PyOSError::new_err(error.to_string()))?;
    Ok(time.into())
}

/// Facts of a regular expression of a match, as JSON: error, size.
#[pyfunction]
pub fn check_pattern<'py>(py: Python<'py>, pattern: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| serde_json::to_vec(&pattern_facts(pattern)).unwrap_or_default());
    PyBytes::new(py, &facts)
}

/// The first place where an expression is found in a text: begin and end of the whole and of each group, or None. Raises
/// `ValueError` where that cannot be said.
#[pyfunction]
pub fn search_expression(
    py: Python<'_>,
    pattern: &str,
    text: &[u8],
    ignores_case: bool,
) -> PyResult<Option<Vec<Option<(usize, usize)>>>> {
    let found = py.detach(|| search(pattern, text, ignores_case)).map_err(PyValueError::new_err)?;
    Ok(found.map(|places| places.into_iter().map(|place| place.map(|place| (place.start, place.end))).collect()))
}
