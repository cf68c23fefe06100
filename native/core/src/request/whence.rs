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

#[cfg(test)]
mod tests {
    use crate::message::client::Client;
    use crate::policy::samples::table;
    use crate::settings::Settings;
    use crate::worker::{Generation, Worker};
    use codec::Field;
    use route::ir::Transport;
    use route::resolve::{Origin, Whence};
    use route::table::SocketKey;
    use serde_json::json;

    const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

    /// What a client says of where it comes from counts where its listener trusts it; where that says nothing, where the
    /// settings do.
    #[test]
    fn whose_word_counts() {
        let trusting = |network: &str| {
            json!([{"type": "client_address", "id": "ClientPolicy/a/p/clientAddress",
                "trusted_proxies": [network]}])
        };
        let none = json!([{"type": "client_body", "id": "ClientPolicy/a/p/body"}]);
        let sent =
            [("X-Forwarded-For", "198.51.100.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "b.test")];
        let sent = sent.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
        let own = ("192.0.2.1", "http", "a.test");
        let said = ("198.51.100.7, 192.0.2.1", "https", "b.test");
        for (policies, settings, expected) in [
            (trusting("192.0.2.0/24"), "", said),
            (trusting("203.0.113.0/24"), "192.0.2.0/24", own),
            (none.clone(), "192.0.2.0/24", said),
            (none, "203.0.113.0/24", own),
            (json!([]), "192.0.2.0/24", said),
            (json!([]), "203.0.113.0/24", own),
        ] {
            let trusted = [settings].into_iter().filter(|network| !network.is_empty());
            let trusted_proxies = trusted.map(|network| serde_json::from_value(json!(network)).unwrap()).collect();
            let settings = Settings { trusted_proxies, ..Settings::default() };
            let generation = Generation { table: table(&policies, ""), ..Generation::default() };
            let worker = Worker::alone_with(generation, settings).unwrap();
            let generation = worker.generation();
            let listener = generation.table.socket(SOCKET).unwrap().listeners().next().unwrap();
            let client = Client::new(worker.clone(), ([192, 0, 2, 1], 1).into(), SOCKET, None);
            let mut list = Vec::new();
            let Origin { addresses, scheme, host } = Whence::origin(&client, listener, &sent, b"a.test", &mut list);
            let found = [addresses.unwrap(), scheme, host].map(|part| std::str::from_utf8(part).unwrap());
            assert_eq!((found[0], found[1], found[2]), expected, "{policies}");
        }
    }
}
