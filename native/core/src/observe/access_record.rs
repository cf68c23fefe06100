//! What the access log says of a request.

use serde::Serialize;

/// One line, filled where a request ends (`message/record.rs`). Flows and failed handshakes have `L4Record` (`observe/l4.rs`).
#[derive(Debug, Default, Serialize)]
pub struct Record<'r> {
    /// Start of the request, seconds since 1970.
    pub time: f64,
    pub duration_ms: f64,
    pub client: &'r str,
    /// Of the connection; another one where a trusted proxy stands between.
    pub peer: &'r str,
    pub protocol: &'r str,
    pub scheme: &'r str,
    pub sni: Option<&'r str>,
    pub method: &'r str,
    pub authority: &'r str,
    pub path: &'r str,
    pub user_agent: Option<&'r str>,
    pub request_id: Option<&'r str>,
    /// Who proved who they are; empty where that says no name.
    pub user: Option<&'r str>,
    /// By which kind of proof.
    pub authenticated_by: Option<&'static str>,
    pub listener: Option<&'r str>,
    pub route: Option<&'r str>,
    pub rule: Option<&'r str>,
    pub backend: Option<&'r str>,
    pub endpoint: Option<&'r str>,
    pub status: u16,
    pub grpc_status: Option<u32>,
    pub error: Option<&'r str>,
    pub error_detail: Option<&'r str>,
    pub retries: u32,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Of the trace that the request is part of, where its listener is traced.
    pub trace_id: Option<&'r str>,
    /// Of the request itself.
    pub span_id: Option<&'r str>,
}
