//! What a token says of its bearer (RFC 7519 section 4).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::TokenFault;
use super::object::Object;
use crate::auth::check_user_name;
use crate::identity::{Attribute, AttributeSource, Attributes};

/// Values that are remembered of one token.
const MAX_VALUES: usize = 256;
/// Claims about the token rather than its bearer.
const OF_THE_TOKEN: [&str; 4] = ["exp", "iat", "jti", "nbf"];

/// The claims of a token whose signature is right.
#[derive(Debug)]
pub(super) struct Claims {
    object: Object,
    /// `exp`, since the Unix epoch.
    pub(super) expires: Duration,
    /// `nbf`, since the Unix epoch.
    pub(super) not_before: Option<Duration>,
}

impl Claims {
    /// A token without `exp` is refused: it could never be got rid of but with its key.
    pub(super) fn read(object: Object) -> Result<Self, TokenFault> {
        let expires = date(&object, "exp")?.ok_or(TokenFault::NoExpiry)?;
        let not_before = date(&object, "nbf")?;
        object.text("iss")?;
        if object.iter().flat_map(|(name, value)| values(name, value)).count() > MAX_VALUES {
            return Err(TokenFault::TooManyClaims);
        }
        Ok(Self { object, expires, not_before })
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.object.value("iss").and_then(Value::as_str)
    }

    /// A token that says whom it is for is for nobody else (RFC 7519 section 4.1.3).
    pub(super) fn check_audience(&self, ours: Option<&str>) -> Result<(), TokenFault> {
        let audience = self.object.value("aud");
        let Some(ours) = ours else {
            return if audience.is_none() { Ok(()) } else { Err(TokenFault::AudienceUnset) };
        };
        let is_ours = match audience {
            None => false,
            Some(Value::String(text)) => text == ours,
            Some(Value::Array(all)) => all.iter().any(|each| each.as_str() == Some(ours)),
            Some(_) => return Err(TokenFault::Type("aud")),
        };
        if is_ours { Ok(()) } else { Err(TokenFault::Audience) }
    }

    /// The principal, by the claim that names it.
    pub(super) fn subject(&self, claim: &str) -> Result<Arc<str>, TokenFault> {
        let subject = self.object.value(claim).and_then(Value::as_str);
        let subject = subject.ok_or(TokenFault::NoSubject)?;
        // Issuers write `client:7` and `google-oauth2|7`: what holds for a line of a password file
        // does not hold here, but a name is no longer, and hides nothing.
        let is_fit = check_user_name(&subject.replace(':', "_")).is_ok();
        if is_fit { Ok(Arc::from(subject)) } else { Err(TokenFault::Subject) }
    }

    /// Everything that it says of its bearer.
    pub(super) fn attributes(&self) -> Attributes {
        let of_bearer = self.object.iter().filter(|(name, _)| !OF_THE_TOKEN.contains(name));
        let attributes = of_bearer.flat_map(|(name, value)| {
            let shared: Arc<str> = Arc::from(name);
            values(name, value).map(move |value| Attribute {
                source: AttributeSource::Token,
                name: Arc::clone(&shared),
                value: Arc::from(value),
            })
        });
        attributes.collect()
    }
}

/// The texts and numbers of one claim: itself, those in its list, or the words of a `scope` (RFC 8693
/// section 4.2).
fn values(name: &str, value: &Value) -> impl Iterator<Item = String> {
    let values = match value {
        Value::String(scopes) if name == "scope" => {
            scopes.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Value::Array(all) => all.iter().filter_map(text_of).collect(),
        other => text_of(other).into_iter().collect::<Vec<_>>(),
    };
    values.into_iter()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A NumericDate (RFC 7519 section 2): seconds, with a fraction or without.
fn date(object: &Object, name: &'static str) -> Result<Option<Duration>, TokenFault> {
    let Some(value) = object.value(name) else { return Ok(None) };
    let whole = value.as_u64().map(Duration::from_secs);
    let date = whole.or_else(|| Duration::try_from_secs_f64(value.as_f64()?).ok());
    date.map(Some).ok_or(TokenFault::Type(name))
}
