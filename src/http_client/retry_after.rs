//! `Retry-After`: when a service that refuses wants to be asked again (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use hyper::header::{HeaderMap, RETRY_AFTER};

/// For how long from `now` an answer with these headers asks not to be asked again: a number of seconds, or a
/// date. What is neither says nothing, and neither does what is there twice.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let mut said = headers.get_all(RETRY_AFTER).iter();
    let (Some(value), None) = (said.next(), said.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than there are is for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    /// Sun, 22 Nov 2026 12:00:00 GMT.
    const NOON: Duration = Duration::from_secs(1_795_348_800);

    fn said(values: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        }
        retry_after(&headers, SystemTime::UNIX_EPOCH + NOON).map(|it| it.as_secs())
    }

    #[test]
    fn it_is_a_number_of_seconds_or_a_date() {
        assert_eq!(said(&["120"]), Some(120));
        assert_eq!(said(&[" 0 "]), Some(0));
        assert_eq!(said(&["Sun, 22 Nov 2026 12:02:00 GMT"]), Some(120));
        assert_eq!(said(&["Sun, 22 Nov 2026 11:00:00 GMT"]), Some(0));
        assert_eq!(said(&["99999999999999999999999"]), Some(u64::MAX));
    }

    #[test]
    fn what_is_neither_says_nothing() {
        for value in ["", "soon", "-1", "1.5", "+7", "22 Nov 2026"] {
            assert_eq!(said(&[value]), None, "{value}");
        }
        assert_eq!(said(&[]), None);
        assert_eq!(said(&["1", "2"]), None);
    }
}
