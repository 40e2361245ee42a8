//! What decides who may do what: the policy of now, and whether an identity still holds. A generation
//! tells connections when what they have decided is out of date.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use thiserror::Error;
use tokio::sync::Notify;

use super::gate::Who;
use super::passwords::Passwords;
use crate::acl::{Permit, Policy, Subject};
use crate::auth::{KeyFingerprint, PasswordFile, PasswordProof, TokenVerifier};
use crate::clock::Now;
use crate::identity::ClientCertificate;
use crate::telemetry::Revocation;
use crate::tls::ListenerTls;
use crate::topic::TopicName;

/// Everything that is asked before anything is allowed. Each part is replaced whole.
#[derive(Debug)]
pub(super) struct Authority {
    policy: ArcSwap<Policy>,
    passwords: Arc<Passwords>,
    /// Who judges the certificates of each listener, by its URL.
    listeners: ArcSwapOption<HashMap<Arc<str>, Arc<ListenerTls>>>,
    tokens: ArcSwapOption<TokenVerifier>,
    generation: AtomicU64,
    /// The hour that permits are made for: seconds since the Unix epoch.
    hour: AtomicU64,
    /// Rung with every change.
    changed: Notify,
}

/// What the identity of a client rests on, beyond its name: all of it must go on being true.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The user has proven its password by this.
    pub(super) password: Option<PasswordProof>,
    /// It has shown this certificate.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    /// This key has signed its token.
    pub(super) token_key: Option<Box<KeyFingerprint>>,
    /// Whoever has let it in has said since that it may not stay.
    pub(super) is_taken_back: bool,
}

/// A client is not any more who it has proven to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("its identity was taken back: {}", .0.name())]
pub(super) struct Revoked(pub(super) Revocation);

impl Authority {
    pub(super) fn new(
        policy: Policy,
        passwords: Arc<Passwords>,
        tokens: Option<TokenVerifier>,
        now: Now,
    ) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            passwords,
            listeners: ArcSwapOption::empty(),
            tokens: ArcSwapOption::from_pointee(tokens),
            generation: AtomicU64::new(0),
            hour: AtomicU64::new(now.unix.as_secs()),
            changed: Notify::new(),
        }
    }

    /// Changes with every part that is replaced. What was decided under another generation may not be
    /// true any more.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Some rules hold at some hours only. Where one has begun or ended since the last call, be it by a
    /// clock that was set, what was decided is out of date.
    pub(super) fn keep_time(&self, now: Now) {
        let then = Duration::from_secs(self.hour.swap(now.unix.as_secs(), Ordering::AcqRel));
        let policy = self.policy.load();
        let was_set_back = now.unix < then && policy.changes_after(now.unix).is_some();
        if was_set_back || policy.changes_after(then).is_some_and(|change| change <= now.unix) {
            self.has_changed();
        }
    }

    /// Puts another policy in force: every decision from now on is its.
    pub(super) fn replace_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
        self.has_changed();
    }

    /// Puts other passwords in force: whoever has proven one that is not kept any more is nobody.
    pub(super) fn replace_passwords(&self, file: PasswordFile) {
        self.passwords.replace(file);
        self.has_changed();
    }

    /// Says who judges the certificates that clients show: before the first of them comes, and whenever
    /// there are other listeners.
    pub(super) fn judge_certificates_by(&self, listeners: HashMap<Arc<str>, Arc<ListenerTls>>) {
        self.listeners.store(Some(Arc::new(listeners)));
        self.has_changed();
    }

    /// Believes other tokens: whoever has shown one of a key that is gone is nobody.
    pub(super) fn replace_tokens(&self, tokens: Option<TokenVerifier>) {
        self.tokens.store(tokens.map(Arc::new));
        self.has_changed();
    }

    /// Whose tokens are believed now, where any are.
    pub(super) fn tokens(&self) -> Option<Arc<TokenVerifier>> {
        self.tokens.load_full()
    }

    /// After a part has been replaced: whoever sees the new generation sees the new part.
    pub(super) fn has_changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// Returns once anything has changed since this last returned.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether payloads of `topic` are envelopes now.
    pub(super) fn has_envelopes(&self, topic: &TopicName) -> bool {
        self.policy.load().has_envelopes(topic.borrowed())
    }

    /// What `who` may do now.
    ///
    /// # Errors
    /// That it is nobody any more.
    pub(super) fn permit(&self, who: &Who) -> Result<Permit, Revoked> {
        self.check(who)?;
        let subject = Subject {
            principal: &who.principal,
            client_id: &who.client_id,
            attributes: &who.attributes,
            listener: &who.listener,
            security: who.security,
            time: Duration::from_secs(self.hour.load(Ordering::Acquire)),
        };
        let permit = self.policy.load().permit(&subject);
        Ok(match &who.rules {
            Some(rules) => permit.with_rules(rules, &subject),
            None => permit,
        })
    }

    fn check(&self, who: &Who) -> Result<(), Revoked> {
        if who.standing.is_taken_back {
            return Err(Revoked(Revocation::HttpService));
        }
        self.check_certificate(who)?;
        if let Some(key) = &who.standing.token_key
            && !self.tokens.load().as_ref().is_some_and(|tokens| tokens.has_key(key))
        {
            return Err(Revoked(Revocation::TokenKeyRemoved));
        }
        let Some(proof) = who.standing.password else { return Ok(()) };
        let (file, user) = (self.passwords.file(), who.principal.name().unwrap_or_default());
        if file.upholds(user, proof) {
            return Ok(());
        }
        Err(Revoked(match file.has(user) {
            true => Revocation::PasswordChanged,
            false => Revocation::UserRemoved,
        }))
    }

    /// A listener that has read nothing anew since the handshake would say what it said then. A
    /// certificate that has expired since has not been taken back, unless it would not have been believed
    /// in its last second either: its connection ends by its lease, and its session waits.
    fn check_certificate(&self, who: &Who) -> Result<(), Revoked> {
        let certificate = who.standing.certificate.as_ref();
        let Some(evidence) = certificate.and_then(|it| it.evidence.as_ref()) else { return Ok(()) };
        let listeners = self.listeners.load();
        let Some(listeners) = listeners.as_ref() else { return Ok(()) };
        let distrusted = Revoked(Revocation::Certificate);
        let listener = listeners.get(&who.listener).ok_or(distrusted)?;
        if listener.generation() == evidence.generation {
            return Ok(());
        }
        let last = evidence.ends.saturating_sub(Duration::from_secs(1));
        let now = Now::read();
        let while_it_held = Now { unix: now.unix.min(last), ..now };
        listener.judge(evidence, while_it_held).map_err(|_| distrusted)
    }
}
