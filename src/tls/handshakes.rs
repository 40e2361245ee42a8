//! Tests: a real rustls client against what [`server_config`](super::server_config) makes.

mod chains;
mod reload;
mod revocation;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{
    ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore, ServerConfig,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{
    Alpn, Authority, ClientAuth, ClientIdentity, Issued, MinimumVersion, Revocation, ServerFiles,
    ServerNames, ServerTls, Standing, TlsError, Warning, peer_name, server_config,
};
use crate::clock::Now;
use crate::secret::Secret;

const YEAR: u32 = 365;

fn ago(days: u64) -> Now {
    let now = Now::read();
    Now { unix: now.unix - Duration::from_secs(days * 86_400), ..now }
}

/// A CA, a server certificate for `localhost` and 127.0.0.1, and the listener's files.
struct House {
    directory: TempDir,
    authority: Authority,
    authority_pem: String,
    files: ServerFiles,
}

impl House {
    fn new() -> Self {
        Self::founded(Now::read(), Now::read())
    }

    fn founded(authority_made: Now, server_issued: Now) -> Self {
        let made = Authority::create("Test CA", authority_made, YEAR).unwrap();
        let authority = Authority::open(made.certificate.as_bytes(), &made.key).unwrap();
        let names = ServerNames {
            dns: vec!["localhost".to_owned()],
            ip: vec!["127.0.0.1".parse().unwrap()],
        };
        let server = authority.issue_server(&names, server_issued, 90).unwrap();
        let directory = TempDir::new().unwrap();
        let files = ServerFiles {
            certificate: write(&directory, "server.crt", server.certificate.as_bytes()),
            key: write(&directory, "server.key", server.key.expose()),
            client_auth: ClientAuth::Off,
            client_ca: None,
            revocation: Revocation::default(),
            client_identity: ClientIdentity::Cn,
            minimum_version: MinimumVersion::Tls12,
            alpn: Alpn::Mqtt,
        };
        Self { directory, authority, authority_pem: made.certificate, files }
    }

    fn asking(client_auth: ClientAuth) -> Self {
        let mut house = Self::new();
        house.files.client_ca =
            Some(write(&house.directory, "ca.crt", house.authority_pem.as_bytes()));
        house.files.client_auth = client_auth;
        house
    }

    fn open(&self) -> Result<ServerTls, TlsError> {
        server_config(&self.files, Now::read())
    }

    fn client(&self, certificate: Option<&Issued>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&self.authority_pem));
        match certificate {
            None => builder.with_no_client_auth(),
            Some(issued) => builder
                .with_client_auth_cert(vec![der(&issued.certificate)], key(&issued.key))
                .unwrap(),
        }
    }

    async fn handshake(&self, client: ClientConfig, name: &str) -> io::Result<Connected> {
        connect(&self.open().unwrap(), Arc::new(client), name).await
    }
}

struct Connected {
    client: client::TlsStream<tokio::io::DuplexStream>,
    server: server::TlsStream<tokio::io::DuplexStream>,
}

/// Both ends of a connection over which a byte has gone each way; the error is the server's.
async fn connect(tls: &ServerTls, client: Arc<ClientConfig>, name: &str) -> io::Result<Connected> {
    connect_to(Arc::clone(&tls.config), client, name).await
}

async fn connect_to(
    tls: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: &str,
) -> io::Result<Connected> {
    let (near, far) = duplex(1 << 16);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let dial = async {
        let mut client = TlsConnector::from(client).connect(name, near).await?;
        client.write_all(b"?").await?;
        client.read_u8().await?;
        io::Result::Ok(client)
    };
    let accept = async {
        let mut server = TlsAcceptor::from(tls).accept(far).await?;
        server.read_u8().await?;
        server.write_all(b"!").await?;
        server.flush().await?;
        io::Result::Ok(server)
    };
    let (client, server) = tokio::join!(dial, accept);
    let server = server?;
    Ok(Connected { client: client?, server })
}

fn write(directory: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn key(pem: &Secret) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem.expose()).unwrap()
}

fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(der(pem)).unwrap();
    roots
}

fn other_key(directory: &TempDir) -> PathBuf {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    write(directory, "other.key", key.as_bytes())
}

#[tokio::test]
async fn tls_1_3_with_the_hybrid_post_quantum_group_is_what_two_modern_ends_agree_on() {
    let house = House::new();
    let connected = house.handshake(house.client(None), "localhost").await.unwrap();
    let (_, session) = connected.server.get_ref();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = session.negotiated_key_exchange_group().map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
}

#[tokio::test]
async fn a_client_is_served_by_address_as_well() {
    let house = House::new();
    assert!(house.handshake(house.client(None), "127.0.0.1").await.is_ok());
}

#[tokio::test]
async fn a_client_that_wants_another_host_refuses_the_certificate() {
    let house = House::new();
    assert!(house.handshake(house.client(None), "example.com").await.is_err());
}

#[tokio::test]
async fn a_client_of_another_authority_refuses_the_certificate() {
    let (house, stranger) = (House::new(), House::new());
    assert!(house.handshake(stranger.client(None), "localhost").await.is_err());
}

fn tls12_client(house: &House) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots(&house.authority_pem))
        .with_no_client_auth()
}

#[tokio::test]
async fn tls_1_2_is_spoken_unless_the_minimum_is_1_3() {
    let mut house = House::new();
    let connected = house.handshake(tls12_client(&house), "localhost").await.unwrap();
    let (_, session) = connected.server.get_ref();
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    house.files.minimum_version = MinimumVersion::Tls13;
    assert!(house.handshake(tls12_client(&house), "localhost").await.is_err());
}

#[tokio::test]
async fn alpn_may_be_absent_or_what_is_spoken_and_nothing_else() {
    let mut house = House::new();
    for (spoken, own, foreign) in
        [(Alpn::Mqtt, "mqtt", "http/1.1"), (Alpn::Http, "http/1.1", "mqtt")]
    {
        house.files.alpn = spoken;
        for (offered, served) in [(Some(own), true), (Some(foreign), false), (None, true)] {
            let mut client = house.client(None);
            client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let made = house.handshake(client, "localhost").await;
            assert_eq!(made.is_ok(), served, "{offered:?} where {own} is spoken");
        }
    }
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let house = House::new();
    let tls = house.open().unwrap();
    for client in [house.client(None), tls12_client(&house)] {
        let client = Arc::new(client);
        connect(&tls, Arc::clone(&client), "localhost").await.unwrap();
        let again = connect(&tls, client, "localhost").await.unwrap();
        assert_eq!(again.client.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn a_client_with_a_certificate_shows_it_on_every_connection() {
    let house = House::asking(ClientAuth::Optional);
    let issued = house.authority.issue_client("client1", Now::read(), YEAR).unwrap();
    let tls = house.open().unwrap();
    let client = Arc::new(house.client(Some(&issued)));
    for _ in 0..3 {
        let connected = connect(&tls, Arc::clone(&client), "localhost").await.unwrap();
        assert_eq!(connected.client.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test]
async fn the_name_in_a_verified_certificate_is_that_which_was_issued() {
    for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
        let house = House::asking(client_auth);
        let issued = house.authority.issue_client("client1", Now::read(), YEAR).unwrap();
        let client = house.client(Some(&issued));
        let connected = house.handshake(client, "localhost").await.unwrap();
        let (_, session) = connected.server.get_ref();
        let shown = &session.peer_certificates().unwrap()[0];
        assert_eq!(&*peer_name(shown, ClientIdentity::Cn).unwrap(), "client1");
    }
}

#[tokio::test]
async fn without_a_certificate_optional_lets_in_and_required_does_not() {
    for (client_auth, served) in [(ClientAuth::Optional, true), (ClientAuth::Required, false)] {
        let house = House::asking(client_auth);
        let answer = house.handshake(house.client(None), "localhost").await;
        assert_eq!(answer.is_ok(), served);
    }
}

#[tokio::test]
async fn a_bad_certificate_is_refused_even_where_none_is_asked_for() {
    let (house, stranger) = (House::asking(ClientAuth::Optional), House::new());
    let foreign = stranger.authority.issue_client("client1", Now::read(), YEAR).unwrap();
    assert!(house.handshake(house.client(Some(&foreign)), "localhost").await.is_err());
}

#[tokio::test]
async fn an_expired_client_certificate_is_refused() {
    let mut house = House::founded(ago(100), Now::read());
    house.files.client_auth = ClientAuth::Required;
    house.files.client_ca = Some(write(&house.directory, "ca.crt", house.authority_pem.as_bytes()));
    let expired = house.authority.issue_client("client1", ago(50), 10).unwrap();
    assert!(house.handshake(house.client(Some(&expired)), "localhost").await.is_err());
    let valid = house.authority.issue_client("client1", Now::read(), 10).unwrap();
    assert!(house.handshake(house.client(Some(&valid)), "localhost").await.is_ok());
}

#[tokio::test]
async fn a_server_certificate_does_not_serve_as_that_of_a_client() {
    let house = House::asking(ClientAuth::Required);
    let names = ServerNames { dns: vec!["client1".to_owned()], ip: Vec::new() };
    let server = house.authority.issue_server(&names, Now::read(), YEAR).unwrap();
    assert!(house.handshake(house.client(Some(&server)), "localhost").await.is_err());
}

#[test]
fn sound_files_give_no_warning() {
    assert_eq!(House::new().open().unwrap().warnings, Vec::new());
}

#[tokio::test]
async fn an_expired_server_certificate_is_a_warning_and_clients_refuse_it() {
    let house = House::founded(ago(300), ago(200));
    let warnings = house.open().unwrap().warnings;
    assert!(
        matches!(&warnings[..], [Warning::Validity { standing: Standing::Expired { .. }, .. }]),
        "{warnings:?}"
    );
    let said = warnings[0].to_string();
    assert!(said.contains("server.crt") && said.contains("expired on 20"), "{said}");
    assert!(house.handshake(house.client(None), "localhost").await.is_err());
}

#[test]
fn certificates_that_end_soon_or_begin_later_are_warned_of() {
    let soon = House::founded(Now::read(), Now::read());
    let later = |days: u64| {
        let now = Now::read();
        server_config(&soon.files, now.after(Duration::from_secs(days * 86_400))).unwrap().warnings
    };
    assert_eq!(later(59), Vec::new());
    assert!(later(65)[0].to_string().contains("ends on"));
    let early = server_config(&soon.files, ago(10)).unwrap().warnings;
    assert!(early[0].to_string().contains("is not valid before"));
}

#[test]
fn an_expired_client_authority_is_a_warning() {
    let mut house = House::new();
    let old = Authority::create("Old CA", ago(300), 100).unwrap();
    house.files.client_auth = ClientAuth::Required;
    house.files.client_ca = Some(write(&house.directory, "old.crt", old.certificate.as_bytes()));
    let warnings = house.open().unwrap().warnings;
    assert!(warnings[0].to_string().contains("old.crt"), "{warnings:?}");
}

#[test]
fn the_key_of_another_certificate_is_refused_and_both_files_are_named() {
    let mut house = House::new();
    house.files.key = other_key(&house.directory);
    let error = house.open().unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("other.key") && said.contains("server.crt"), "{said}");
}

#[test]
fn a_certificate_of_a_device_is_refused_as_an_authority() {
    let mut house = House::asking(ClientAuth::Required);
    let device = house.authority.issue_client("device", Now::read(), YEAR).unwrap();
    let bundle = format!("{}{}", house.authority_pem, device.certificate);
    house.files.client_ca = Some(write(&house.directory, "bundle.crt", bundle.as_bytes()));
    let error = house.open().unwrap_err();
    assert!(matches!(error, TlsError::NotAnAuthority { position: 2, .. }), "{error}");
}

#[test]
fn client_auth_and_client_ca_go_together() {
    let mut house = House::asking(ClientAuth::Required);
    house.files.client_auth = ClientAuth::Off;
    assert!(matches!(house.open(), Err(TlsError::ClientCaUnused { .. })));
    house.files.client_auth = ClientAuth::Required;
    house.files.client_ca = None;
    assert!(matches!(house.open(), Err(TlsError::ClientCaMissing)));
}

#[test]
fn a_damaged_certificate_is_named_with_its_place_in_the_file() {
    let mut house = House::new();
    let own = fs::read_to_string(&house.files.certificate).unwrap();
    let damaged = format!("{own}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    house.files.certificate = write(&house.directory, "damaged.crt", damaged.as_bytes());
    let error = house.open().unwrap_err();
    assert!(matches!(error, TlsError::BrokenCertificate { position: 2, .. }), "{error}");
}

#[test]
fn private_keys_are_read_in_all_three_encodings() {
    for (algorithm, label) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "EC PRIVATE KEY"),
        (&rcgen::PKCS_RSA_SHA256, "RSA PRIVATE KEY"),
    ] {
        let mut house = House::new();
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let own = params.self_signed(&pair).unwrap().pem();
        house.files.certificate = write(&house.directory, "own.crt", own.as_bytes());
        // As `openssl ecparam -genkey` writes it: parameters first.
        let traditional = format!(
            "{}{}",
            pem("EC PARAMETERS", &[0x06, 0x03, 0x2a, 0x03, 0x04]),
            pem(label, &traditional_encoding(pair.serialized_der()))
        );
        for content in [pair.serialize_pem(), traditional] {
            house.files.key = write(&house.directory, "own.key", content.as_bytes());
            assert!(house.open().is_ok(), "{label}: {:?}", house.open().err());
        }
    }
}

/// PKCS#8 wraps the older encodings: version, algorithm, octets.
fn traditional_encoding(pkcs8: &[u8]) -> Vec<u8> {
    let (_, wrapper) = x509_parser::der_parser::parse_der(pkcs8).unwrap();
    wrapper[2].as_slice().unwrap().to_vec()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = (0..3)
            .fold(0_usize, |bits, i| bits << 8 | usize::from(chunk.get(i).copied().unwrap_or(0)));
        (0..4).map(move |i| ALPHABET[bits >> (18 - 6 * i) & 63]).collect::<Vec<_>>()
    };
    let mut text: Vec<u8> = bytes.chunks(3).flat_map(group).collect();
    let padding = (3 - bytes.len() % 3) % 3;
    let length = text.len();
    text[length - padding..].fill(b'=');
    String::from_utf8(text).unwrap()
}
