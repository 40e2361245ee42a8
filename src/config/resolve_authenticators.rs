//! Who finds out who the clients of a listener are: the list as written, or what the rest of the
//! configuration has to offer.

use super::Config;
use crate::{
    auth::{Authenticator, Authenticators},
    net::ListenerSettings,
    tls::ClientAuth,
};

/// The authenticators of `listener`.
///
/// # Errors
/// Each that is asked in vain, with what it lacks; or that there is none at all.
pub(super) fn resolve_authenticators(
    listener: &ListenerSettings,
    config: &Config,
) -> Result<Authenticators, Vec<String>> {
    let Some(written) = &listener.authenticators else {
        let list = Authenticator::ALL.into_iter();
        let list = list.filter(|each| is_default(*each) && lack(*each, listener, config).is_none());
        return Authenticators::new(list.collect()).map_err(|_| vec![NOBODY.to_owned()]);
    };
    let in_vain: Vec<_> = written
        .iter()
        .filter_map(|each| lack(each, listener, config).map(|lack| in_vain(each, lack)))
        .collect();
    if in_vain.is_empty() { Ok(written.clone()) } else { Err(in_vain) }
}

const NOBODY: &str = "nobody could log in here: set `password_file` in [auth], or `client_auth` and \
                      `client_ca` of this listener, or remove it";

/// What clients must show together is asked of them only where that is written.
fn is_default(authenticator: Authenticator) -> bool {
    authenticator != Authenticator::CertificateAndPassword
}

fn in_vain(authenticator: Authenticator, lack: &str) -> String {
    format!("`authenticators` has \"{authenticator}\", which could let nobody in: {lack}")
}

/// Why `authenticator` could let nobody in at `listener`.
fn lack(
    authenticator: Authenticator,
    listener: &ListenerSettings,
    config: &Config,
) -> Option<&'static str> {
    use Authenticator::{
        Anonymous, Certificate, CertificateAndPassword, Http, Jwt, Password, Scram, Unix,
    };
    let is_certified = matches!(authenticator, Certificate | CertificateAndPassword);
    let is_asked = listener.client_auth != ClientAuth::Off || listener.proxy_certificates;
    if is_certified && !is_asked {
        return Some("clients are not asked for a certificate; set `client_auth` and `client_ca`");
    }
    if authenticator == Unix && !listener.is_unix() {
        return Some("only at a unix:// listener is it known which user a client runs as");
    }
    let has_password = matches!(authenticator, CertificateAndPassword | Password | Scram);
    if has_password && config.auth.password_file.is_none() {
        return Some("no password is known; set `password_file` in [auth]");
    }
    if authenticator == Jwt && config.jwt.key_file.is_none() {
        return Some("no key of an issuer is known; set `key_file` in [jwt]");
    }
    if authenticator == Http && config.http.url.is_none() {
        return Some("there is no service to ask; set `url` in [http]");
    }
    if authenticator == Anonymous && !config.auth.allow_anonymous {
        return Some("[auth] does not have it so; set `allow_anonymous = true` there");
    }
    if authenticator == Anonymous && listener.is_unix() {
        return Some("every process runs as some user, so none is anonymous");
    }
    if authenticator == Anonymous && listener.client_auth == ClientAuth::Required {
        return Some("every client shows a certificate here, so none is anonymous");
    }
    None
}
