//! Pure checks that the control plane makes before something becomes IR.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use route::table::pattern_facts;
use sluicegate_core::tls::inspect;

/// Facts of a certificate chain and its key, both PEM, as JSON: error, names, `not_before`, `not_after`.
#[pyfunction]
pub fn check_certificate<'py>(py: Python<'py>, chain: &str, key: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| serde_json::to_vec(&inspect::certificate(chain, key)).unwrap_or_default());
    PyBytes::new(py, &facts)
}

/// Facts of a bundle of CA certificates, PEM, as JSON: error, count.
#[pyfunction]
pub fn check_trust<'py>(py: Python<'py>, pem: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| serde_json::to_vec(&inspect::trust(pem)).unwrap_or_default());
    PyBytes::new(py, &facts)
}

/// Facts of a regular expression of a match, as JSON: error, size.
#[pyfunction]
pub fn check_pattern<'py>(py: Python<'py>, pattern: &str) -> Bound<'py, PyBytes> {
    let facts = py.detach(|| serde_json::to_vec(&pattern_facts(pattern)).unwrap_or_default());
    PyBytes::new(py, &facts)
}
