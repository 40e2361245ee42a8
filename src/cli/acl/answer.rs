//! What an HTTP service says of a client, as a file or a table has it.

use std::sync::Arc;
use std::time::Duration;

use crate::identity::Principal;
use crate::identity_service::{Admission, Answer};

/// What the service says of a client that it lets in.
pub(super) type Said = Option<Arc<Admission>>;

/// Reads the `json` that the service has answered to a question about `principal`.
///
/// # Errors
/// Why such a client would not be let in at `time`: then there is nothing to ask of a policy.
pub(super) fn read(json: &[u8], principal: &Principal, time: Duration) -> Result<Said, String> {
    let Principal::Http(user) = principal else {
        return Err("only an HTTP service answers: the client is one of `http`".to_owned());
    };
    let answer = Answer::read(json, user)
        .map_err(|fault| format!("by this answer nobody is let in: {fault}"))?;
    match answer {
        Answer::Allow(admission) if admission.ends.is_some_and(|ends| ends <= time) => {
            Err("by this answer the login has expired: `expire_at` has passed".to_owned())
        }
        Answer::Allow(admission) => Ok(Some(admission)),
        Answer::Deny => Err("by this answer the client is not let in".to_owned()),
        Answer::Ignore => Err("by this answer the service does not know the client".to_owned()),
    }
}
