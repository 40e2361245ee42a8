//! Operators who look at the administrative page: a password file of their own, so that no password of a
//! client opens it. Their passwords are checked as those of clients are, on a thread of their own.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::Broker;
use super::hashing::HashingPool;
use super::lockouts::{Attempt, Lockouts};
use crate::audit::Event;
use crate::auth::{
    CredentialCache, CredentialMac, HashMemory, INSTALLATION_KEY_BYTES, InstallationKey, Judgement,
    Origin, PasswordFile,
};
use crate::clock::Now;
use crate::identity::Principal;
use crate::secret::Secret;
use crate::sentinel::{self, Kind};
use crate::telemetry::AdminLogin;
use crate::telemetry::logging::excerpt;

/// How long a login may take, with the audit log.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the page listens at, as the sentinel is told.
const LISTENER: &str = "admin";

/// The file in force, if there is one, and who has failed to prove to be one of those in it.
#[derive(Debug)]
pub(super) struct Operators {
    entrance: ArcSwapOption<Entrance>,
    pub(super) lockouts: Lockouts,
}

/// How operators log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorLogins {
    /// Logins that may wait for the thread that checks passwords.
    pub max_waiting: NonZeroU32,
    /// For how long an operator who does not ask again is remembered. Whoever does is not hashed for again.
    pub idle: Duration,
}

/// What operators are let in by. A file that is read anew makes another one, which remembers nobody.
#[derive(Debug)]
struct Entrance {
    file: PasswordFile,
    /// Known to this process alone, and for as long as the file is in force.
    key: InstallationKey,
    proven: Mutex<CredentialCache>,
    logins: OperatorLogins,
    hashing: Arc<HashingPool<bool>>,
}

/// Those who are to be let in, or nobody; not in force yet.
#[derive(Debug)]
pub struct PreparedOperators(Option<Arc<Entrance>>);

/// What becomes of an operator who wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorLogin {
    /// It is who it says.
    In,
    /// It is not.
    Wrong,
    /// Nobody has looked, after too many failures: of this name from this address, or of the address.
    LockedOut,
    /// Nobody has looked: too many others wait.
    Busy,
    /// The audit log, which is strict, cannot be written.
    Unwritten,
    /// Nobody is let in, since there is no password file of operators.
    Off,
}

impl Operators {
    /// Nobody is let in yet.
    pub(super) fn new(lockouts: Lockouts) -> Self {
        Self { entrance: ArcSwapOption::empty(), lockouts }
    }
}

impl Entrance {
    /// Begins with the thread of the file `before`, if it may have as many waiting, or a new one.
    fn new(file: PasswordFile, logins: OperatorLogins, before: Option<&Self>) -> io::Result<Self> {
        let mut key = [0; INSTALLATION_KEY_BYTES];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let hashing = match before.filter(|it| it.logins.max_waiting == logins.max_waiting) {
            Some(before) => Arc::clone(&before.hashing),
            None => Arc::new(HashingPool::start(NonZeroU32::MIN, logins.max_waiting)?),
        };
        let proven = Mutex::new(CredentialCache::new(logins.idle));
        Ok(Self { file, key: InstallationKey::new(key), proven, logins, hashing })
    }

    /// Whether `caller` has proven the same lately, which is then remembered for longer.
    fn remembers(&self, caller: &Arc<str>, mac: &CredentialMac) -> bool {
        let now = Now::read().unix;
        let mut proven = self.proven.lock();
        let is_proven = proven.holds(now, caller, mac);
        if is_proven {
            proven.insert(now, caller, mac.clone());
        }
        is_proven
    }

    fn remember(&self, caller: &Arc<str>, mac: CredentialMac) {
        let now = Now::read().unix;
        let mut proven = self.proven.lock();
        proven.expire(now);
        proven.insert(now, caller, mac);
    }
}

impl Broker {
    /// Lets those operators in from now on who are in `file`, or nobody without one, as `logins` says. Whoever
    /// was in proves its password again.
    ///
    /// # Errors
    /// When the system gives no thread, or no randomness; what was in force stays then.
    pub fn replace_operators(
        &self,
        file: Option<PasswordFile>,
        logins: OperatorLogins,
    ) -> io::Result<()> {
        self.open_to_operators(self.prepare_operators(file, logins)?);
        Ok(())
    }

    /// As [`Self::replace_operators`], but nothing is in force before [`Self::open_to_operators`].
    ///
    /// # Errors
    /// When the system gives no thread, or no randomness.
    pub fn prepare_operators(
        &self,
        file: Option<PasswordFile>,
        logins: OperatorLogins,
    ) -> io::Result<PreparedOperators> {
        let before = self.operators.entrance.load_full();
        let entrance = file.map(|file| Entrance::new(file, logins, before.as_deref()));
        Ok(PreparedOperators(entrance.transpose()?.map(Arc::new)))
    }

    /// Lets those operators in from now on who were prepared for that.
    pub fn open_to_operators(&self, PreparedOperators(entrance): PreparedOperators) {
        self.operators.entrance.store(entrance);
    }

    /// Whether there is a password file of operators.
    #[must_use]
    pub fn has_operators(&self) -> bool {
        self.operators.entrance.load().is_some()
    }

    /// Whether `user` at `address` is an operator who knows its password. Who fails is locked out as clients
    /// are, under a name that no client can have; who comes in, and who is refused, is in the log and in the
    /// audit log. Takes seconds at most.
    pub async fn admit_operator(
        &self,
        user: &str,
        password: Secret,
        address: IpAddr,
    ) -> OperatorLogin {
        let entrance = self.operators.entrance.load_full();
        let Some(entrance) = entrance else { return OperatorLogin::Off };
        let deadline = Instant::now() + PATIENCE;
        let attempt =
            Attempt { user: format!("admin:{user}").into(), origin: Origin::from(address) };
        // First of all: what is remembered must not be guessed at either.
        match self.operators.lockouts.judge(&attempt) {
            Judgement::Admit => {}
            Judgement::Delay(delay) => tokio::time::sleep(delay.min(PATIENCE)).await,
            Judgement::LockedOut(_) => {
                if !self.operators.lockouts.are_written_by(deadline).await {
                    return OperatorLogin::Unwritten;
                }
                self.counts.metrics.admin_logins.increment(AdminLogin::LockedOut);
                self.counts.observe(|| refusal("locked_out", user, address));
                return OperatorLogin::LockedOut;
            }
        }
        let verifier = entrance.file.verifier(user, &entrance.key.decoy_key());
        let mac = entrance.key.mac(user, &password, &verifier.line().unwrap_or_default());
        let caller: Arc<str> = format!("{address} {user}").into();
        if entrance.remembers(&caller, &mac) {
            return OperatorLogin::In;
        }
        let check = move |memory: &mut HashMemory| verifier.verify(&password, memory);
        let login = match entrance.hashing.check(check, deadline).await {
            Ok(true) => OperatorLogin::In,
            Ok(false) => OperatorLogin::Wrong,
            Err(_) => OperatorLogin::Busy,
        };
        let login = self.report_operator(login, &attempt, (user, address), deadline).await;
        if login == OperatorLogin::In {
            entrance.remember(&caller, mac);
        }
        login
    }

    /// Counts a login and writes it down; a success takes effect only where a strict audit log has it.
    async fn report_operator(
        &self,
        login: OperatorLogin,
        attempt: &Attempt,
        (user, address): (&str, IpAddr),
        deadline: Instant,
    ) -> OperatorLogin {
        let name = excerpt(user);
        let result = match login {
            OperatorLogin::In => {
                let event =
                    || Event::OperatorLogin { user: user.to_owned(), address: address.to_string() };
                if !self.may_do(deadline, event).await {
                    return OperatorLogin::Unwritten;
                }
                self.operators.lockouts.succeeded(attempt);
                tracing::info!(user = %name, %address, "an operator has logged in at the page");
                AdminLogin::Accepted
            }
            OperatorLogin::Wrong => {
                self.audit(|| Event::OperatorRefused {
                    user: user.to_owned(),
                    address: address.to_string(),
                });
                tracing::warn!(user = %name, %address, "an operator was refused at the page");
                self.counts.observe(|| refusal("credentials", user, address));
                self.operators.lockouts.failed(attempt);
                AdminLogin::Refused
            }
            _ => {
                self.counts.observe(|| refusal("busy", user, address));
                AdminLogin::Busy
            }
        };
        self.counts.metrics.admin_logins.increment(result);
        login
    }
}

/// That `user` was not let in, as the sentinel sees it.
fn refusal(reason: &'static str, user: &str, address: IpAddr) -> sentinel::Event {
    sentinel::Event {
        principal: Some(Principal::User(excerpt(user).into())),
        address: Some(address),
        listener: Some(LISTENER.into()),
        ..sentinel::Event::new(Kind::OperatorRefused, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Settings;
    use crate::broker::tests::driver::broker_of;

    const LOGINS: OperatorLogins =
        OperatorLogins { max_waiting: NonZeroU32::MIN, idle: Duration::from_secs(300) };

    fn entrance(logins: OperatorLogins, before: Option<&Entrance>) -> Entrance {
        Entrance::new(PasswordFile::default(), logins, before).unwrap()
    }

    fn mac(entrance: &Entrance, user: &str, password: &str) -> CredentialMac {
        entrance.key.mac(user, &Secret::from(password), "the line of the user")
    }

    #[test]
    fn what_was_proven_is_remembered_for_who_proved_it_there_and_for_nothing_else() {
        let entrance = entrance(LOGINS, None);
        let here: Arc<str> = "127.0.0.1 anna".into();
        entrance.remember(&here, mac(&entrance, "anna", "right"));
        assert!(entrance.remembers(&here, &mac(&entrance, "anna", "right")));
        assert!(!entrance.remembers(&here, &mac(&entrance, "anna", "wrong")));
        assert!(!entrance.remembers(&"::1 anna".into(), &mac(&entrance, "anna", "right")));
        assert!(!entrance.remembers(&"127.0.0.1 otto".into(), &mac(&entrance, "otto", "right")));
    }

    #[test]
    fn a_line_that_changes_and_a_file_that_is_read_anew_forget_what_was_proven() {
        let first = entrance(LOGINS, None);
        let here: Arc<str> = "127.0.0.1 anna".into();
        let proven = mac(&first, "anna", "right");
        first.remember(&here, proven.clone());
        let changed = first.key.mac("anna", &Secret::from("right"), "another line");
        assert!(!first.remembers(&here, &changed));
        let second = entrance(LOGINS, Some(&first));
        assert!(!second.remembers(&here, &proven));
        // Nor is it of use anywhere else: each has a key of its own.
        second.remember(&here, proven);
        assert!(!second.remembers(&here, &mac(&second, "anna", "right")));
    }

    #[test]
    fn who_is_prepared_is_in_force_once_that_is_said_and_not_before() {
        let broker = broker_of(Settings::default(), PasswordFile::default());
        let prepared = broker.prepare_operators(Some(PasswordFile::default()), LOGINS).unwrap();
        assert!(!broker.has_operators());
        broker.open_to_operators(prepared);
        assert!(broker.has_operators());
        let nobody = broker.prepare_operators(None, LOGINS).unwrap();
        assert!(broker.has_operators());
        broker.open_to_operators(nobody);
        assert!(!broker.has_operators());
    }

    #[test]
    fn a_thread_is_kept_from_file_to_file_until_others_may_wait_for_it() {
        let first = entrance(LOGINS, None);
        let second = entrance(OperatorLogins { idle: Duration::ZERO, ..LOGINS }, Some(&first));
        assert!(Arc::ptr_eq(&first.hashing, &second.hashing));
        let max_waiting = LOGINS.max_waiting.saturating_add(1);
        let third = entrance(OperatorLogins { max_waiting, ..LOGINS }, Some(&second));
        assert!(!Arc::ptr_eq(&second.hashing, &third.hashing));
    }

    #[test]
    fn the_sentinel_is_told_who_somebody_claims_to_be_and_no_more_than_a_part_of_a_long_name() {
        let address = IpAddr::from([127, 0, 0, 1]);
        let event = refusal("credentials", "anna", address);
        assert_eq!((event.kind, event.reason), (Kind::OperatorRefused, "credentials"));
        assert_eq!(event.principal, Some(Principal::User("anna".into())));
        assert_eq!((event.address, event.listener.as_deref()), (Some(address), Some("admin")));
        assert!(event.client.is_none());
        let long = refusal("locked_out", &"x".repeat(60_000), address).principal.unwrap();
        assert!(long.name().is_some_and(|name| name.len() <= 256));
    }
}
