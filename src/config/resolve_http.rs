//! The HTTP service, from its settings to how it is reached.

use super::{Loaded, Problem, findings::Findings};
use crate::{
    http_client::{Access, BearerToken, ServiceUrl},
    identity_service::Settings,
    tls::{ClientFiles, client_config},
};

impl Loaded {
    /// Reads the files anew that the HTTP service is reached by, where there is one.
    ///
    /// # Errors
    /// That one is missing, unreadable, exposed or broken.
    pub fn http_access(&self) -> Result<Option<Access>, super::ConfigError> {
        let mut findings = Findings::default();
        let access = self.read_http_access(&mut findings);
        match findings.problems.is_empty() {
            true => Ok(access),
            false => Err(super::ConfigError::of(findings.problems)),
        }
    }

    pub(super) fn read_http_access(&self, findings: &mut Findings) -> Option<Access> {
        let settings = &self.config.http;
        let Some(url) = &settings.url else {
            let Settings { allow_plain_http, ca_file, client_cert, client_key, token_file, .. } =
                settings;
            let files = [ca_file, client_cert, client_key, token_file];
            if *allow_plain_http || files.iter().any(|file| file.is_some()) {
                let message = "[http] has no effect without a service to ask: set `url`";
                findings.problems.push(Problem::missing(message));
            }
            return None;
        };
        let url = match url.parse::<ServiceUrl>() {
            Ok(url) => url,
            Err(error) => {
                // What is wrong with it may be that it holds a secret, which is not quoted then.
                findings.problems.push(self.problem("http.url", format!("`http.url` {error}")));
                return None;
            }
        };
        self.refuse_open_http(&url, findings);
        self.refuse_http_keys_without_effect(&url, findings);
        self.warn_of_late_answers(findings);
        let files = self.http_files(findings)?;
        let is_tls = url.is_tls();
        let tls = is_tls.then(|| client_config(&files)).transpose().map_err(|error| {
            findings.problems.push(self.problem("http.url", error.to_string()));
        });
        let token = settings.token_file.as_deref().map(BearerToken::read).transpose();
        let token = token.map_err(|error| {
            findings.problems.push(self.problem("http.token_file", error.to_string()));
        });
        Some(Access { url, tls: tls.ok()?, token: token.ok()? })
    }

    fn refuse_open_http(&self, url: &ServiceUrl, findings: &mut Findings) {
        let Settings { allow_plain_http, .. } = &self.config.http;
        if url.is_tls() || url.is_loopback() || *allow_plain_http {
            return;
        }
        let message = "`http.url` is plain HTTP off loopback: everybody on the way reads passwords, \
                       and can answer in the place of the service; use https://, or set \
                       allow_plain_http = true";
        findings.problems.push(self.problem("http.url", message));
    }

    /// Whoever sets one of these means that it protects something.
    fn refuse_http_keys_without_effect(&self, url: &ServiceUrl, findings: &mut Findings) {
        let Settings { allow_plain_http, ca_file, client_cert, client_key, .. } = &self.config.http;
        let tls = [
            ("http.ca_file", ca_file.is_some()),
            ("http.client_cert", client_cert.is_some()),
            ("http.client_key", client_key.is_some()),
        ];
        for (key, _) in tls.into_iter().filter(|(_, is_set)| *is_set && !url.is_tls()) {
            let message = format!("`{key}` means nothing for {url}: it is for https:// services");
            findings.problems.push(self.problem(key, message));
        }
        if *allow_plain_http && (url.is_tls() || url.is_loopback()) {
            let message = format!("`http.allow_plain_http` means nothing for {url}: remove it");
            findings.problems.push(self.problem("http.allow_plain_http", message));
        }
    }

    fn warn_of_late_answers(&self, findings: &mut Findings) {
        let timeout_ms = u64::from(self.config.http.timeout_ms.get());
        let seconds = u64::from(self.config.network.connect_timeout_seconds.get());
        if timeout_ms >= seconds * 1_000 {
            findings.warnings.push(format!(
                "`timeout_ms` of [http] is not below `connect_timeout_seconds` of [network], {seconds} \
                 s: a client is gone before the service has used up its time"
            ));
        }
    }

    fn http_files(&self, findings: &mut Findings) -> Option<ClientFiles> {
        let Settings { ca_file, client_cert, client_key, .. } = &self.config.http;
        let identity = match (client_cert, client_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => {
                let message = "`http.client_cert` needs its private key: set `client_key`";
                findings.problems.push(self.problem("http.client_cert", message));
                return None;
            }
            (None, Some(_)) => {
                let message = "`http.client_key` needs its certificate: set `client_cert`";
                findings.problems.push(self.problem("http.client_key", message));
                return None;
            }
        };
        Some(ClientFiles { ca: ca_file.clone(), identity })
    }
}
