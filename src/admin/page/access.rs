//! Who may see the page: operators, by HTTP Basic authentication (RFC 7617).

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::Page;
use crate::admin::bounded::Caller;
use crate::auth::{MAX_PASSWORD_BYTES, MAX_USER_NAME_BYTES};
use crate::broker::OperatorLogin;
use crate::secret::Secret;

/// Bytes of the longest credentials, in base64.
const MAX_CREDENTIALS: usize = (MAX_USER_NAME_BYTES + 1 + MAX_PASSWORD_BYTES).div_ceil(3) * 4;

/// Has a browser ask for name and password.
const CHALLENGE: &str = "Basic realm=\"BastionMQ\", charset=\"UTF-8\"";
/// The same for the script of the page, which tells its reader itself: no window of the browser's opens over
/// charts that nobody looks at.
const CHALLENGE_OF_SCRIPT: &str = "BastionMQ-Page";

const OFF: &str = "There is no page yet. To turn it on, make a password file for operators and name it:\n\n    \
                   bastionmq passwd add operators YOUR-NAME\n\n    \
                   [admin]\n    password_file = \"operators\"\n\n\
                   The passwords of clients do not open it. See docs/monitoring.md.\n";
const FOREIGN: &str = "ask from this page itself\n";
const NOBODY: &str = "This page is for operators: see `password_file` of [admin].\n";
const LOCKED_OUT: &str = "Too many failed logins from here. Wait a while, or have `bastionmq ctl lift \
                          admin:NAME` end it.\n";
const BUSY: &str = "Too many logins wait for their password to be checked. Try again.\n";
const UNWRITTEN: &str = "The audit log, which is strict, cannot be written: nobody is let in.\n";

/// A name, and what is to prove it.
struct Credentials {
    user: String,
    password: Secret,
}

/// Lets operators through.
pub(super) async fn admit(
    State(page): State<Page>,
    ConnectInfo(Caller(address)): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    if !page.broker.has_operators() {
        return (StatusCode::NOT_FOUND, OFF).into_response();
    }
    if is_foreign(request.headers()) {
        return (StatusCode::FORBIDDEN, FOREIGN).into_response();
    }
    let challenge = match says(request.headers(), "sec-fetch-dest", "empty") {
        true => CHALLENGE_OF_SCRIPT,
        false => CHALLENGE,
    };
    let refusal = || (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)], NOBODY);
    let Some(Credentials { user, password }) = credentials(request.headers()) else {
        return refusal().into_response();
    };
    let unavailable = |why| (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "2")], why);
    match page.broker.admit_operator(&user, password, address).await {
        OperatorLogin::In => next.run(request).await,
        OperatorLogin::Wrong => refusal().into_response(),
        OperatorLogin::LockedOut => (StatusCode::TOO_MANY_REQUESTS, LOCKED_OUT).into_response(),
        OperatorLogin::Busy => unavailable(BUSY).into_response(),
        OperatorLogin::Unwritten => unavailable(UNWRITTEN).into_response(),
        OperatorLogin::Off => (StatusCode::NOT_FOUND, OFF).into_response(),
    }
}

/// Whether a page of somebody else's has the browser ask, which would send the credentials along. To follow a
/// link to here is fine.
fn is_foreign(headers: &HeaderMap) -> bool {
    let is_elsewhere =
        ["cross-site", "same-site"].iter().any(|it| says(headers, "sec-fetch-site", it));
    is_elsewhere && !says(headers, "sec-fetch-mode", "navigate")
}

fn says(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|it| it == value)
}

/// Those of the request; none where there are none that could be anybody's.
fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let encoded = encoded.trim();
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > MAX_CREDENTIALS {
        return None;
    }
    let decoded = Zeroizing::new(Base64::decode_vec(encoded).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    let user = std::str::from_utf8(user).ok()?.to_owned();
    Some(Credentials { user, password: Secret::from(password.get(1..)?) })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(value: &str) -> Option<(String, Vec<u8>)> {
        let value = HeaderValue::from_str(value).unwrap();
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        credentials(&headers).map(|it| (it.user, it.password.expose().to_vec()))
    }

    fn basic(text: &[u8]) -> String {
        format!("Basic {}", Base64::encode_string(text))
    }

    #[test]
    fn a_name_ends_at_the_first_colon_and_the_rest_is_the_password() {
        assert_eq!(read(&basic(b"ann:a:b")), Some(("ann".to_owned(), b"a:b".to_vec())));
        assert_eq!(read(&basic("bj\u{f6}rn:".as_bytes())), Some(("bj\u{f6}rn".to_owned(), vec![])));
        let (user, password) = ("u".repeat(MAX_USER_NAME_BYTES), "p".repeat(MAX_PASSWORD_BYTES));
        assert!(read(&basic(format!("{user}:{password}").as_bytes())).is_some());
        assert!(read(&basic(b"ann:apple").replace("Basic", "bAsIc")).is_some());
    }

    #[test]
    fn what_is_no_name_and_password_is_nobody() {
        let long = "x".repeat(MAX_CREDENTIALS);
        for value in ["", "Basic", "Basic ", "Basic !", "Bearer YTpi", "Basic YTpi=", &long] {
            assert_eq!(read(value), None, "{value:.20}");
        }
        assert_eq!(read(&format!("Basic {long}AAAA")), None);
        assert_eq!(read(&basic(b"no colon")), None);
        assert_eq!(read(&basic(b"\xff:latin")), None);
        assert!(credentials(&HeaderMap::new()).is_none());
    }

    #[test]
    fn pages_from_elsewhere_are_turned_away_and_links_from_elsewhere_followed() {
        let foreign = |site: &'static str, mode: &'static str| {
            let headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
            let headers = headers.into_iter().filter(|(_, value)| !value.is_empty());
            is_foreign(
                &headers
                    .filter_map(|(name, value)| {
                        Some((
                            name.parse::<axum::http::HeaderName>().ok()?,
                            HeaderValue::from_static(value),
                        ))
                    })
                    .collect(),
            )
        };
        assert!(foreign("cross-site", "no-cors") && foreign("same-site", "cors"));
        assert!(!foreign("cross-site", "navigate") && !foreign("same-origin", "cors"));
        assert!(!foreign("none", "navigate") && !foreign("", ""));
    }
}
