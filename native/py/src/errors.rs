//! Errors as Python sees them.

use pyo3::exceptions::PyValueError;
use pyo3::{PyErr, create_exception};
use route::table;

create_exception!(
    sluicegate._native,
    Refused,
    PyValueError,
    "A transaction that was refused as a whole; `args[0]` is a JSON list of reasons."
);

/// A refused transaction, its reasons as JSON.
pub fn refused(error: &table::Refused) -> PyErr {
    let reasons = serde_json::to_string(&error.0).unwrap_or_else(|_| error.to_string());
    Refused::new_err(reasons)
}

/// Bytes that are not what they should be.
pub fn malformed(what: &str, error: &serde_json::Error) -> PyErr {
    let reason = serde_json::json!([{"kind": what, "id": "", "reason": error.to_string()}]);
    Refused::new_err(reason.to_string())
}
