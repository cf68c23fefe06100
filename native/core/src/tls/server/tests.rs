//! Handshakes in memory with the configurations that a transaction makes.

use super::ServerTls;
use crate::observe::events::Events;
use crate::tls::provider;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use route::table::{NoTags, State};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, Error, HandshakeKind, NamedGroup, RootCertStore,
    ServerConfig, ServerConnection, SupportedProtocolVersion,
};
use serde_json::{Value, json};
use std::sync::Arc;

const NAME: &str = "a.test";

/// A certificate authority, and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("an anchor");
        Self { pem: certificate.pem(), issuer: Issuer::new(parameters, key), roots }
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
        change["version"] = json!(route::ir::VERSION);
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

/// `validation`: a mode, with the anchors `ca`.
fn listener(id: &str, validation: Option<&str>) -> Value {
    let validation = validation.map(|mode| json!({"mode": mode, "trust": ["ca"]}));
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
    let authority = Authority::new("server");
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

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// The transaction of a Gateway with one listener and keys that its replicas share.
fn replica(served: &(rcgen::Certificate, KeyPair), secret: char) -> Value {
    let created = UnixTime::now().as_secs();
    let key = json!({"secret": secret.to_string().repeat(64), "created": created});
    json!({
        "full": true,
        "upsert": {"listeners": [listener(NAME, None)]},
        "secrets": {"certificates": [certificate(served)], "session_tickets": [{"id": "a/g", "keys": [key]}]},
    })
}

fn kind(engine: &Engine, client: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    shake(engine.config(NAME), client).expect("a handshake").handshake_kind()
}

/// A client of one replica goes on at another, whatever certificate that has by now; not where the keys are others.
#[test]
fn sessions_of_another_replica() {
    let authority = Authority::new("server");
    let (mut one, mut two, mut stranger) = (Engine::default(), Engine::default(), Engine::default());
    one.apply(replica(&authority.sign(NAME), '1'));
    two.apply(replica(&authority.sign(NAME), '1'));
    stranger.apply(replica(&authority.sign(NAME), '2'));
    for version in VERSIONS {
        let client = client(&authority, provider(), &[version], None);
        assert_eq!(kind(&one, &client), Some(HandshakeKind::Full));
        for engine in [&two, &one, &two] {
            assert_eq!(kind(engine, &client), Some(HandshakeKind::Resumed), "{version:?}");
        }
        assert_eq!(kind(&stranger, &client), Some(HandshakeKind::Full));
    }
}

/// What comes before a handshake is done may be somebody else's, sent again (RFC 8470): no ticket allows it.
#[test]
fn no_early_data_is_taken() {
    let authority = Authority::new("server");
    let mut engine = Engine::default();
    engine.apply(replica(&authority.sign(NAME), '1'));
    let mut config = (*client(&authority, provider(), &[&rustls::version::TLS13], None)).clone();
    config.enable_early_data = true;
    let client = Arc::new(config);
    assert_eq!(kind(&engine, &client), Some(HandshakeKind::Full));
    assert_eq!(kind(&engine, &client), Some(HandshakeKind::Resumed));
    let name = ServerName::try_from(NAME).expect("a name");
    let mut again = ClientConnection::new(client, name).expect("a client");
    assert!(again.early_data().is_none());
}

/// What shares nothing keeps its own keys over everything but its end.
#[test]
fn sessions_of_one_process() {
    let authority = Authority::new("server");
    let alone = || {
        let mut change = replica(&authority.sign(NAME), '1');
        change["secrets"]["session_tickets"] = json!([]);
        change
    };
    let (mut engine, mut other) = (Engine::default(), Engine::default());
    other.apply(alone());
    for version in VERSIONS {
        engine.apply(alone());
        let client = client(&authority, provider(), &[version], None);
        assert_eq!(kind(&engine, &client), Some(HandshakeKind::Full));
        // Reloads: another certificate, and keys to share, which make the next tickets.
        for change in [alone(), alone(), replica(&authority.sign(NAME), '1')] {
            engine.apply(change);
            assert_eq!(kind(&engine, &client), Some(HandshakeKind::Resumed), "{version:?}");
        }
        assert_eq!(kind(&other, &client), Some(HandshakeKind::Full));
    }
}

/// No ticket leads past a validation of clients that is new, stricter, or of another authority.
#[test]
fn tickets_and_client_certificates() {
    const ANY: Option<&str> = Some("AllowInsecureFallback");
    const VALID: Option<&str> = Some("AllowValidOnly");
    let (authority, old, new) = (Authority::new("server"), Authority::new("old"), Authority::new("new"));
    let served = authority.sign(NAME);
    let mut engine = Engine::default();
    let mut state = |validation: Option<&str>, trusted: &Authority| {
        let mut change = replica(&served, '1');
        change["upsert"] = json!({
            "listeners": [listener(NAME, validation)],
            "trust": [{"id": "ca", "pem": trusted.pem}],
        });
        engine.apply(change);
        engine.config(NAME)
    };
    let (full, resumed) = (Ok(Some(HandshakeKind::Full)), Ok(Some(HandshakeKind::Resumed)));
    let refused = || Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
    // From, with the old authority; to, with this one; what the client, with a certificate of the old one, gets there.
    let cases = [
        (None, None, &old, resumed.clone()),
        (None, VALID, &new, refused()),
        (None, VALID, &old, full.clone()),
        (None, ANY, &old, full.clone()),
        (ANY, ANY, &old, resumed.clone()),
        (ANY, ANY, &new, full.clone()),
        (ANY, VALID, &new, refused()),
        (ANY, VALID, &old, full.clone()),
        (VALID, VALID, &old, full.clone()),
        (VALID, VALID, &new, refused()),
        (VALID, ANY, &old, full.clone()),
        (VALID, None, &new, full.clone()),
    ];
    let shown = old.sign("client.test");
    for version in VERSIONS {
        for (from, to, trusted, wanted) in &cases {
            let client = client(&authority, provider(), &[version], Some(&shown));
            let first = shake(state(*from, &old), &client).expect("a handshake");
            assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
            let second = shake(state(*to, trusted), &client);
            let second = second.map(|server| server.handshake_kind());
            assert_eq!(&second, wanted, "{version:?}: {from:?} to {to:?}");
        }
    }
}

/// Half a key would be no key: the whole transaction is refused.
#[test]
fn keys_that_are_none() {
    let served = Authority::new("server").sign(NAME);
    for secret in [String::new(), "1".repeat(63), "1".repeat(66), "x".repeat(64), "+1".repeat(32), "é".repeat(32)] {
        let mut change = replica(&served, '1');
        change["version"] = json!(route::ir::VERSION);
        change["generation"] = json!(1);
        change["secrets"]["session_tickets"][0]["keys"][0]["secret"] = json!(secret);
        let transaction = serde_json::from_value(change).expect("a transaction");
        let refused = State::default().apply(transaction, &NoTags).expect_err("a refusal");
        assert_eq!(refused.to_string(), "session_tickets a/g: has a key that is not 64 hexadecimal digits");
    }
}
