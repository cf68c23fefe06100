//! What of a request is hashed where its backend's policy chooses endpoints so (`BackendPolicy.loadBalancing.hash`).

use crate::message::client::Client;
use codec::Field;
use route::ir::{BackendPolicy, KeyPart, LoadBalancing};
use route::policy::{AnswerField, Networks, same_field};
use route::resolve::{Routed, affinity, asks_forwarded, without_forwarded};
use route::table::RequestHead;

/// The key of a request: of where it comes from, and of who asks, what the backend is told. `said`: by policies. `None`: it has
/// no part of the key, or none is asked for.
pub fn key_of(
    policy: &BackendPolicy,
    client: &Client,
    routed: &Routed<'_, '_>,
    proxies: Option<&Networks>,
    said: &[AnswerField],
) -> Option<u64> {
    let LoadBalancing::Hash { key, .. } = &policy.load_balancing else { return None };
    let head = &routed.head;
    let address = key.contains(&KeyPart::Client).then(|| client.ends(head.fields, proxies).0.ip());
    let names =
        |part: &KeyPart, field: &[u8]| matches!(part, KeyPart::Header { name } if same_field(name.as_bytes(), field));
    let asks_said = said.iter().any(|(name, _)| key.iter().any(|part| names(part, name.as_bytes())));
    if !asks_forwarded(key) && !asks_said {
        return affinity(key, head, address);
    }
    let (mut list, believed) = (Vec::new(), client.is_believed(proxies));
    let mut told = client.told(head.fields, routed.sent_fields, believed, head.authority, &mut list);
    let mut taken_out = without_forwarded(head.taken_out);
    let is_said = |field: &Field<'_>| said.iter().any(|(name, _)| same_field(name.as_bytes(), field.name));
    told.retain(|field| !is_said(field));
    taken_out.retain(|field| !is_said(field));
    told.extend(said.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
    affinity(key, &RequestHead { fields: &told, taken_out: &taken_out, ..*head }, address)
}
