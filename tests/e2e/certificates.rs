//! TLS: who is believed, on both ends, and what is spoken.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};

use crate::harness::raw::{self, Connect, RawClient};
use crate::harness::rumqtt::over_tls;
use crate::harness::rumqtt::v5::{Client, ConnectionError, Options, QoS, options};
use crate::harness::site::trusting;
use crate::harness::{ADMIN, Broker, PATIENCE, Site, bastionmq, scratch};

/// Options without user and password.
fn nameless(broker: &Broker, config: Arc<ClientConfig>) -> Options {
    let mut options = Options::new("nameless", "localhost", broker.tls_port());
    options.set_transport(over_tls(config));
    options
}

async fn refused_by_the_transport(options: Options) {
    match Client::try_connect(options).await {
        Err(ConnectionError::Tls(_) | ConnectionError::Io(_) | ConnectionError::MqttState(_)) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn a_client_refuses_a_broker_of_an_unknown_authority() {
    let broker = Broker::secure();
    let stranger = scratch();
    let mut init = bastionmq();
    init.args(["certs", "init", "--dir", "."]).current_dir(stranger.path());
    assert!(init.output().expect("it starts").status.success());
    let mut options = options(&broker, "sceptic", ADMIN);
    let config = trusting(&stranger.path().join("ca.crt")).with_no_client_auth();
    options.set_transport(over_tls(Arc::new(config)));
    match Client::try_connect(options).await.err() {
        Some(error @ (ConnectionError::Tls(_) | ConnectionError::Io(_))) => {
            assert!(error.to_string().contains("invalid peer certificate"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    Client::connect(crate::harness::rumqtt::v5::options(&broker, "believer", ADMIN)).await;
}

#[tokio::test]
async fn a_client_certificate_stands_for_a_password() {
    let broker = Broker::secure_with_certificates("required");
    let mut device = Client::connect(nameless(&broker, Site::shared().tls_as("device1"))).await;
    device.subscribe("devices/device1/#", QoS::AtLeastOnce).await;
    device.publish("devices/device1/state", QoS::AtLeastOnce, "certified").await;
    assert_eq!(device.payload().await, "certified");
}

#[tokio::test]
async fn where_a_client_certificate_is_required_a_password_is_not_enough() {
    let broker = Broker::secure_with_certificates("required");
    refused_by_the_transport(options(&broker, "no certificate", ADMIN)).await;
}

#[tokio::test]
async fn where_it_is_optional_either_will_do_and_neither_will_not() {
    let broker = Broker::secure_with_certificates("optional");
    Client::connect(nameless(&broker, Site::shared().tls_as("device1"))).await;
    Client::connect(options(&broker, "by password", ADMIN)).await;
    let refused = Client::try_connect(nameless(&broker, Site::shared().tls())).await.err();
    assert!(matches!(refused, Some(ConnectionError::ConnectionRefused(_))), "{refused:?}");
}

#[tokio::test]
async fn where_it_is_off_a_client_certificate_proves_nothing() {
    let broker = Broker::secure_with_certificates("off");
    let refused = Client::try_connect(nameless(&broker, Site::shared().tls_as("device1"))).await;
    let refused = refused.err();
    assert!(matches!(refused, Some(ConnectionError::ConnectionRefused(_))), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_or_that_has_expired_is_refused() {
    for client_auth in ["optional", "required"] {
        let broker = Broker::secure_with_certificates(client_auth);
        let ca = Site::shared();
        let own = Issuer::new(CertificateParams::default(), KeyPair::generate().expect("a key"));
        refused_by_the_transport(nameless(&broker, showing(&own, Duration::ZERO))).await;
        let issuer = site_authority(&ca.ca(), &ca.file("ca.key"));
        refused_by_the_transport(nameless(&broker, showing(&issuer, DAY))).await;
        // What is refused above is the certificate, and not the way it is made here.
        Client::connect(nameless(&broker, showing(&issuer, Duration::ZERO))).await;
    }
}

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn site_authority(certificate: &Path, key: &Path) -> Issuer<'static, KeyPair> {
    let key = KeyPair::from_pem(&fs::read_to_string(key).expect("ca.key")).expect("a key");
    let certificate = fs::read_to_string(certificate).expect("ca.crt");
    Issuer::from_ca_cert_pem(&certificate, key).expect("a CA certificate")
}

/// Shows a certificate for `device1` of `issuer` that ended `ago`, or is valid for a day.
fn showing(issuer: &Issuer<'_, KeyPair>, ago: Duration) -> Arc<ClientConfig> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "device1");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let end = if ago.is_zero() { SystemTime::now() + DAY } else { SystemTime::now() - ago };
    params.not_before = (end - 2 * DAY).into();
    params.not_after = end.into();
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let chain = vec![CertificateDer::from(certificate)];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = trusting(&Site::shared().ca()).with_client_auth_cert(chain, key);
    Arc::new(config.expect("a certificate and its key"))
}

/// The version that a client which knows only `versions` ends up with.
fn spoken(port: u16, versions: &[&'static rustls::SupportedProtocolVersion]) -> ProtocolVersion {
    let mut roots = rustls::RootCertStore::empty();
    let ca = <CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_file(
        Site::shared().ca(),
    );
    roots.add(ca.expect("ca.crt")).expect("a CA");
    let config = ClientConfig::builder_with_protocol_versions(versions);
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a client");
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
    let mut stream = StreamOwned::new(session, socket);
    stream.write_all(&Connect::new(5, "version").login(ADMIN).encode()).expect("a handshake");
    let mut answer = [0];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [raw::CONNACK]);
    stream.conn.protocol_version().expect("a version")
}

#[test]
fn tls_1_3_and_1_2_are_spoken() {
    let broker = Broker::secure();
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    assert_eq!(spoken(broker.tls_port(), &versions), ProtocolVersion::TLSv1_3);
    assert_eq!(spoken(broker.tls_port(), &versions[1..]), ProtocolVersion::TLSv1_2);
}

#[test]
fn who_speaks_no_tls_to_the_tls_port_is_cut_off_and_others_go_on() {
    let broker = Broker::secure();
    let mut other = RawClient::tls(broker.tls_port(), Site::shared().tls());
    other.send(&Connect::new(5, "other").login(ADMIN).encode());
    assert_eq!(other.expect(raw::CONNACK).reason(), 0);

    let mut stream = TcpStream::connect(("127.0.0.1", broker.tls_port())).expect("it is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.write_all(&Connect::new(5, "plain").login(ADMIN).encode()).expect("it reads");
    let mut answer = Vec::new();
    // A TLS alert and the end, or the end alone.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 16 && answer.first() != Some(&raw::CONNACK), "{answer:?}");
    other.expect_silence();
}
