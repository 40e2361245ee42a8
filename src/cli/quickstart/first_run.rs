//! The first run: everything is made beside its place and moved there last, so that a run that is
//! interrupted leaves nothing half made.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::super::certs::{AUTHORITY_DAYS, AuthorityDirectory, ISSUED_DAYS};
use super::passwords::{self, Passwords};
use super::{CERTIFICATES, CLIENT, CONFIG, CONTROL, POLICY};
use crate::private_file;
use crate::tls::ServerNames;
use crate::unix::{MAX_SOCKET_PATH, check_socket_path};

const CONFIG_TEXT: &str = include_str!("bastionmq.toml");
/// Where there can be a socket: a first run is not to fail for want of one.
const CONTROL_TEXT: &str = "
# Where `bastionmq ctl` speaks to the broker; for the user that it runs as and root alone.
[control]
socket = \"control/ctl.sock\"
";
/// The sample policy, and what the client certificate may do.
const POLICY_TEXT: &str = concat!(
    include_str!("../../../acl/policy.toml"),
    include_str!("client-certificate-policy.toml")
);

/// Makes `directory`, which is missing or empty. `listen` has URLs whose hosts the broker's
/// certificate is to name as well.
pub(super) fn make(directory: &Path, listen: &[String]) -> Result<Passwords> {
    let parent = directory.parent().context("the root directory cannot hold a broker")?;
    private_file::create_dir(parent)?;
    let staged = tempfile::Builder::new()
        .prefix(".bastionmq-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
    let has_control = directory.join(CONTROL).as_os_str().len() <= MAX_SOCKET_PATH
        && check_socket_path(&staged.path().join(CONTROL)).is_ok();
    let config = [CONFIG_TEXT, if has_control { CONTROL_TEXT } else { "" }].concat();
    let passwords = fill(staged.path(), &config, listen)?;
    fs::rename(staged.path(), directory).with_context(|| {
        format!(
            "cannot move what was made to {0}; if that is a mount point, use --dir {0}/data",
            directory.display()
        )
    })?;
    // It has moved: there is nothing left to clean up.
    let _ = staged.keep();
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .with_context(|| format!("cannot write {}", parent.display()))?;
    Ok(passwords)
}

fn fill(directory: &Path, config: &str, listen: &[String]) -> Result<Passwords> {
    let authority = AuthorityDirectory::new(directory.join(CERTIFICATES));
    authority.create("BastionMQ development CA", AUTHORITY_DAYS)?;
    authority.issue_server(&server_names(listen), ISSUED_DAYS)?;
    authority.issue_client(CLIENT, ISSUED_DAYS)?;
    authority.create_list()?;
    private_file::create_new(&directory.join(POLICY), POLICY_TEXT.as_bytes())?;
    let passwords = passwords::create(directory)?;
    private_file::create_new(&directory.join(CONFIG), config.as_bytes())?;
    Ok(passwords)
}

/// This machine by every name it can be sure of. Its addresses come and go; `bastionmq certs server`
/// issues to those that stay.
fn server_names(listen: &[String]) -> ServerNames {
    let mut names = ServerNames::default();
    for name in ["localhost", "127.0.0.1", "::1"] {
        names.add(name);
    }
    // A host name that cannot stand in a certificate is left out: nobody can connect to it either.
    if let Ok(host) = hostname::get() {
        names.add(&host.to_string_lossy());
    }
    for host in listen.iter().filter_map(|url| host_of(url)) {
        names.add(host);
    }
    names
}

/// The host that a listener URL names, unless it stands for every address of the machine. A URL
/// that is none is reported when it is listened to.
fn host_of(url: &str) -> Option<&str> {
    let (_, authority) = url.split_once("://")?;
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?.0,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    (!["0.0.0.0", "::"].contains(&host)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::super::{AUDIT, OPERATORS, PASSWORDS, STORE};
    use super::*;
    use crate::clock::Now;
    use crate::tls::{
        Alpn, ClientIdentity, MinimumVersion, Revocation, ServerFiles, server_config,
    };

    #[test]
    fn the_certificate_names_the_hosts_that_are_listened_to() {
        let urls = ["mqtts://192.0.2.7:8883", "mqtts://[2001:db8::1]", "mqtts://b.example.com:1"];
        let names = server_names(&urls.map(str::to_owned));
        assert!(names.dns.contains(&"b.example.com".to_owned()));
        assert!(names.ip.contains(&"192.0.2.7".parse().unwrap()));
        assert!(names.ip.contains(&"2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn the_address_of_every_interface_is_no_host() {
        let urls = ["mqtts://0.0.0.0:8883", "mqtts://[::]:8883", "rubbish", "mqtts://[::1"];
        let names = server_names(&urls.map(str::to_owned));
        assert_eq!(names, server_names(&[]));
    }

    #[test]
    fn what_is_made_is_whole_and_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/data");
        make(&directory, &[]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let secret = [PASSWORDS, OPERATORS, "certs/ca.key", "certs/server.key"];
        for file in [CONFIG, POLICY].into_iter().chain(secret) {
            assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
        }
        assert_eq!(entries(directory.parent().unwrap()), ["data"]);
    }

    #[test]
    fn the_listener_that_the_configuration_describes_can_be_opened() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data");
        make(&directory, &[]).unwrap();
        let config: toml::Table = CONFIG_TEXT.parse().unwrap();
        let listener = &config["listener"][0];
        let file = |key: &str| directory.join(listener[key].as_str().unwrap());
        let files = ServerFiles {
            certificate: file("tls_cert"),
            key: file("tls_key"),
            client_auth: listener["client_auth"].clone().try_into().unwrap(),
            client_ca: Some(file("client_ca")),
            revocation: Revocation { lists: Some(file("client_crl")), ..Revocation::default() },
            client_identity: ClientIdentity::default(),
            minimum_version: MinimumVersion::default(),
            alpn: Alpn::Mqtt,
        };
        assert_eq!(server_config(&files, Now::read()).unwrap().warnings, []);
        assert!(directory.join(config["auth"]["password_file"].as_str().unwrap()).exists());
        assert!(directory.join(config["acl"]["policy_file"].as_str().unwrap()).exists());
        assert!(directory.join(config["admin"]["password_file"].as_str().unwrap()).exists());
    }

    #[test]
    fn what_the_broker_keeps_is_below_the_directory_and_has_a_master_key() {
        let config: toml::Table = CONFIG_TEXT.parse().unwrap();
        assert_eq!(config["store"]["dir"].as_str(), Some(STORE));
        assert_eq!(config["audit"]["dir"].as_str(), Some(AUDIT));
        assert_eq!(config["keys"]["master_key_file"].as_str(), Some("master.key"));
    }

    #[test]
    fn an_empty_directory_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        make(directory.path(), &[]).unwrap();
        assert!(directory.path().join(CONFIG).exists());
    }

    #[test]
    fn a_directory_in_use_is_left_alone_and_so_is_its_parent() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("mine"), "").unwrap();
        assert!(make(&directory, &[]).is_err());
        assert_eq!(entries(&directory), ["mine"]);
        assert_eq!(entries(parent.path()), ["data"]);
    }

    fn entries(directory: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(directory).unwrap().map(name);
        names.map(|name| name.into_string().unwrap()).collect()
    }
}
