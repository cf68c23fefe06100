//! From a head to what will be done about it: resolve it, run the chain of its policies, select its backend. No I/O; where
//! a policy has to ask somebody, the head is kept for later.

#[cfg(test)]
mod tests;

use super::before_rules::before_rules;
use super::plan::{Failed, Place, Plan};
use super::routed::admit_routed;
use super::unrouted::unrouted;
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::grpc;
use crate::message::head::{HttpVersion, Inbound};
use crate::message::local_reply::Answer;
use crate::message::record::Entry;
use crate::worker::Generation;
use route::resolve::{Refused, Request, Workspace, resolve};

/// Decide. `buffer` is memory for the forwarded head. A request about which somebody was asked comes again, with the same
/// head and generation: what it resolves to is the same.
pub fn admit<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    place: Place<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Plan<'g> {
    match try_admit(client, generation, inbound, place, buffer, record) {
        Ok(plan) => plan,
        Err(failed) => {
            let Failed { denial, edits } = *failed;
            // A client that wants a tunnel would take the 200 of gRPC's answers for one.
            let grpc = inbound.upgrade.is_none() && (record.is_of_grpc_rule() || grpc::is_grpc(&inbound.fields));
            Plan::answer(Answer::denial(denial, grpc), edits)
        }
    }
}

fn try_admit<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    place: Place<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Plan<'g>, Box<Failed<'g>>> {
    let asked = Request {
        method: inbound.method,
        target: inbound.target,
        paths: client.worker.settings().path_normalization,
        authority: inbound.authority,
        may_lack_authority: inbound.version == HttpVersion::Http10,
        sni: client.sni(),
        fields: &inbound.fields,
        taken_out: &inbound.taken_out,
        whence: client,
    };
    let socket = generation.table.socket(client.socket).map(|socket| &**socket);
    let mut space = Workspace::default();
    match resolve(socket, &asked, &mut space) {
        Err(Refused::Connect) => Err(ErrorCode::MethodNotAllowed.into()),
        Err(Refused::BadRequest) => Err(ErrorCode::BadRequest.into()),
        Err(Refused::NoListener) => Err(ErrorCode::NoListener.into()),
        Err(Refused::Misdirected(listener)) => {
            record.listener(listener, inbound);
            Err(ErrorCode::Misdirected.into())
        }
        Err(Refused::Asks(found)) => before_rules(client, generation, inbound, &found, place, buffer, record),
        Err(Refused::NoRoute(found)) => unrouted(client, inbound, &found, place, buffer, record),
        Ok(routed) => admit_routed(client, generation, inbound, routed, place, buffer, record),
    }
}
