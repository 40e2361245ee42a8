//! `[webhook]`, from its settings to where alerts are posted.

use std::time::Duration;

use super::{ConfigError, Loaded, Problem, findings::Findings, resolve_access::Destination};
use crate::webhook::{Endpoint, Settings, SigningKey};

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
        let destination = Destination {
            setting: "webhook.url",
            url,
            ca_file: ca_file.as_ref(),
            token_file: token_file.as_ref(),
            secret: "who is attacked by whom",
        };
        let access = self.access_to(destination, findings);
        let key = secret_file.as_deref().map(SigningKey::read).transpose();
        let key = key.map_err(|error| {
            findings.problems.push(self.problem("webhook.secret_file", error.to_string()));
        });
        let timeout = Duration::from_millis(timeout_ms.get().into());
        Some(Endpoint { access: access?, key: key.ok()?, timeout })
    }
}
