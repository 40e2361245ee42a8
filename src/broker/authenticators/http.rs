//! `http`: a user and its password, judged by a service of the operator's.

use std::sync::Arc;

use super::{Answer, Offer, Proven, Refused};
use crate::auth::check_user_name;
use crate::broker::Broker;
use crate::broker::login::Patience;
use crate::clock::Now;
use crate::codec::ReasonCode;
use crate::identity::Principal;
use crate::identity_service::{self as service, Admission, Failure, Question};
use crate::session::Refusal;

/// What no service should have to be careful with is refused here: see [`fit`].
pub(super) async fn ask(
    broker: &Broker,
    offer: &mut Offer<'_>,
    patience: Patience<impl Future<Output = ()>>,
) -> Answer {
    let (Some(user), Some(password)) = (offer.user_name, offer.password) else {
        return Answer::NotMine;
    };
    let Some(service) = &broker.identity_service else { return Answer::NotMine };
    let password = match fit(user, password.expose()) {
        Ok(password) => password,
        Err(why) => return Answer::Refused(Refused::bad_credentials(why)),
    };
    let Patience { deadline, departure } = patience;
    let answer = tokio::select! {
        answer = service.ask(offer.question(user, password), deadline) => answer,
        // Nobody waits for the answer: the next one has its turn.
        () = departure => Err(Failure::Busy),
    };
    match answer {
        Ok(service::Answer::Allow(admission)) => let_in(user, &admission),
        Ok(service::Answer::Deny) => {
            Answer::Refused(Refused::bad_credentials("the HTTP service does not let it in"))
        }
        Ok(service::Answer::Ignore) => {
            offer.is_unknown = true;
            Answer::NotMine
        }
        Err(Failure::Busy) => Answer::Refused(Refused::busy("too many logins at once")),
        Err(failure) => Answer::Refused(Refused::unavailable(failure.to_string())),
    }
}

/// The password as text, where it can be asked about. To many a directory an empty one means to ask
/// for nobody in particular, and that succeeds; and a null character ends a text.
fn fit<'a>(user: &str, password: &'a [u8]) -> Result<&'a str, &'static str> {
    // What holds for a line of a password file does not hold here, but a name is no longer, and hides
    // nothing.
    if check_user_name(&user.replace(':', "_")).is_err() {
        return Err("this cannot be the name of a user");
    }
    if password.is_empty() || password.contains(&0) {
        return Err("the password is empty, or holds a null character");
    }
    std::str::from_utf8(password).map_err(|_| "the password is not UTF-8 text")
}

fn let_in(user: &Arc<str>, admission: &Admission) -> Answer {
    if admission.ends.is_some_and(|ends| ends <= Now::read().unix) {
        let text = "the login has expired";
        return Answer::Refused(Refused::from(Refusal::new(ReasonCode::NotAuthorized, text)));
    }
    Answer::Proven(Proven {
        attributes: admission.attributes.clone(),
        ends: admission.ends,
        rules: admission.rules.clone(),
        ..Proven::new(Principal::Http(Arc::clone(user)))
    })
}

impl<'a> Offer<'a> {
    fn question<'q>(&'q self, username: &'q str, password: &'q str) -> Question<'q>
    where
        'a: 'q,
    {
        let peer = self.peer;
        Question {
            username,
            password: Some(password),
            clientid: self.client_id,
            peerhost: peer.address.ip(),
            listener: &peer.listener,
            transport: peer.security.name(),
            protocol: self.version.name(),
            certificate: peer.certificate.as_ref().map(|shown| &*shown.name),
            again: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r21_what_a_service_could_stumble_over_is_not_asked_about() {
        let long = "x".repeat(65_535);
        for user in ["", "\0", "ann\0", " ann", "a\nb", "\u{feff}ann", &long] {
            assert!(fit(user, b"apple").is_err(), "{user:.10?}");
        }
        for password in [&b""[..], b"\0", b"apple\0", b"app\0le", b"\xff\xfe"] {
            assert!(fit("ann", password).is_err(), "{password:?}");
        }
        assert_eq!(fit("google:ann", b"apple"), Ok("apple"));
        assert_eq!(fit("ann", long.as_bytes()).map(str::len), Ok(65_535));
    }
}
