//! What stands in for the errors of one request, and what is said of the request to who is asked for a page: the fields that
//! default backends of ingress-nginx know.

use super::grpc;
use super::head::Inbound;
use route::policy::{Compiled, ErrorPages, Judge, masked};
use route::table::{Listener, Rule};
use std::sync::Arc;

/// The pages of a rule, for one of its requests, or of a listener, for one that has no rule.
#[derive(Debug)]
pub struct Pages<'g> {
    pub all: &'g ErrorPages,
    /// Slots of those who are asked.
    pub backends: &'g [u32],
    pub listener: &'g Arc<Listener>,
    pub authority: Vec<u8>,
    /// All but the status.
    pub told: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'g> Pages<'g> {
    /// `secret_pairs`: names of the pairs of the query that are credentials, whose values nobody is told. `None`: this request has
    /// none. Who asks for a head alone sees no page, calls of gRPC and tunnels would not understand one.
    pub fn of(
        policy: &'g Compiled,
        listener: &'g Arc<Listener>,
        rule: Option<&'g Rule>,
        inbound: &Inbound<'_>,
        secret_pairs: &[String],
    ) -> Option<Box<Self>> {
        let Judge::ErrorPages(all) = &policy.judge else {
            return None;
        };
        let is_call = rule.is_some_and(|rule| rule.ir.grpc) || grpc::is_grpc(&inbound.fields);
        if inbound.method == "HEAD" || inbound.upgrade.is_some() || is_call {
            return None;
        }
        let lossy = || String::from_utf8_lossy(inbound.target);
        let without = if secret_pairs.is_empty() { None } else { masked(&lossy(), secret_pairs) };
        let target = without.map_or_else(|| inbound.target.to_vec(), String::into_bytes);
        let mut told = vec![(b"x-original-uri".to_vec(), target)];
        let parts = rule.into_iter().flat_map(|rule| rule.ir.route.split('/').skip(1));
        for (name, value) in ["x-namespace", "x-ingress-name"].into_iter().zip(parts) {
            told.push((name.into(), value.into()));
        }
        for (name, sent) in [("x-format", &b"accept"[..]), ("x-request-id", b"x-request-id")] {
            let field = inbound.fields.iter().find(|field| field.name.eq_ignore_ascii_case(sent));
            told.extend(field.map(|field| (name.into(), field.value.to_vec())));
        }
        let authority = inbound.authority.unwrap_or_default().to_vec();
        Some(Box::new(Self { all, backends: &policy.backends, listener, authority, told }))
    }

    /// Which backend was chosen: `<namespace>/<service>:<port>`.
    pub fn backend(&mut self, id: &str) {
        let name = id.rsplit_once('/').map_or(id, |(_, name)| name);
        let (service, port) = name.split_once(':').unwrap_or((name, ""));
        self.told.push((b"x-service-name".to_vec(), service.into()));
        self.told.push((b"x-service-port".to_vec(), port.into()));
    }
}
