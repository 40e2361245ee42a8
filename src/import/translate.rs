//! A whole configuration of Mosquitto: its files read, and the files of this broker made.

use std::path::Path;

use super::acl_file::{self, Certificates};
use super::conf_tree::{Listener, Tree};
use super::dynamic_roles;
use super::dynamic_security::DynamicSecurity;
use super::finding::{Finding, Findings, Place};
use super::listeners::{self, Logins};
use super::log;
use super::output::{Config, Files, PASSWORDS, POLICY, heading};
use super::policy_text::PolicyText;
use super::security::{self, Named, Security};
use super::settings;
use super::source::{ImportError, Mapping, Source};
use super::users::Users;
use crate::acl::mosquitto::AclFile;

/// What has become of a configuration.
pub struct Imported {
    /// The files of this broker.
    pub files: Files,
    /// What is not the same as before.
    pub findings: Vec<Finding>,
}

/// Translates the `mosquitto.conf` at `path` and the files that it names. A path in it that begins
/// as one of `mappings` is looked for where that says.
///
/// # Errors
/// When a file cannot be read, or holds what Mosquitto would not start with.
pub fn mosquitto(path: &Path, mappings: &[Mapping]) -> Result<Imported, ImportError> {
    let source = Source::of(path, mappings);
    let tree = Tree::read(path, &source)?;
    let mut translation = Translation {
        path,
        source: &source,
        config: Config::default(),
        findings: Findings::default(),
        users: Users::default(),
    };
    translation.run(tree)
}

struct Translation<'a> {
    path: &'a Path,
    source: &'a Source<'a>,
    config: Config,
    findings: Findings,
    users: Users,
}

impl Translation<'_> {
    fn run(&mut self, mut tree: Tree) -> Result<Imported, ImportError> {
        let general = security::take(&mut tree.settings, &mut self.findings)?;
        let mut of_listeners = Vec::new();
        for listener in &mut tree.listeners {
            let own = security::take(&mut listener.settings, &mut self.findings)?;
            of_listeners.push(if tree.per_listener { own } else { general.clone() });
        }
        let security = Self::common_security(&of_listeners);
        settings::translate(&tree.settings, &mut self.config, &mut self.findings)?;
        log::translate(&tree.settings, self.source, &mut self.config, &mut self.findings)?;
        self.limits_of_listeners(&tree.listeners)?;
        let certificates = certificates(&tree.listeners)?;
        let policy = self.permissions(&security, certificates)?;
        self.listeners(&tree, &of_listeners, &security)?;
        self.bridges(&tree);
        let findings = std::mem::take(&mut self.findings).0;
        Ok(Imported { files: self.files(&policy), findings })
    }

    /// What one broker has once: the files of the first listener that has any.
    fn common_security(all: &[Security]) -> Security {
        let first = |file: fn(&Security) -> Option<&Named>| all.iter().find_map(file).cloned();
        Security {
            allow_anonymous: None,
            password_file: first(|it| it.password_file.as_ref()),
            acl_file: first(|it| it.acl_file.as_ref()),
            dynamic_security: first(|it| it.dynamic_security.as_ref()),
        }
    }

    fn limits_of_listeners(&mut self, all: &[Listener]) -> Result<(), ImportError> {
        if let Some(qos) = listeners::common(all, &["max_qos", "maximum_qos"], &mut self.findings) {
            let most = qos.number()?.clamp(0, 2);
            self.config.section("mqtt").set("maximum_qos", most, Some(&qos.place));
        }
        let connections = listeners::common(all, &["max_connections"], &mut self.findings);
        let Some(connections) = connections else { return Ok(()) };
        let most = connections.number()?;
        if most > 0 {
            let listeners = i64::try_from(all.len()).unwrap_or(1);
            let most = most.saturating_mul(listeners).min(i64::from(u32::MAX));
            self.config.section("broker").set("max_connections", most, Some(&connections.place));
        }
        Ok(())
    }

    fn permissions(
        &mut self,
        security: &Security,
        certificates: Certificates,
    ) -> Result<PolicyText, ImportError> {
        let policy = if let Some(named) = &security.dynamic_security {
            let path = self.source.locate(&named.name);
            let text = self.source.read(&path, Some(&named.place))?;
            let content = DynamicSecurity::parse(&path, &text)?;
            let place = Place { file: path.into(), line: 1 };
            if let Some(acl) = &security.acl_file {
                let remedy = "the roles of the dynamic security plugin are the policy: add these \
                              rules to it";
                self.findings.missing(&acl.place, format!("acl_file {}", acl.name), remedy);
            }
            let (users, findings) = (&mut self.users, &mut self.findings);
            dynamic_roles::roles(&place, &content, certificates, users, findings)
        } else if let Some(named) = &security.acl_file {
            let path = self.source.locate(&named.name);
            let text = self.source.read(&path, Some(&named.place))?;
            let acl = AclFile::parse(&text)
                .map_err(|errors| ImportError::Acl { file: path.clone(), errors })?;
            acl_file::roles(&path, &acl, certificates, &mut self.findings)
        } else {
            let place = Place { file: self.path.into(), line: 0 };
            let remedy = "without one everybody who logs in may do everything, and so it is in \
                          policy.toml: say there who may do what";
            self.findings.note(&place, "there is no acl_file", remedy);
            PolicyText::open(&place)
        };
        if let Some(named) = &security.password_file {
            let path = self.source.locate(&named.name);
            let text = self.source.read(&path, Some(&named.place))?;
            self.users.read(&path, &text, &mut self.findings);
        }
        Ok(if policy.assignments.is_empty() { PolicyText::closed() } else { policy })
    }

    fn listeners(
        &mut self,
        tree: &Tree,
        security: &[Security],
        common: &Security,
    ) -> Result<(), ImportError> {
        let file = Place { file: self.path.into(), line: 0 };
        // Without a listener Mosquitto lets in whoever is on its machine.
        let by_default = tree.is_local_only().then_some((true, file));
        let said: Vec<_> = security
            .iter()
            .map(|security| by_default.clone().or_else(|| security.allow_anonymous.clone()))
            .collect();
        let anonymous: Vec<bool> = said.iter().map(|it| matches!(it, Some((true, _)))).collect();
        let differ = anonymous.iter().any(|it| Some(it) != anonymous.first());
        if let Some((_, place)) = said.iter().flatten().find(|(is_so, _)| *is_so) {
            self.config.section("auth").set("allow_anonymous", true, Some(place));
            let remedy = "whoever sends a user name is asked for its password: Mosquitto takes the \
                          word of clients where there is no password file";
            self.findings.note(place, "anonymous clients are let in", remedy);
        }
        for ((listener, own), anonymous) in tree.listeners.iter().zip(security).zip(anonymous) {
            if let Some(other) = own.other_than(common) {
                let remedy = "all listeners share one list of users and one policy, those of the \
                              first that has any, so this listener is left out: run a broker of its \
                              own for it, or join the files";
                self.findings.missing(&other.place, &other.name, remedy);
                continue;
            }
            let logins = Logins { passwords: !self.users.is_empty(), anonymous, differ };
            let section = listeners::translate(listener, logins, self.source, &mut self.findings)?;
            self.config.listeners.extend(section);
        }
        Ok(())
    }

    fn bridges(&mut self, tree: &Tree) {
        for bridge in &tree.bridges {
            let remedy = "there are no bridges: let a program of yours carry the messages, \
                          mosquitto_sub and mosquitto_pub will do, or let the Mosquitto at the other \
                          end keep the bridge";
            self.findings.missing(&bridge.place, bridge.shown(), remedy);
        }
    }

    fn files(&mut self, policy: &PolicyText) -> Files {
        let source = self.path.display().to_string();
        self.config.section("acl").set_text("policy_file", POLICY, None);
        let passwords = (!self.users.is_empty()).then(|| heading(&source) + &self.users.to_text());
        if passwords.is_some() {
            self.config.section("auth").set_text("password_file", PASSWORDS, None);
        }
        Files {
            config: self.config.to_text(&source),
            policy: format!("{}{policy}", heading(&source)),
            passwords,
        }
    }
}

fn certificates(all: &[Listener]) -> Result<Certificates, ImportError> {
    for listener in all {
        if listeners::names_users(listener)? {
            return Ok(Certificates::NameUsers);
        }
    }
    Ok(Certificates::NameNobody)
}
