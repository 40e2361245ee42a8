//! Who speaks: a principal of each kind, in each version that has it.

use std::sync::{Arc, OnceLock};

use super::super::driver::{Driver, Visit, parts};
use super::super::scram_client::Scram;
use super::service;
use crate::auth::{HashParameters, PasswordFile, SCRAM_SHA_256, ScramVerifier, hash};
use crate::broker::{Broker, Parts};
use crate::codec::{Auth, Connect, ConnectProperties, Packet, ReasonCode, Version};
use crate::secret::Secret;

const NAME: &str = "ann";
const PASSWORD: &str = "apple";
/// The one that the HTTP service knows.
const HTTP_PASSWORD: &str = "apricot";
/// A principal whose permissions never change.
const OTHER: &str = "other";

/// How it proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Anonymous,
    Password,
    Scram,
    Certificate,
    Http,
}

/// One whose permissions are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Person {
    pub(super) version: Version,
    kind: Kind,
}

impl Person {
    /// Every kind in every version; SCRAM is of 5.0 alone.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let kinds = [Kind::Anonymous, Kind::Password, Kind::Scram, Kind::Certificate, Kind::Http];
        let versions = [Version::V31, Version::V311, Version::V5];
        kinds
            .into_iter()
            .flat_map(move |kind| versions.map(|version| Self { version, kind }))
            .filter(|person| person.kind != Kind::Scram || person.version == Version::V5)
    }

    /// A broker that knows who this is.
    pub(super) fn broker(self) -> Arc<Broker> {
        let parts = parts(users().clone());
        let service = (self.kind == Kind::Http).then(|| service::that_knows(HTTP_PASSWORD));
        let parts = Parts { identity_service: service, ..parts };
        Arc::new(Broker::new(parts).expect("threads"))
    }

    /// Connects; the reason code where it is not let in.
    pub(super) fn enter(
        self,
        broker: &Arc<Broker>,
        visit: Visit,
    ) -> Result<(Driver, bool), ReasonCode> {
        let certificate = (self.kind == Kind::Certificate).then_some(NAME);
        let driver = Driver::stranger_with(broker, self.version, certificate);
        let connect = visit.connect(self.version);
        match self.kind {
            Kind::Anonymous | Kind::Certificate => admitted(driver, connect),
            Kind::Password | Kind::Http => {
                let password = if self.kind == Kind::Http { HTTP_PASSWORD } else { PASSWORD };
                let (user_name, password) = (Some(NAME), Some(password.as_bytes()));
                admitted(driver, Connect { user_name, password, ..connect })
            }
            Kind::Scram => proven(driver, connect),
        }
    }
}

/// A client of 5.0 that may do anything, always.
pub(super) fn other(broker: &Arc<Broker>, id: &'static str) -> Driver {
    let driver = Driver::stranger_with(broker, Version::V5, Some(OTHER));
    admitted(driver, Visit::of(id).connect(Version::V5)).expect("it is let in").0
}

/// The password file has the password of the person.
fn users() -> &'static PasswordFile {
    static USERS: OnceLock<PasswordFile> = OnceLock::new();
    USERS.get_or_init(|| {
        let password = Secret::from(PASSWORD);
        let cheap = HashParameters::new(8, 1, 1).expect("parameters");
        let mut users = PasswordFile::default();
        users.set(NAME, &hash(&password, cheap, [7; 16]).expect("a hash")).expect("a user");
        let verifier = ScramVerifier::new(&password, 4_096, [7; 16]).expect("a verifier");
        users.set_scram(NAME, verifier).expect("a user");
        users
    })
}

fn admitted(mut driver: Driver, connect: Connect<'_>) -> Result<(Driver, bool), ReasonCode> {
    driver.say(&Packet::Connect(Box::new(connect)));
    answered(driver)
}

fn proven(mut driver: Driver, connect: Connect<'_>) -> Result<(Driver, bool), ReasonCode> {
    let mut scram = Scram::new(NAME, PASSWORD);
    let first = scram.first();
    let properties = ConnectProperties {
        authentication_method: Some(SCRAM_SHA_256),
        authentication_data: Some(&first),
        ..connect.properties.clone()
    };
    driver.say(&Packet::Connect(Box::new(Connect { properties, ..connect })));
    let packets = driver.heard();
    let [Packet::Auth(challenge)] = packets.as_slice() else { panic!("{packets:?}") };
    let last = scram.last(challenge.authentication_data.as_deref().expect("a challenge"));
    let reason = ReasonCode::ContinueAuthentication;
    driver.say(&Packet::Auth(Auth::new(reason, SCRAM_SHA_256, Some(last.into()))));
    answered(driver)
}

/// Waits for the CONNACK: a password is checked on another thread, or by a service.
fn answered(mut driver: Driver) -> Result<(Driver, bool), ReasonCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(driver.log_in());
    driver.greeted().map(|is_resumed| (driver, is_resumed))
}
