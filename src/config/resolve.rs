//! The second step: files are read, names looked up, keys loaded. Afterwards nothing can fail for
//! the way it was configured, except that a port is taken.

use std::{net::SocketAddr, path::Path};

use super::{
    Config, ConfigError, Loaded, Problem, ResolvedListener,
    findings::{Findings, in_file},
    read_file::read_text,
    resolve_listener::resolve_listeners,
};
use crate::{
    acl::{MAX_POLICY_BYTES, Policy},
    audit,
    auth::{self, MAX_KEY_FILE_BYTES, PasswordFile, TokenKeys, TokenVerifier},
    broker,
    clock::Now,
    control,
    envelope::KeyRing,
    http_client::Access,
    identity_service,
    keys::{self, RingFile},
    net, sanctions,
    sentinel::RuleSet,
    session, store, telemetry,
    throttle::Rule,
    tls::ClientAuth,
    tracer, webhook,
};

/// Everything that the server needs, ready to be used.
#[derive(Debug)]
pub struct Resolved {
    /// Where to listen; at least one.
    pub listeners: Vec<ResolvedListener>,
    /// Who may do what.
    pub policy: Policy,
    /// Who has which password; without it no password is accepted.
    pub passwords: Option<PasswordFile>,
    /// The operators who may see the administrative page; without it there is none.
    pub operators: Option<PasswordFile>,
    /// Whose tokens are believed; without it none are.
    pub tokens: Option<TokenVerifier>,
    /// The keys of envelopes; without it there are none.
    pub key_ring: Option<KeyRing>,
    /// How the HTTP service is reached; without it nobody is asked.
    pub http_access: Option<Access>,
    /// `[http]`.
    pub http: identity_service::Settings,
    /// `[webhook]`: where alerts are posted; without it they are not.
    pub webhook: Option<webhook::Endpoint>,
    /// `[tracing]`: where traces are posted; without it nothing is traced.
    pub tracing: Option<tracer::Endpoint>,
    /// `[auth]`.
    pub auth: auth::Settings,
    /// `[keys]`.
    pub keys: keys::Settings,
    /// `[envelope]`.
    pub envelope: broker::EnvelopeSettings,
    /// `[store]`.
    pub store: store::Settings,
    /// `[audit]`.
    pub audit: audit::Settings,
    /// `[sentinel]` and `[[sentinel.rule]]`.
    pub sentinel: RuleSet,
    /// `[[throttle]]`.
    pub throttles: Vec<Rule>,
    /// `[bans]`.
    pub bans: sanctions::Settings,
    /// `[mqtt]`.
    pub mqtt: session::Settings,
    /// `[broker]`.
    pub broker: broker::Settings,
    /// `[network]`.
    pub network: net::Settings,
    /// Where metrics and health are served; a loopback address.
    pub admin: Option<SocketAddr>,
    /// Where operators speak to the broker.
    pub control: Option<control::Endpoint>,
    /// `[log]`.
    pub log: telemetry::LogSettings,
    /// What is allowed but ought to be known; to be logged at start.
    pub warnings: Vec<String>,
    /// What all of this was made of, to be read anew.
    pub loaded: Loaded,
}

impl Loaded {
    /// Reads the files that the configuration names and checks what is true only of all of it.
    /// Waits for files and, where a listener has a host name, for its lookup.
    ///
    /// # Errors
    /// Everything that is missing, unreadable, broken or does not fit together.
    pub fn resolve(self, now: Now) -> Result<Resolved, ConfigError> {
        let mut findings = Findings::default();
        let listeners = resolve_listeners(&self, now, &mut findings);
        let policy = self.read_policy(&mut findings);
        let passwords = self.read_passwords(&mut findings);
        let tokens = self.read_token_keys(&mut findings);
        let key_ring = self.read_key_ring(&mut findings);
        let http_access = self.read_http_access(&mut findings);
        let webhook = self.read_webhook(&mut findings);
        let tracing = self.read_tracing(&mut findings);
        let throttles = self.throttles(&mut findings);
        let sentinel = self.sentinel_rules(&mut findings);
        self.check_that_somebody_can_log_in(&mut findings);
        self.check_that_clients_can_be_sent_away(&mut findings);
        self.check_that_credentials_can_be_sealed(&mut findings);
        self.check_that_the_store_has_a_key(&mut findings);
        self.check_that_the_audit_log_has_a_key(&mut findings);
        self.check_targets_of_the_log(&mut findings);
        let admin = self.admin_address(&mut findings);
        let operators = self.read_operators(&mut findings);
        let control = self.control(&mut findings);
        match policy {
            Some(policy) if findings.problems.is_empty() => Ok(assemble(
                self,
                listeners,
                Known {
                    policy,
                    passwords,
                    tokens,
                    key_ring,
                    http_access,
                    webhook,
                    tracing,
                    throttles,
                    sentinel,
                },
                Desks { admin, operators, control },
                findings.warnings,
            )),
            _ => Err(ConfigError::of(findings.problems)),
        }
    }

    /// Reads the policy file anew, and what ought to be known of it.
    ///
    /// # Errors
    /// That it is missing, unreadable or broken, and where.
    pub fn policy(&self) -> Result<(Policy, Vec<String>), ConfigError> {
        let mut findings = Findings::default();
        let policy = self.read_policy(&mut findings);
        policy.ok_or(ConfigError::of(findings.problems)).map(|policy| (policy, findings.warnings))
    }

    /// Reads the keys of tokens anew, where there are any, and what ought to be known of them.
    ///
    /// # Errors
    /// That their file is missing, unreadable or broken, and where.
    pub fn tokens(&self) -> Result<(Option<TokenVerifier>, Vec<String>), ConfigError> {
        let mut findings = Findings::default();
        let tokens = self.read_token_keys(&mut findings);
        match findings.problems.is_empty() {
            true => Ok((tokens, findings.warnings)),
            false => Err(ConfigError::of(findings.problems)),
        }
    }

    /// Reads the key ring anew, where there is one.
    ///
    /// # Errors
    /// That it is missing, unreadable, or does not open under the master key.
    pub fn key_ring(&self) -> Result<Option<KeyRing>, ConfigError> {
        let mut findings = Findings::default();
        let ring = self.read_key_ring(&mut findings);
        match findings.problems.is_empty() {
            true => Ok(ring),
            false => Err(ConfigError::of(findings.problems)),
        }
    }

    /// Resolves the listeners anew, with their files.
    ///
    /// # Errors
    /// What is missing, unreadable, broken or does not fit together, and at which of them.
    pub fn listeners(&self) -> Result<Vec<ResolvedListener>, ConfigError> {
        let mut findings = Findings::default();
        let listeners = resolve_listeners(self, Now::read(), &mut findings);
        match findings.problems.is_empty() {
            true => Ok(listeners),
            false => Err(ConfigError::of(findings.problems)),
        }
    }

    /// Reads the configuration file anew, and all that it names, to know that it holds.
    ///
    /// # Errors
    /// As [`Loaded::load`] and [`Self::resolve`].
    pub fn reload(&self) -> Result<(Self, Resolved), ConfigError> {
        let loaded = Self::load(&self.sources)?;
        let resolved = loaded.clone().resolve(Now::read())?;
        Ok((loaded, resolved))
    }

    fn read_policy(&self, findings: &mut Findings) -> Option<Policy> {
        let Some(path) = &self.config.acl.policy_file else {
            findings.problems.push(Problem::missing(
                "there is no policy, so nobody could do anything: set `policy_file` in [acl] (or \
                 BASTIONMQ_ACL_POLICY_FILE); `bastionmq quickstart` makes one to start from",
            ));
            return None;
        };
        let text = self.text_of(path, MAX_POLICY_BYTES as u64, "acl.policy_file", findings)?;
        match self.config.acl.acl_format.parse(&text) {
            Ok(policy) if policy.needs_keys() && self.config.keys.ring_file.is_none() => {
                let message = "[[envelope]] tables verify or seal payloads, and there are no keys: set \
                               `ring_file` in [keys]; `bastionmq keys create` makes one";
                findings.problems.push(Problem::missing(in_file(path, message)));
                None
            }
            Ok(policy) => {
                let said = policy.warnings().iter().map(|warning| in_file(path, warning));
                findings.warnings.extend(said);
                let urls = self.config.listener.iter().map(|it| it.url.as_ref()?.name_when_bound());
                if let Some(urls) = urls.collect::<Option<Vec<_>>>() {
                    let said = policy.warnings_of_listeners(&urls);
                    findings.warnings.extend(said.iter().map(|warning| in_file(path, warning)));
                }
                self.warn_of_throttles_for_nobody(&policy, findings);
                Some(policy)
            }
            Err(errors) => {
                findings.blame(path, &errors);
                None
            }
        }
    }

    fn read_token_keys(&self, findings: &mut Findings) -> Option<TokenVerifier> {
        let settings = &self.config.jwt;
        let Some(path) = settings.key_file.as_deref() else {
            let leeway_seconds = settings.leeway_seconds;
            let silent = auth::TokenSettings { leeway_seconds, ..Default::default() };
            if *settings != silent {
                let message = "[jwt] has no effect without the keys of the issuer: set `key_file`";
                findings.problems.push(Problem::missing(message));
            }
            return None;
        };
        if settings.issuer.is_none() && settings.audience.is_none() {
            findings.warnings.push(
                "[jwt] has neither `issuer` nor `audience`: a token that its keys sign for anything \
                 else lets its bearer in here as well"
                    .to_owned(),
            );
        }
        let text = self.text_of(path, MAX_KEY_FILE_BYTES, "jwt.key_file", findings)?;
        match TokenKeys::parse(&text) {
            Ok(keys) => Some(TokenVerifier::new(keys, settings.clone())),
            Err(error) => {
                findings.blame(path, &[error]);
                None
            }
        }
    }

    fn read_key_ring(&self, findings: &mut Findings) -> Option<KeyRing> {
        let keys = &self.config.keys;
        let file = RingFile::new(keys.ring_file.clone()?, keys.master_key_source()?);
        file.read()
            .map_err(|error| {
                findings.problems.push(self.problem("keys.ring_file", error.to_string()))
            })
            .ok()
    }

    pub(super) fn text_of(
        &self,
        path: &Path,
        limit: u64,
        setting: &str,
        findings: &mut Findings,
    ) -> Option<String> {
        read_text(path, limit)
            .map_err(|message| findings.problems.push(self.problem(setting, message)))
            .ok()
    }

    /// A broker that refuses everybody was not meant to.
    fn check_that_somebody_can_log_in(&self, findings: &mut Findings) {
        if !self.config.lets_somebody_in() {
            findings.problems.push(Problem::missing(
                "nobody could log in: set `password_file` in [auth] (or \
                 BASTIONMQ_AUTH_PASSWORD_FILE), made with `bastionmq passwd add FILE USER`, or \
                 `key_file` in [jwt], or `url` in [http], or ask for client certificates with `client_auth` and \
                 `client_ca` of a listener, or set `allow_anonymous = true` in [auth]",
            ));
        }
    }

    /// Nothing that is made of passwords is written without a key.
    fn check_that_credentials_can_be_sealed(&self, findings: &mut Findings) {
        let Config { auth, keys, .. } = &self.config;
        if auth.credential_cache_file.is_some() && keys.master_key_source().is_none() {
            let setting = "auth.credential_cache_file";
            let message = format!(
                "`{setting}` is sealed under the master key, and there is none: set \
                 `master_key_file` in [keys], a file that is made on first use, or hand it over by \
                 {VARIABLE} or systemd",
                VARIABLE = keys::VARIABLE
            );
            findings.problems.push(self.problem(setting, message));
        }
    }

    /// Nothing is kept on disk that others could read.
    fn check_that_the_store_has_a_key(&self, findings: &mut Findings) {
        let Config { store, keys, .. } = &self.config;
        if store.used_dir().is_some() && keys.master_key_source().is_none() {
            let message = format!(
                "the store is encrypted under the master key, and there is none: set \
                 `master_key_file` in [keys], a file that is made on first use, or hand it over by \
                 systemd's LoadCredential or in {VARIABLE}",
                VARIABLE = keys::VARIABLE
            );
            findings.problems.push(self.problem("store.dir", message));
        }
    }

    /// Nor is there an audit log that others could write.
    fn check_that_the_audit_log_has_a_key(&self, findings: &mut Findings) {
        let Config { audit, keys, .. } = &self.config;
        if audit.dir.is_some() && keys.master_key_source().is_none() {
            let message = format!(
                "the secret of the audit log is sealed under the master key, and there is none: set \
                 `master_key_file` in [keys], a file that is made on first use, or hand it over by \
                 systemd's LoadCredential or in {VARIABLE}",
                VARIABLE = keys::VARIABLE
            );
            findings.problems.push(self.problem("audit.dir", message));
        }
    }

    /// Who is sent away must be told where to.
    fn check_that_clients_can_be_sent_away(&self, findings: &mut Findings) {
        let mqtt = &self.config.mqtt;
        let is_asked_for = [
            ("mqtt.server_moved", mqtt.server_moved),
            ("mqtt.redirect", mqtt.redirect != session::Redirect::default()),
        ];
        for (setting, _) in
            is_asked_for.into_iter().filter(|(_, it)| *it && mqtt.redirection().is_none())
        {
            let message = format!(
                "`{setting}` sends clients to another server, and none is named: set \
                 `server_reference` in [mqtt], such as \"other.example.com:8883\""
            );
            findings.problems.push(self.problem(setting, message));
        }
    }

    fn admin_address(&self, findings: &mut Findings) -> Option<SocketAddr> {
        let address = self.config.admin.address.socket_address()?;
        if !address.ip().to_canonical().is_loopback() {
            let message = format!(
                "`admin.address` is {address}, where others can reach it, and it asks nobody for a \
                 password: use a loopback address such as 127.0.0.1:9883, or off"
            );
            findings.problems.push(self.problem("admin.address", message));
        }
        Some(address)
    }

    /// A problem of a setting, wherever that was written.
    pub(super) fn problem(&self, setting: &str, message: impl Into<String>) -> Problem {
        Problem { origin: self.origins.get(setting).cloned(), message: message.into() }
    }
}

impl Config {
    /// Whether any client could log in anywhere.
    pub(super) fn lets_somebody_in(&self) -> bool {
        let by_transport = self
            .listener
            .iter()
            .any(|it| it.is_unix() || it.proxy_certificates || it.client_auth != ClientAuth::Off);
        let by_password = self.auth.password_file.is_some()
            || self.jwt.key_file.is_some()
            || self.http.url.is_some();
        by_password || self.auth.allow_anonymous || by_transport
    }
}

/// Who is who, and who may do what.
struct Known {
    policy: Policy,
    passwords: Option<PasswordFile>,
    tokens: Option<TokenVerifier>,
    key_ring: Option<KeyRing>,
    http_access: Option<Access>,
    webhook: Option<webhook::Endpoint>,
    tracing: Option<tracer::Endpoint>,
    throttles: Vec<Rule>,
    sentinel: RuleSet,
}

/// Where those who look after the broker turn to.
struct Desks {
    admin: Option<SocketAddr>,
    operators: Option<PasswordFile>,
    control: Option<control::Endpoint>,
}

fn assemble(
    loaded: Loaded,
    listeners: Vec<ResolvedListener>,
    known: Known,
    Desks { admin, operators, control }: Desks,
    warnings: Vec<String>,
) -> Resolved {
    let Known {
        policy,
        passwords,
        tokens,
        key_ring,
        http_access,
        webhook,
        tracing,
        throttles,
        sentinel,
    } = known;
    let Config {
        http, auth, keys, envelope, store, audit, bans, mqtt, broker, network, log, ..
    } = loaded.config.clone();
    Resolved {
        listeners,
        policy,
        passwords,
        operators,
        tokens,
        key_ring,
        http_access,
        http,
        webhook,
        tracing,
        auth,
        keys,
        envelope,
        store,
        audit,
        throttles,
        bans,
        sentinel,
        mqtt,
        broker,
        network,
        admin,
        control,
        log,
        warnings,
        loaded,
    }
}
