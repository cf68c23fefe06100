//! TLS towards backends (`BackendTLSPolicy`, GEP-1897, GEP-3155): who is trusted, under which name, what we present.

use super::{Route, TlsTarget};
use crate::observe::events::Events;
use crate::tls::backend_certificates::{AcceptAnything, PolicyVerifier};
use crate::tls::keys::certified_key;
use crate::tls::trust::Trust;
use crate::tls::{allowed, provider_with};
use ahash::AHashMap;
use route::ir::{self, BackendProtocol, TlsVersions};
use route::table::{Backend, Table};
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use std::sync::Arc;

/// What a configuration was made of; the same again needs no new one, and pools go on.
#[derive(Debug, Clone, PartialEq)]
struct Ingredients {
    policy: Arc<ir::BackendTls>,
    trust: Vec<Arc<ir::Trust>>,
    certificate: Option<Arc<ir::Certificate>>,
    protocol: BackendProtocol,
    terms: Terms,
}

/// What the policy of a backend says of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Terms {
    versions: TlsVersions,
    /// Whatever certificate it shows is taken.
    unverified: bool,
    /// It is sent no name.
    nameless: bool,
}

impl Terms {
    fn of(backend: &Backend) -> Self {
        let said = |policy: &Arc<ir::BackendPolicy>| Self {
            versions: policy.tls,
            unverified: policy.unverified,
            nameless: policy.nameless,
        };
        backend.policy.as_ref().map(said).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Entry {
    made_of: Ingredients,
    target: TlsTarget,
    /// The same, offering HTTP/2 only: gRPC is spoken over nothing else.
    grpc: TlsTarget,
    /// The same, offering HTTP/1.1 only, for requests that ask to switch protocols.
    upgrade: TlsTarget,
    /// The same without ALPN, for what is not HTTP.
    opaque: TlsTarget,
}

/// Policy, client certificate, and what the backend speaks: backends that share a policy share what is made of it.
type Key = (Box<str>, Option<Box<str>>, BackendProtocol, Terms);

/// The configurations of one generation.
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    entries: AHashMap<Key, Arc<Entry>>,
    /// By backend, where its endpoints are asked whether they do well: with the certificate of a Gateway that has one.
    asking: AHashMap<Box<str>, Arc<Entry>>,
}

impl ClientTls {
    /// Build what changed, take the rest from the generation before.
    pub fn build(table: &Table, before: &Self, events: &Events) -> Self {
        let mut built = Self::default();
        let mut presented: Vec<Option<&str>> = vec![None];
        for listener in table.sockets().flat_map(|socket| socket.listeners()) {
            let certificate = listener.ir.backend_certificate.as_deref();
            if !presented.contains(&certificate) {
                presented.push(certificate);
            }
        }
        for backend in table.backends() {
            let Some(policy) = backend.tls.as_ref().filter(|policy| !policy.invalid) else {
                continue;
            };
            let own = [policy.certificate.as_deref()];
            let certificates = if own[0].is_some() { &own[..] } else { &presented };
            for certificate in certificates {
                let key = key(policy, backend, *certificate);
                if built.entries.contains_key(&key) {
                    continue;
                }
                let made_of = Ingredients {
                    policy: Arc::clone(policy),
                    trust: policy.trust.iter().filter_map(|id| table.trust.get(id.as_str()).cloned()).collect(),
                    certificate: certificate.and_then(|id| table.certificates.get(id).cloned()),
                    protocol: backend.protocol,
                    terms: key.3,
                };
                if let Some(same) = before.entries.get(&key).filter(|same| same.made_of == made_of) {
                    built.entries.insert(key, Arc::clone(same));
                    continue;
                }
                match target(&made_of) {
                    Ok(target) => {
                        let grpc = with_alpn(&target, vec![b"h2".to_vec()]);
                        let upgrade = with_alpn(&target, vec![b"http/1.1".to_vec()]);
                        let opaque = with_alpn(&target, Vec::new());
                        built.entries.insert(key, Arc::new(Entry { made_of, target, grpc, upgrade, opaque }));
                    }
                    Err(error) => events.push("backend_tls", format!("{}: {error}", policy.id)),
                }
            }
            if backend.policy.as_ref().is_some_and(|policy| policy.active.is_some()) {
                let presented = certificates.iter().max().copied().flatten();
                if let Some(entry) = built.entries.get(&key(policy, backend, presented)) {
                    built.asking.insert(backend.id.as_str().into(), Arc::clone(entry));
                }
            }
        }
        built
    }

    /// How an endpoint is asked whether it does well, by a connection, over HTTP, over gRPC. `None`: it
    /// wants TLS that could not be set up.
    pub(super) fn opaque_to(&self, backend: &Backend) -> Option<Route> {
        self.asking(backend, |entry| &entry.opaque)
    }

    pub(super) fn http_to(&self, backend: &Backend) -> Option<Route> {
        self.asking(backend, |entry| &entry.target)
    }

    pub(super) fn grpc_to(&self, backend: &Backend) -> Option<Route> {
        self.asking(backend, |entry| &entry.grpc)
    }

    fn asking(&self, backend: &Backend, which: impl Fn(&Entry) -> &TlsTarget) -> Option<Route> {
        let tls = match &backend.tls {
            None => None,
            Some(_) => Some(which(self.asking.get(backend.id.as_str())?).clone()),
        };
        Some(Route { tls, ..Route::default() })
    }

    /// How a flow that is not HTTP reaches a backend from a listener: `Some(None)` in plain text. `None`: it wants TLS
    /// that could not be set up.
    pub fn opaque(&self, backend: &Backend, listener: &ir::Listener) -> Option<Option<TlsTarget>> {
        let Some(policy) = &backend.tls else {
            return Some(None);
        };
        let entry = self.entries.get(&key_at(policy, backend, listener))?;
        Some(Some(entry.opaque.clone()))
    }

    /// How the gateway itself reaches a backend, whatever the listener: without a certificate of its own. `None`: it wants TLS
    /// that could not be set up. `grpc`: by HTTP/2, whatever its `appProtocol` says.
    pub fn own_route(&self, backend: &Backend, grpc: bool) -> Option<Route> {
        let http2 = grpc || backend.protocol == BackendProtocol::H2c;
        let Some(policy) = &backend.tls else {
            return Some(Route { tls: None, http2, policy: None });
        };
        let entry = self.entries.get(&key(policy, backend, policy.certificate.as_deref()))?;
        let target = if grpc { &entry.grpc } else { &entry.target };
        Some(Route { tls: Some(target.clone()), http2, policy: None })
    }

    /// How to reach a backend from a listener. `None`: it wants TLS that could not be set up.
    ///
    /// `grpc`: for a rule of a `GRPCRoute`, whose backends speak HTTP/2 whatever their `appProtocol` says: the kind of the
    /// route tells enough (`GRPCBackendRef`).
    ///
    /// `upgrade`: for a request that asks to switch protocols. Over HTTP/1.1, but for backends that are said to speak HTTP/2:
    /// those are asked by extended CONNECT.
    pub fn route(&self, backend: &Backend, listener: &ir::Listener, grpc: bool, upgrade: bool) -> Option<Route> {
        let http2 = grpc || backend.protocol == BackendProtocol::H2c;
        let Some(policy) = &backend.tls else {
            return Some(Route { tls: None, http2, policy: None });
        };
        let entry = self.entries.get(&key_at(policy, backend, listener))?;
        let target = match (grpc, upgrade && !http2) {
            (true, _) => &entry.grpc,
            (false, true) => &entry.upgrade,
            (false, false) => &entry.target,
        };
        Some(Route { tls: Some(target.clone()), http2, policy: None })
    }
}

fn key(policy: &ir::BackendTls, backend: &Backend, certificate: Option<&str>) -> Key {
    (policy.id.as_str().into(), certificate.map(Into::into), backend.protocol, Terms::of(backend))
}

/// A backend's own certificate goes before that of the listener.
fn key_at(policy: &ir::BackendTls, backend: &Backend, listener: &ir::Listener) -> Key {
    key(policy, backend, policy.certificate.as_deref().or(listener.backend_certificate.as_deref()))
}

fn target(made_of: &Ingredients) -> Result<TlsTarget, String> {
    let policy = &made_of.policy;
    if policy.certificate.is_some() && made_of.certificate.is_none() {
        return Err("its client certificate is not there".to_owned());
    }
    let name = ServerName::try_from(policy.hostname.clone()).map_err(|error| format!("hostname: {error}"))?;
    let trust = if policy.trust.is_empty() {
        Trust::system()
    } else {
        Trust::read(made_of.trust.iter().map(|trust| trust.pem.as_str()))?
    };
    let Terms { versions, unverified, nameless } = made_of.terms;
    let verifier: Arc<dyn ServerCertVerifier> = if unverified {
        Arc::new(AcceptAnything)
    } else {
        Arc::new(PolicyVerifier { trust, names: policy.subject_alt_names.clone() })
    };
    let builder = ClientConfig::builder_with_provider(provider_with(versions.suites))
        .with_protocol_versions(&allowed(versions))
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &made_of.certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key = certified_key(&certificate.chain, &certificate.key)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.enable_sni = !nameless;
    config.alpn_protocols = match made_of.protocol {
        BackendProtocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        BackendProtocol::Http1 => vec![b"http/1.1".to_vec()],
        BackendProtocol::H2c => vec![b"h2".to_vec()],
    };
    Ok(TlsTarget { config: Arc::new(config), name })
}

fn with_alpn(target: &TlsTarget, protocols: Vec<Vec<u8>>) -> TlsTarget {
    let mut config = ClientConfig::clone(&target.config);
    config.alpn_protocols = protocols;
    TlsTarget { config: Arc::new(config), name: target.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::{Ingredients, Terms, target};
    use crate::tls::{pem, provider};
    use route::ir::{self, BackendProtocol};
    use route::ir::{TlsVersion, TlsVersions};
    use rustls::pki_types::CertificateDer;
    use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
    use rustls::{CertificateError, ClientConnection, Connection, Error, ServerConfig, ServerConnection};
    use std::sync::Arc;

    /// X.509 version 1, self-signed, for a hundred years; `rcgen` makes no such thing.
    const VERSION1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBJTCBywIUN4vrlUlFLMTfGsHlv7MiGyLfdP8wCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJc2VsZi50ZXN0MCAXDTI2MTEyNzIzMzA1MFoYDzIxMjYxMTA0MjMzMDUw
WjAUMRIwEAYDVQQDDAlzZWxmLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQrLbqFzU2lirSrNwVX8iGHTAU0DuCmZn2caZGY/R1xT78QyU98m3+JOqwA5txP
c74QLGbsZrI50kO3vHChaBntMAoGCCqGSM49BAMCA0kAMEYCIQCvykIHkxeY1t5e
YTlWW4d4nKinq5p9c5A20/6F1T86eQIhALiMPRVgnbG4vxI6trb8YpfQrVSerDtz
9UHbHo9TKB64
-----END CERTIFICATE-----";
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTap29dbYApG2rs8+
KVtx1KQi00PAxekY2zigjzQtYjOhRANCAAQrLbqFzU2lirSrNwVX8iGHTAU0DuCm
Zn2caZGY/R1xT78QyU98m3+JOqwA5txPc74QLGbsZrI50kO3vHChaBnt
-----END PRIVATE KEY-----";

    fn signing_key(text: &str) -> Arc<dyn SigningKey> {
        let key = pem::private_key(text).expect("a private key");
        provider().key_provider.load_private_key(key).expect("a key that can sign")
    }

    /// A handshake in memory with a server that presents the certificate and signs with the key.
    fn shake(
        certificate: &str,
        trusted: &str,
        key: Arc<dyn SigningKey>,
        version: &'static rustls::SupportedProtocolVersion,
        versions: TlsVersions,
    ) -> Result<(), Error> {
        let policy = ir::BackendTls {
            id: "BackendTLSPolicy/a/p".to_owned(),
            hostname: "self.test".to_owned(),
            trust: vec!["t".to_owned()],
            subject_alt_names: Vec::new(),
            certificate: None,
            invalid: false,
        };
        let made_of = Ingredients {
            policy: Arc::new(policy),
            trust: vec![Arc::new(ir::Trust { id: "t".to_owned(), pem: trusted.to_owned() })],
            certificate: None,
            protocol: BackendProtocol::Http,
            terms: Terms { versions, ..Terms::default() },
        };
        let target = target(&made_of).expect("a policy that can be used");
        let [pem::Certificate { der, .. }] = &pem::certificates(certificate).expect("a certificate")[..] else {
            panic!("one certificate");
        };
        let served = CertifiedKey::new(vec![CertificateDer::from(der.clone())], key);
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(served)));
        let mut client: Connection = ClientConnection::new(target.config, target.name).expect("a client").into();
        let mut server: Connection = ServerConnection::new(Arc::new(server)).expect("a server").into();
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server);
            let _ = server.process_new_packets();
            pass(&mut server, &mut client);
            client.process_new_packets()?;
        }
        Ok(())
    }

    fn pass(from: &mut Connection, to: &mut Connection) {
        let mut bytes = Vec::new();
        while from.wants_write() {
            from.write_tls(&mut bytes).expect("room in memory");
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            to.read_tls(&mut bytes).expect("room in memory");
        }
    }

    /// A policy may leave a version out: a backend that speaks no other is not spoken to.
    #[test]
    fn versions_are_those_that_the_policy_allows() {
        let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
        let only = |min, max| TlsVersions { min, max, ..TlsVersions::default() };
        for (versions, spoken) in [
            (TlsVersions::default(), [true, true]),
            (only(Some(TlsVersion::Tls13), None), [false, true]),
            (only(None, Some(TlsVersion::Tls12)), [true, false]),
            (only(Some(TlsVersion::Tls12), Some(TlsVersion::Tls13)), [true, true]),
        ] {
            let shaken = [tls12, tls13].map(|version| shake(VERSION1, VERSION1, signing_key(KEY), version, versions));
            assert_eq!(shaken.map(|found| found.is_ok()), spoken, "{versions:?}");
        }
    }

    /// Who only has the certificate, which is public, is not the backend.
    #[test]
    fn a_trusted_certificate_without_its_key() {
        let stranger = rcgen::generate_simple_self_signed(vec!["self.test".to_owned()]).expect("a certificate");
        let other_key = stranger.signing_key.serialize_pem();
        let version3 = stranger.cert.pem();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            assert_eq!(shake(VERSION1, VERSION1, signing_key(KEY), version, TlsVersions::default()), Ok(()));
            assert_eq!(shake(&version3, &version3, signing_key(&other_key), version, TlsVersions::default()), Ok(()));
            for (certificate, key) in [(VERSION1, &other_key[..]), (&version3, KEY)] {
                let refused = shake(certificate, certificate, signing_key(key), version, TlsVersions::default());
                assert_eq!(refused, Err(Error::InvalidCertificate(CertificateError::BadSignature)));
            }
            assert!(shake(VERSION1, &version3, signing_key(KEY), version, TlsVersions::default()).is_err());
        }
    }
}
