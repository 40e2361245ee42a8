//! Why a token is not believed.

use thiserror::Error;

/// What is wrong with a token. Nothing of it is quoted: it may be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenFault {
    /// Nobody reads as much before knowing who it is.
    #[error("the token is longer than 16 KiB")]
    TooLong,
    /// Not three parts in base64url, as an encoder writes it.
    #[error("the token is not three parts in base64url")]
    Encoding,
    /// A part is no JSON object, or has a name twice.
    #[error("a part of the token is not a JSON object of names that differ")]
    Json,
    /// It says `alg`, `kid` or a registered claim in another type than the standard has it.
    #[error("`{0}` of the token is not what the standard has there")]
    Type(&'static str),
    /// It asks for an extension to be understood (RFC 7515 section 4.1.11).
    #[error("the token asks for extensions (`crit`), and none is known")]
    Critical,
    /// No key is of its algorithm.
    #[error("no key is for the algorithm of the token; RS256, ES256 and EdDSA are known")]
    Algorithm,
    /// No key of its algorithm has its `kid`.
    #[error("no key of its algorithm has the `kid` of the token")]
    UnknownKey,
    /// There are several keys of its algorithm, and it names none.
    #[error("the token has no `kid`, and several keys could be meant")]
    KeyMissing,
    /// None of the keys has made the signature.
    #[error("the signature of the token is wrong")]
    Signature,
    /// It would be good for ever.
    #[error("the token has no `exp`")]
    NoExpiry,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// Somebody else has issued it.
    #[error("the token has another `iss` than `issuer` in [jwt]")]
    Issuer,
    /// It is for somebody else.
    #[error("the token has another `aud` than `audience` in [jwt]")]
    Audience,
    /// It is for somebody, and who we are is not configured (RFC 7519 section 4.1.3).
    #[error("the token has an `aud`, and there is no `audience` in [jwt] to compare")]
    AudienceUnset,
    /// It names nobody.
    #[error("the token has no text in the claim that names its principal")]
    NoSubject,
    /// It names somebody who could not be a user.
    #[error("the principal of the token cannot be a user name")]
    Subject,
    /// The CONNECT names somebody else.
    #[error("the user name is not the principal of the token")]
    UserName,
    /// It says too much to be remembered.
    #[error("the token has more than 256 values in its claims")]
    TooManyClaims,
}
