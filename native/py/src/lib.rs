//! The Python binding: bytes in, bytes out. Everything that takes time runs detached from the interpreter, no Python
//! object is kept in native memory, and native threads never call Python.

mod checks;
mod engine;
mod errors;
mod rules;
mod table;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The native engine.
#[pymodule]
mod _native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};
    #[pymodule_export]
    use crate::checks::{
        bench_signatures, check_certificate, check_key_set, check_pattern, check_token, check_trust, check_users,
        search_expression, self_signed,
    };
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::errors::Refused;
    #[pymodule_export]
    use crate::rules::{Rule, RuleScope};
    #[pymodule_export]
    use crate::table::{RouteTable, bench_parse_head, check_expression, check_substitution};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("IR_VERSION", route::ir::VERSION)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
