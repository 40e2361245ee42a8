//! How something is reached that the broker posts to, from what the settings of a section say.

use std::path::PathBuf;

use super::{Loaded, findings::Findings};
use crate::{
    http_client::{Access, BearerToken, ServiceUrl},
    tls::{ClientFiles, client_config},
};

/// What a section says of that.
pub(super) struct Destination<'a> {
    /// The setting with the URL, such as `webhook.url`.
    pub(super) setting: &'static str,
    pub(super) url: &'a str,
    /// `ca_file` of the section.
    pub(super) ca_file: Option<&'a PathBuf>,
    /// `token_file` of the section.
    pub(super) token_file: Option<&'a PathBuf>,
    /// What everybody on the way would read.
    pub(super) secret: &'static str,
}

impl Loaded {
    /// How it is reached: by HTTPS, or on this machine. What is wrong with it is reported.
    pub(super) fn access_to(
        &self,
        Destination { setting, url, ca_file, token_file, secret }: Destination<'_>,
        findings: &mut Findings,
    ) -> Option<Access> {
        let section = setting.split('.').next().unwrap_or(setting);
        let mut complain = |key: &str, message: String| {
            findings.problems.push(self.problem(key, message));
        };
        let url = match url.parse::<ServiceUrl>() {
            Ok(url) => url,
            Err(error) => {
                // What is wrong with it may be that it holds a secret, which is not quoted then.
                complain(setting, format!("`{setting}` {error}"));
                return None;
            }
        };
        if !url.is_tls() && !url.is_loopback() {
            let message = format!(
                "`{setting}` is plain HTTP off loopback: everybody on the way reads {secret}; use https://"
            );
            complain(setting, message);
            return None;
        }
        if ca_file.is_some() && !url.is_tls() {
            let key = format!("{section}.ca_file");
            complain(&key, format!("`{key}` means nothing for {url}: it is for https:// URLs"));
        }
        let files = ClientFiles { ca: ca_file.cloned(), identity: None };
        let tls = url.is_tls().then(|| client_config(&files)).transpose();
        let tls = tls.map_err(|error| complain(setting, error.to_string()));
        let token = token_file.map(|file| BearerToken::read(file)).transpose();
        let token =
            token.map_err(|error| complain(&format!("{section}.token_file"), error.to_string()));
        Some(Access { url, tls: tls.ok()?, token: token.ok()? })
    }
}
