//! Lists of authenticators, and what is offered to them.

use std::sync::Arc;

use super::{Offer, Refused, Verdict};
use crate::auth::{Authenticator, Authenticators, HashParameters, PasswordFile, hash};
use crate::broker::exchange::Proof;
use crate::broker::tests::driver::{broker_of, connect_request, patience, peer};
use crate::broker::{Broker, Settings};
use crate::codec::ReasonCode;
use crate::identity::Credentials;
use crate::secret::Secret;

const APPLE: Option<&str> = Some("apple");
const ANN: Option<&str> = Some("ann");

/// Knows ann, whose password is apple, and bob, whose is banana.
fn broker() -> Arc<Broker> {
    let cheap = HashParameters::new(8, 1, 1).expect("parameters");
    let mut users = PasswordFile::default();
    for (user, password) in [("ann", "apple"), ("bob", "banana")] {
        let hash = hash(&Secret::from(password), cheap, [7; 16]).expect("a hash");
        users.set(user, &hash).expect("a user");
    }
    broker_of(Settings::default(), users)
}

/// What a client sends: the name in its certificate, its user name and its password.
type Sent<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);

async fn verdict(broker: &Broker, list: &str, (certificate, user, password): Sent<'_>) -> Verdict {
    let names = list.split(',').map(|name| name.parse().expect("a name")).collect();
    let authenticators = Authenticators::new(names).expect("a list");
    let request = connect_request(Credentials {
        user_name: user.map(Arc::from),
        password: password.map(Secret::from),
    });
    let peer = peer(certificate);
    let offer = Offer::new(&peer, &request, Proof::Credentials);
    broker.find_out(offer, &authenticators, patience()).await
}

/// Who it is, as `authenticator principal`, or why not, as `authenticator reason: why`.
async fn said(broker: &Broker, list: &str, sent: Sent<'_>) -> String {
    let Verdict { by, outcome } = verdict(broker, list, sent).await;
    let by = by.map_or("nobody", Authenticator::name);
    match outcome {
        Ok(proven) => format!("{by} {}", proven.principal),
        Err(Refused { refusal, why, .. }) => format!("{by} {:?}: {why}", refusal.reason),
    }
}

#[tokio::test]
async fn each_takes_what_is_for_it_and_leaves_the_rest() {
    let broker = broker();
    let list = "certificate,scram,password,anonymous";
    let cases: [(Sent<'_>, &str); 6] = [
        ((None, None, None), "anonymous anonymous"),
        ((Some("dev"), None, None), "certificate certificate:dev"),
        ((None, ANN, APPLE), "password user:ann"),
        ((Some("dev"), ANN, APPLE), "password user:ann"),
        ((None, ANN, Some("pear")), "password BadUserNameOrPassword: bad user name or password"),
        ((None, Some("eve"), APPLE), "password BadUserNameOrPassword: bad user name or password"),
    ];
    for (sent, answer) in cases {
        assert_eq!(said(&broker, list, sent).await, answer, "{sent:?}");
    }
}

#[tokio::test]
async fn r21_no_proof_is_ignored_whatever_else_would_let_its_client_in() {
    let broker = broker();
    let list = "certificate,password,anonymous";
    let long = "x".repeat(60_000);
    for certificate in [None, Some("dev")] {
        for sent in [
            (ANN, None),
            (None, APPLE),
            (Some(""), Some("")),
            (ANN, Some("")),
            (Some(""), APPLE),
            (Some("\0"), Some("\0")),
            (ANN, Some(&*long)),
            (Some(&*long), APPLE),
            (Some(""), None),
            (None, Some("")),
        ] {
            let Verdict { outcome, .. } =
                verdict(&broker, list, (certificate, sent.0, sent.1)).await;
            let refused = outcome.expect_err("let in");
            assert_eq!(refused.reason(), ReasonCode::BadUserNameOrPassword, "{sent:?}");
            assert_eq!(refused.refusal.text, "bad user name or password");
        }
    }
}

#[tokio::test]
async fn u11_what_no_authenticator_takes_is_refused_and_the_log_says_so() {
    let broker = broker();
    let cases: [(&str, Sent<'_>, &str); 5] = [
        (
            "certificate",
            (Some("dev"), ANN, APPLE),
            "nobody BadUserNameOrPassword: no authenticator of this listener takes a user and a \
             password",
        ),
        (
            "password",
            (Some("dev"), None, None),
            "nobody NotAuthorized: no authenticator of this listener takes a certificate alone",
        ),
        (
            "anonymous",
            (Some("dev"), None, None),
            "nobody NotAuthorized: no authenticator of this listener takes a certificate alone",
        ),
        ("password", (None, None, None), "nobody NotAuthorized: no credentials"),
        (
            "password",
            (None, ANN, None),
            "nobody BadUserNameOrPassword: a user name without a password",
        ),
    ];
    for (list, sent, answer) in cases {
        assert_eq!(said(&broker, list, sent).await, answer, "{list} {sent:?}");
    }
}

#[tokio::test]
async fn where_both_are_asked_for_neither_is_enough_and_they_name_the_same_user() {
    let broker = broker();
    let list = "certificate+password";
    let cases: [(Sent<'_>, &str); 6] = [
        ((ANN, ANN, APPLE), "certificate+password user:ann"),
        (
            (ANN, ANN, Some("pear")),
            "certificate+password BadUserNameOrPassword: bad user name or password",
        ),
        (
            (Some("bob"), ANN, APPLE),
            "certificate+password BadUserNameOrPassword: the user name is not the one in the \
             certificate",
        ),
        (
            (ANN, None, None),
            "certificate+password NotAuthorized: a certificate without the user name and password \
             that go with it",
        ),
        (
            (None, ANN, APPLE),
            "nobody BadUserNameOrPassword: no authenticator of this listener takes a user and a \
             password",
        ),
        ((None, None, None), "nobody NotAuthorized: no credentials"),
    ];
    for (sent, answer) in cases {
        assert_eq!(said(&broker, list, sent).await, answer, "{sent:?}");
    }
}
