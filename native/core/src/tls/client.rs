//! TLS towards backends (`BackendTLSPolicy`, GEP-1897, GEP-3155): who is trusted, under which name, what we present.

use super::{certificates, provider, roots};
use crate::ir::{self, BackendProtocol, SubjectAltName};
use crate::observe::events::Events;
use crate::table::{Backend, Table};
use crate::upstream::{Route, TlsTarget};
use ahash::AHashMap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use std::sync::{Arc, OnceLock};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a configuration was made of; the same again needs no new one, and pools go on.
#[derive(Debug, Clone, PartialEq)]
struct Ingredients {
    policy: Arc<ir::BackendTls>,
    trust: Vec<Arc<ir::Trust>>,
    certificate: Option<Arc<ir::Certificate>>,
    protocol: BackendProtocol,
}

#[derive(Debug)]
struct Entry {
    made_of: Ingredients,
    target: TlsTarget,
    /// The same, offering HTTP/2 only: gRPC is spoken over nothing else.
    grpc: TlsTarget,
    /// The same, offering HTTP/1.1 only: nothing else can be upgraded.
    upgrade: TlsTarget,
    /// The same without ALPN, for what is not HTTP.
    opaque: TlsTarget,
}

/// The configurations of one generation, by policy and client certificate.
#[derive(Debug, Default)]
pub struct ClientTls {
    entries: AHashMap<(Box<str>, Option<Box<str>>), Arc<Entry>>,
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
            for certificate in &presented {
                let key = (policy.id.as_str().into(), certificate.map(Into::into));
                let made_of = Ingredients {
                    policy: Arc::clone(policy),
                    trust: policy.trust.iter().filter_map(|id| table.trust.get(id.as_str()).cloned()).collect(),
                    certificate: certificate.and_then(|id| table.certificates.get(id).cloned()),
                    protocol: backend.protocol,
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
        }
        built
    }

    /// How a flow that is not HTTP reaches a backend from a listener: `Some(None)` in plain text. `None`: it wants TLS
    /// that could not be set up.
    pub fn opaque(&self, backend: &Backend, listener: &ir::Listener) -> Option<Option<TlsTarget>> {
        let Some(policy) = &backend.tls else {
            return Some(None);
        };
        let certificate = listener.backend_certificate.as_deref().map(Into::into);
        let entry = self.entries.get(&(policy.id.as_str().into(), certificate))?;
        Some(Some(entry.opaque.clone()))
    }

    /// How to reach a backend from a listener. `None`: it wants TLS that could not be set up.
    ///
    /// `grpc`: for a rule of a `GRPCRoute`, whose backends speak HTTP/2 whatever their `appProtocol` says: the kind of the
    /// route tells enough (`GRPCBackendRef`).
    ///
    /// `upgrade`: for a request that asks to switch protocols, which only HTTP/1.1 can. The caller has refused those that
    /// want HTTP/2 all the same.
    pub fn route(&self, backend: &Backend, listener: &ir::Listener, grpc: bool, upgrade: bool) -> Option<Route> {
        let http2 = grpc || backend.protocol == BackendProtocol::H2c;
        let Some(policy) = &backend.tls else {
            return Some(Route { tls: None, http2 });
        };
        let certificate = listener.backend_certificate.as_deref().map(Into::into);
        let entry = self.entries.get(&(policy.id.as_str().into(), certificate))?;
        let target = match (grpc, upgrade) {
            (true, _) => &entry.grpc,
            (false, true) => &entry.upgrade,
            (false, false) => &entry.target,
        };
        Some(Route { tls: Some(target.clone()), http2 })
    }
}

fn target(made_of: &Ingredients) -> Result<TlsTarget, String> {
    let policy = &made_of.policy;
    let name = ServerName::try_from(policy.hostname.clone()).map_err(|error| format!("hostname: {error}"))?;
    let roots = if policy.trust.is_empty() {
        system_roots()
    } else {
        Arc::new(roots(made_of.trust.iter().map(|trust| trust.pem.as_str()))?)
    };
    let verifier = Arc::new(PolicyVerifier { roots, names: policy.subject_alt_names.clone() });
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &made_of.certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).map_err(|error| error.to_string())?;
            builder.with_client_auth_cert(certificates(&certificate.chain)?, key).map_err(|error| error.to_string())?
        }
    };
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

/// `wellKnownCACertificates: System`, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(ROOTS.get_or_init(|| {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    }))
}

/// The chain must end in the policy's trust; the name must be the policy's hostname, or, where the policy lists subject
/// alternative names, one of those instead (`BackendTLSPolicyValidation.subjectAltNames`).
#[derive(Debug)]
struct PolicyVerifier {
    roots: Arc<RootCertStore>,
    names: Vec<SubjectAltName>,
}

impl ServerCertVerifier for PolicyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms.all)?;
        if self.names.is_empty() {
            verify_server_name(&parsed, server_name)?;
        } else if !self.names.iter().any(|name| carries(&parsed, end_entity, name)) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate carries this subject alternative name.
fn carries(parsed: &ParsedCertificate<'_>, der: &CertificateDer<'_>, name: &SubjectAltName) -> bool {
    match name {
        SubjectAltName::Hostname { value } => {
            ServerName::try_from(value.as_str()).is_ok_and(|name| verify_server_name(parsed, &name).is_ok())
                || names_of(der).iter().any(|carried| carried.eq_ignore_ascii_case(value))
        }
        SubjectAltName::Uri { value } => names_of(der).iter().any(|carried| carried == value),
    }
}

fn names_of(der: &CertificateDer<'_>) -> Vec<String> {
    X509Certificate::from_der(der).map(|(_, parsed)| super::inspect::names(&parsed)).unwrap_or_default()
}
