//! Handshakes in memory with the configurations that a transaction makes.

use super::ServerTls;
use crate::observe::events::Events;
use crate::tls::provider;
use rcgen::{CertificateParams, Issuer, KeyPair};
use route::table::{NoTags, State};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, HandshakeKind, NamedGroup, RootCertStore, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
};
use serde_json::{Value, json};
use std::sync::Arc;

const NAME: &str = "a.test";

/// A certificate authority, and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("an anchor");
        Self { issuer: Issuer::new(parameters, key), roots }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        (parameters.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }
}

/// What one engine has after some transactions.
#[derive(Default)]
struct Engine {
    state: State,
    tls: ServerTls,
    events: Events,
}

impl Engine {
    fn apply(&mut self, mut change: Value) {
        change["version"] = json!(1);
        change["generation"] = json!(1);
        let transaction = serde_json::from_value(change).expect("a transaction");
        let table = self.state.apply(transaction, &NoTags).expect("a good transaction");
        self.tls = ServerTls::build(&table, &self.tls, &self.events);
        assert_eq!(self.events.take(1), []);
    }

    fn config(&self, listener: &str) -> Arc<ServerConfig> {
        Arc::clone(&self.tls.listeners.get(listener).expect("a listener").config)
    }
}

fn listener(id: &str, validation: Option<&str>) -> Value {
    let validation = validation.map(|trust| json!({"mode": "AllowValidOnly", "trust": [trust]}));
    json!({
        "id": id, "gateway": "a/g", "port": 443, "bind_port": 443, "protocol": "HTTPS", "hostname": id,
        "tls": {"certificates": ["a/c"], "client_validation": validation},
    })
}

fn certificate((certificate, key): &(rcgen::Certificate, KeyPair)) -> Value {
    json!({"id": "a/c", "chain": certificate.pem(), "key": key.serialize_pem()})
}

/// A client that trusts the authority and shows a certificate of it, if there is one.
fn client(
    authority: &Authority,
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    certificate: Option<&(rcgen::Certificate, KeyPair)>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(authority.roots.clone());
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
            builder.with_client_auth_cert(vec![certificate.der().clone()], key).expect("a certificate")
        }
    };
    config.resumption = Resumption::in_memory_sessions(32);
    Arc::new(config)
}

/// A handshake; after it the client has its tickets.
fn shake(server: Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Result<ServerConnection, Error> {
    let name = ServerName::try_from(NAME).expect("a name");
    let mut client: Connection = ClientConnection::new(Arc::clone(client), name).expect("a client").into();
    let mut server: Connection = ServerConnection::new(server).expect("a server").into();
    loop {
        let sent = pass(&mut client, &mut server);
        server.process_new_packets()?;
        let answered = pass(&mut server, &mut client);
        client.process_new_packets()?;
        if !sent && !answered {
            break;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    match server {
        Connection::Server(server) => Ok(server),
        Connection::Client(_) => panic!("the server"),
    }
}

/// Move what one side has to say; false: nothing.
fn pass(from: &mut Connection, to: &mut Connection) -> bool {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("room in memory");
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("room in memory");
    }
    !bytes.is_empty()
}

/// Clients that can agree to a key that a quantum computer does not find; the others as before.
#[test]
fn key_exchange() {
    let authority = Authority::new();
    let mut engine = Engine::default();
    engine.apply(json!({
        "upsert": {"listeners": [listener(NAME, None)]},
        "secrets": {"certificates": [certificate(&authority.sign(NAME))]},
    }));
    let only = |wanted: NamedGroup| {
        let mut provider = (*provider()).clone();
        provider.kx_groups.retain(|group| group.name() == wanted);
        Arc::new(provider)
    };
    for (provider, wanted) in [
        (provider(), NamedGroup::X25519MLKEM768),
        (only(NamedGroup::X25519MLKEM768), NamedGroup::X25519MLKEM768),
        (only(NamedGroup::X25519), NamedGroup::X25519),
        (only(NamedGroup::secp256r1), NamedGroup::secp256r1),
        (only(NamedGroup::secp384r1), NamedGroup::secp384r1),
    ] {
        let client = client(&authority, provider, &[&rustls::version::TLS13], None);
        let server = shake(engine.config(NAME), &client).expect("a handshake");
        let group = server.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name);
        assert_eq!((group, server.handshake_kind()), (Some(wanted), Some(HandshakeKind::Full)));
    }
}
