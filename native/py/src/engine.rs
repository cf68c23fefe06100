//! The engine for Python. Every call detaches first: whatever it waits for, the interpreter goes on.

use crate::errors::{malformed, refused};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sluicegate_core::observe::metrics::Format;
use sluicegate_core::runtime::{ApplyError, Engine as Core, NotForwarded, Patience, Shared};
use sluicegate_core::settings::Settings;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A drain that is waited for: a day. Stops sums of times that no clock reaches.
const MAX_SECONDS: f64 = 86_400.0;

/// A running gateway.
#[pyclass(module = "sluicegate._native")]
pub struct Engine {
    core: Mutex<Core>,
    /// What can be read while `core` is busy: a drain may take a minute.
    shared: Arc<Shared>,
}

#[pymethods]
impl Engine {
    /// Start the workers. `settings` is JSON; nothing is bound before the first transaction but the admin listener.
    #[new]
    fn new(py: Python<'_>, settings: &[u8]) -> PyResult<Self> {
        let settings: Settings =
            serde_json::from_slice(settings).map_err(|error| PyValueError::new_err(format!("settings: {error}")))?;
        settings.check().map_err(|error| PyValueError::new_err(format!("settings: {error}")))?;
        let core = py.detach(|| Core::start(settings)).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(Self { shared: Arc::clone(core.shared()), core: Mutex::new(core) })
    }

    /// `address:port` of the admin listener, if it could be bound.
    #[getter]
    fn admin_address(&self, py: Python<'_>) -> PyResult<Option<String>> {
        py.detach(|| Ok(self.core()?.admin_address().map(|address| address.to_string())))
    }

    /// Apply a transaction, all of it or nothing. Returns the report as JSON.
    fn apply<'py>(&self, py: Python<'py>, transaction: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let report = py.detach(|| {
            let report = self.core()?.apply(transaction).map_err(|error| match error {
                ApplyError::Malformed(error) => malformed("transaction", &error),
                ApplyError::Refused(error) => refused(&error),
                ApplyError::Stopped => PyRuntimeError::new_err("the engine is shut down"),
            })?;
            to_json(&report)
        })?;
        Ok(PyBytes::new(py, &report))
    }

    /// Try the ports again that could not be bound. Returns the listeners' reports as JSON.
    fn retry_binds<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let reports = py.detach(|| to_json(&self.core()?.retry_binds()))?;
        Ok(PyBytes::new(py, &reports))
    }

    /// The metrics in the Prometheus text format.
    fn metrics(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| Ok(self.shared.metrics(Format::Text)))
    }

    /// How the keys are that identity providers publish, as a JSON list.
    fn key_sets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let states = py.detach(|| to_json(&self.shared.key_sets.states()))?;
        Ok(PyBytes::new(py, &states))
    }

    /// Say how the control side is: what it cannot use now, and how many exceptions it has caught so far.
    fn control_side(&self, unusable: u64, caught: u64) {
        self.shared.registry.control_side(unusable, caught);
    }

    /// Take up to `limit` events, oldest first, as a JSON list of `{code, message}`.
    fn poll_events<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let events = py.detach(|| to_json(&self.shared.events.take(limit)))?;
        Ok(PyBytes::new(py, &events))
    }

    /// Switch the access log on or off. Returns what it was.
    fn set_access_log(&self, py: Python<'_>, enabled: bool) -> bool {
        py.detach(|| {
            let log = &self.shared.access_log;
            let before = log.is_enabled();
            log.set_enabled(enabled);
            before
        })
    }

    #[getter]
    fn access_log(&self, py: Python<'_>) -> bool {
        py.detach(|| self.shared.access_log.is_enabled())
    }

    /// Open the path of the access log anew. False: it has none.
    fn reopen_access_log(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.shared.access_log.reopen())?)
    }

    /// Ask clients to go, accept for `settle` seconds more (unless `settle_alone`, only while a connection is open), then
    /// wait until `limit` seconds are over for the rest. True: every connection ended by itself. Other calls are taken
    /// meanwhile.
    #[pyo3(signature = (limit, settle = 0.0, settle_alone = true))]
    fn drain(&self, py: Python<'_>, limit: f64, settle: f64, settle_alone: bool) -> PyResult<bool> {
        let patience = Patience { settle: seconds("settle", settle)?, settle_alone, limit: seconds("limit", limit)? };
        py.detach(|| {
            let leaving = self.core()?.leave();
            Ok(leaving.wait(patience))
        })
    }

    /// Nanoseconds that a request takes from the bytes of its head to its endpoint, without a network: of each of `heads`, so often.
    /// The engine serves nobody else meanwhile.
    fn bench(&self, py: Python<'_>, heads: Vec<Vec<u8>>, rounds: u32) -> PyResult<f64> {
        py.detach(|| {
            let rehearsed = self.core()?.rehearse(&heads, rounds);
            rehearsed.map_err(|NotForwarded| PyValueError::new_err("the request would not go to an endpoint at once"))
        })
    }

    /// Stop everything. Harmless when called twice.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            self.core()?.shutdown();
            Ok(())
        })
    }
}

impl Engine {
    fn core(&self) -> PyResult<MutexGuard<'_, Core>> {
        self.core.lock().map_err(|_| PyRuntimeError::new_err("an earlier call into the engine failed"))
    }
}

/// A duration that can be waited for.
fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    if (0.0..=MAX_SECONDS).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(PyValueError::new_err(format!("{name} is {value} s; it must be between 0 and {MAX_SECONDS} s")))
}

fn to_json(value: &impl serde::Serialize) -> PyResult<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
