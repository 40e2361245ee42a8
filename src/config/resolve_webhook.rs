//! `[webhook]`, from its settings to where alerts are posted.

use std::time::Duration;

use super::{ConfigError, Loaded, Problem, findings::Findings};
use crate::{
    http_client::{Access, BearerToken, ServiceUrl},
    tls::{ClientFiles, client_config},
    webhook::{Endpoint, Settings, SigningKey},
};

impl Loaded {
    /// Where alerts are posted, where they are.
    ///
    /// # Errors
    /// When the URL or one of its files cannot be used.
    pub fn webhook(&self) -> Result<Option<Endpoint>, ConfigError> {
        let mut findings = Findings::default();
        let endpoint = self.read_webhook(&mut findings);
        match findings.problems.is_empty() {
            true => Ok(endpoint),
            false => Err(ConfigError::of(findings.problems)),
        }
    }

    /// Where alerts are posted, where they are; what is wrong with it is reported.
    pub(super) fn read_webhook(&self, findings: &mut Findings) -> Option<Endpoint> {
        let Settings { url, ca_file, token_file, secret_file, timeout_ms } = &self.config.webhook;
        let Some(url) = url else {
            if [ca_file, token_file, secret_file].iter().any(|file| file.is_some()) {
                let message = "[webhook] has no effect without somewhere to post to: set `url`";
                findings.problems.push(Problem::missing(message));
            }
            return None;
        };
        let mut complain = |key: &str, message: String| {
            findings.problems.push(self.problem(key, message));
        };
        let url = match url.parse::<ServiceUrl>() {
            Ok(url) => url,
            Err(error) => {
                // What is wrong with it may be that it holds a secret, which is not quoted then.
                complain("webhook.url", format!("`webhook.url` {error}"));
                return None;
            }
        };
        if !url.is_tls() && !url.is_loopback() {
            let message = "`webhook.url` is plain HTTP off loopback: everybody on the way reads who is \
                           attacked by whom; use https://";
            complain("webhook.url", message.to_owned());
            return None;
        }
        if ca_file.is_some() && !url.is_tls() {
            let message =
                format!("`webhook.ca_file` means nothing for {url}: it is for https:// URLs");
            complain("webhook.ca_file", message);
        }
        let files = ClientFiles { ca: ca_file.clone(), identity: None };
        let tls = url.is_tls().then(|| client_config(&files)).transpose();
        let tls = tls.map_err(|error| complain("webhook.url", error.to_string()));
        let token = token_file.as_deref().map(BearerToken::read).transpose();
        let token = token.map_err(|error| complain("webhook.token_file", error.to_string()));
        let key = secret_file.as_deref().map(SigningKey::read).transpose();
        let key = key.map_err(|error| complain("webhook.secret_file", error.to_string()));
        let access = Access { url, tls: tls.ok()?, token: token.ok()? };
        let timeout = Duration::from_millis(timeout_ms.get().into());
        Some(Endpoint { access, key: key.ok()?, timeout })
    }
}
