//! What policies and expressions see of a request that is only decided on. Nobody here is a proxy whose word counts.

use super::Request;
use super::contract::DecisionRequest;
use super::whence::{Origin, Whence};
use crate::policy::{Facts, SentHead};
use crate::table::{Listener, RequestHead, Rule};
use codec::{Field, Framing};

impl Whence for DecisionRequest {
    fn origin<'f>(
        &'f self,
        listener: &Listener,
        _: &[Field<'f>],
        authority: &'f [u8],
        list: &'f mut Vec<u8>,
    ) -> Origin<'f> {
        let mut addresses = None;
        if let Some(address) = self.from {
            *list = address.to_canonical().to_string().into_bytes();
            addresses = Some(list.as_slice());
        }
        Origin { addresses, scheme: listener.ir.protocol.scheme().as_bytes(), host: authority }
    }
}

/// What is known of it. `told`: its fields as a backend is told them; `rule`: the one that takes it, if one does.
pub(super) fn facts<'r>(
    request: &'r DecisionRequest,
    (asked, framing): (&Request<'r>, Framing),
    listener: &'r Listener,
    rule: Option<&'r Rule>,
    head: &RequestHead<'r>,
    told: Option<&'r [Field<'r>]>,
) -> Facts<'r> {
    Facts {
        address: request.from.map(|address| address.to_canonical()),
        method: head.method,
        scheme: listener.ir.protocol.scheme(),
        host: head.host,
        authority: head.authority,
        path: head.path,
        query: head.query,
        fields: head.fields,
        told,
        sent: SentHead { fields: asked.fields, taken_out: asked.taken_out, authority: head.authority },
        sni: asked.sni,
        listener: listener.id(),
        route: rule.map_or("", |rule| &rule.ir.route),
        rule: rule.map_or("", |rule| &rule.ir.id),
        rule_uid: rule.map_or(0, |rule| rule.uid),
        grpc: rule.is_some_and(|rule| rule.ir.grpc),
        body_length: match framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        },
        certificate: request.certificate.as_ref(),
        assumed: request.identity.as_ref(),
    }
}
