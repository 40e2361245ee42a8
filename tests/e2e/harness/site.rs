//! What an operator prepares: certificates, users and a policy. Made once per build by the binary's
//! own commands, and shared by all tests.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::UNIX_EPOCH;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::broker::{bastionmq, binary};

/// User and password.
pub(crate) type Login = (&'static str, &'static str);

/// May do anything.
pub(crate) const ADMIN: Login = ("admin", "admin's password, of some length");
/// May use `devices/device1/#`, and read `announcements/#`.
pub(crate) const DEVICE1: Login = ("device1", "first device");
/// May use `devices/device2/#`, and read `announcements/#`.
pub(crate) const DEVICE2: Login = ("device2", "second device");

/// May use `lobby/${client_id}/#`, up to QoS 1, and retains nothing.
pub(crate) const VISITOR: Login = ("visitor", "come in");

const POLICY: &str = include_str!("policy.toml");

/// A directory with all of it.
pub(crate) struct Site {
    directory: PathBuf,
}

impl Site {
    /// The one that all tests share. Nobody changes a file in it.
    pub(crate) fn shared() -> &'static Self {
        static SITE: OnceLock<Site> = OnceLock::new();
        SITE.get_or_init(|| Self { directory: prepared() })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn ca(&self) -> PathBuf {
        self.file("ca.crt")
    }

    /// A configuration with a TLS and a plain listener.
    pub(crate) fn configuration(&self, client_auth: &str) -> String {
        let at = self.directory.display();
        // What has no effect is an error.
        let client_ca = match client_auth {
            "off" => String::new(),
            _ => format!("client_ca = \"{at}/ca.crt\""),
        };
        format!(
            r#"
[[listener]]
url = "mqtts://127.0.0.1:0"
tls_cert = "{at}/server.crt"
tls_key = "{at}/server.key"
client_auth = "{client_auth}"
{client_ca}

[[listener]]
url = "mqtt://127.0.0.1:0"

[admin]
address = "127.0.0.1:0"

[auth]
password_file = "{at}/passwd"

[acl]
policy_file = "{at}/policy.toml"
"#
        )
    }

    /// A client's side of TLS: trusts our authority, shows no certificate.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::new(trusting(&self.ca()).with_no_client_auth())
    }

    /// As [`Site::tls`], and shows the certificate of `name`.
    pub(crate) fn tls_as(&self, name: &str) -> Arc<ClientConfig> {
        self.tls_showing(&self.directory, name)
    }

    /// As [`Site::tls_as`], by another certificate of our authority for the same name, made in `place`.
    pub(crate) fn tls_anew_as(&self, name: &str, place: &Path) -> Arc<ClientConfig> {
        for file in ["ca.crt", "ca.key"] {
            fs::copy(self.file(file), place.join(file)).expect("a copy");
        }
        let made = bastionmq()
            .args(["certs", "client", "--dir", "."])
            .arg(name)
            .current_dir(place)
            .output();
        assert!(made.expect("bastionmq starts").status.success(), "a certificate for {name}");
        self.tls_showing(place, name)
    }

    fn tls_showing(&self, place: &Path, name: &str) -> Arc<ClientConfig> {
        let certificate = place.join(format!("{name}.crt"));
        let chain = CertificateDer::pem_file_iter(certificate).expect("a certificate file");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(place.join(format!("{name}.key"))).expect("a key");
        let config = trusting(&self.ca()).with_client_auth_cert(chain, key);
        Arc::new(config.expect("a certificate and its key"))
    }
}

/// A client configuration that trusts the authority in `ca` alone.
pub(crate) fn trusting(
    ca: &Path,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("a CA file")).expect("a CA");
    ClientConfig::builder().with_root_certificates(roots)
}

/// Prepares the directory, or finds that another test process has.
fn prepared() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let own = std::env::current_exe().expect("the path of this test");
    let finished = target.join(format!("site-{}-{}", written_at(&binary()), written_at(&own)));
    if !finished.is_dir() {
        let draft = tempfile::tempdir_in(target).expect("a directory under target");
        prepare(draft.path());
        // Whoever renames first wins, and both directories are as good.
        let _ = fs::rename(draft.path(), &finished);
    }
    assert!(finished.join("policy.toml").is_file(), "{} is incomplete", finished.display());
    finished
}

fn written_at(file: &Path) -> u128 {
    let modified = fs::metadata(file).and_then(|metadata| metadata.modified());
    let modified = modified.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    modified.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos()
}

fn prepare(directory: &Path) {
    let certs = |arguments: &[&str]| {
        let output = bastionmq().arg("certs").args(arguments).current_dir(directory).output();
        let output = output.expect("bastionmq starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "certs {arguments:?} failed: {errors}");
    };
    certs(&["init", "--dir", "."]);
    certs(&["server", "--dir", ".", "--name", "localhost", "--ip", "127.0.0.1"]);
    certs(&["client", "--dir", ".", "device1"]);
    for (user, password) in [ADMIN, DEVICE1, DEVICE2, VISITOR] {
        add_user(&directory.join("passwd"), user, password);
    }
    fs::write(directory.join("policy.toml"), POLICY).expect("a policy file");
}

/// `bastionmq passwd add`, with hashes that cost next to nothing.
pub(crate) fn add_user(file: &Path, user: &str, password: &str) {
    let mut command = bastionmq();
    command.args(["passwd", "add", "--stdin", "--memory-kib", "8", "--iterations", "1"]);
    command.args(["--parallelism", "1", "--scram", "--scram-iterations", "4096"]);
    command.arg(file).arg(user);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(password.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "passwd add {user} failed: {errors}");
}
