//! Where a request comes from, as its backend will be told: asked where a match of a rule goes by it.

use crate::message::client::Client;
use crate::policy::Chain;
use codec::Field;
use route::resolve::{Origin, Whence};
use route::table::Listener;

impl Whence for Client {
    fn origin<'f>(
        &'f self,
        listener: &Listener,
        sent: &[Field<'f>],
        authority: &'f [u8],
        list: &'f mut Vec<u8>,
    ) -> Origin<'f> {
        // Only listeners say whose word counts, so that it is the same for all of their rules.
        let chain = listener.policies_without_rule().and_then(|joined| joined.kept.get::<Chain>());
        self.tells(sent, self.is_believed(chain.and_then(Chain::trusted_proxies)), authority, list)
    }
}
