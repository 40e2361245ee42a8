//! Any text as the URL of a listener: no panic, and what is accepted means the same once written.

use bastionmq::net::ListenUrl;

use crate::text::text_of;

pub(crate) fn check(bytes: &[u8]) {
    let text = text_of(bytes);
    match text.parse::<ListenUrl>() {
        Ok(url) => {
            let written = url.to_string();
            assert!(written.starts_with(url.scheme().name()), "{written}");
            assert_eq!(written.parse(), Ok(url));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
