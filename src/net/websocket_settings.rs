//! What a WebSocket listener asks of those who knock: the path, and the pages they may come from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of the longest path: requests are small as a whole.
const MAX_PATH: usize = 1_024;

/// How a listener upgrades HTTP requests to WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSocketSettings {
    /// The one path that is served.
    pub path: WebSocketPath,
    /// The pages whose scripts may connect.
    pub origins: WebSocketOrigins,
}

/// The path of a URL, as `/mqtt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebSocketPath(String);

/// The origins (RFC 6454) of pages that may connect; none by default. A client that is no browser
/// names none and is not concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Vec<String>")]
pub struct WebSocketOrigins(Vec<String>);

/// A list, or one text with commas between, as environment variables write it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of origins such as [\"https://app.example.com\"] is needed")]
enum Written {
    List(Vec<String>),
    Text(String),
}

/// Why a text is no path or no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketSettingsError {
    /// Not the path of a URL.
    #[error(
        "{0:?} is no path: it begins with `/`, has no query, and is of at most {MAX_PATH} visible \
         ASCII characters, as in \"/mqtt\""
    )]
    Path(String),
    /// Not an origin.
    #[error(
        "{0:?} is no origin: write scheme, host and, unless it is the usual one, port, as in \
         \"https://app.example.com\" or \"http://localhost:3000\"; \"*\" allows every page"
    )]
    Origin(String),
}

impl WebSocketPath {
    /// As requests name it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for WebSocketPath {
    fn default() -> Self {
        Self("/mqtt".to_owned())
    }
}

impl TryFrom<String> for WebSocketPath {
    type Error = WebSocketSettingsError;

    fn try_from(text: String) -> Result<Self, WebSocketSettingsError> {
        let is_fit = |byte: u8| byte.is_ascii_graphic() && !b"?#\"\\<>".contains(&byte);
        let is_path = text.starts_with('/') && text.len() <= MAX_PATH && text.bytes().all(is_fit);
        if is_path { Ok(Self(text)) } else { Err(WebSocketSettingsError::Path(text)) }
    }
}

impl From<WebSocketPath> for String {
    fn from(path: WebSocketPath) -> Self {
        path.0
    }
}

impl fmt::Display for WebSocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl WebSocketOrigins {
    /// Whether scripts of a page of this origin may connect.
    #[must_use]
    pub fn admit(&self, origin: &str) -> bool {
        self.0.iter().any(|admitted| admitted == "*" || admitted.eq_ignore_ascii_case(origin))
    }
}

impl TryFrom<Written> for WebSocketOrigins {
    type Error = WebSocketSettingsError;

    fn try_from(written: Written) -> Result<Self, WebSocketSettingsError> {
        let origins = match written {
            Written::List(origins) => origins,
            Written::Text(text) => text.split(',').map(|each| each.trim().to_owned()).collect(),
        };
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(bad) => Err(WebSocketSettingsError::Origin(bad.clone())),
            None => Ok(Self(origins)),
        }
    }
}

impl From<WebSocketOrigins> for Vec<String> {
    fn from(origins: WebSocketOrigins) -> Self {
        origins.0
    }
}

/// `null` is what sandboxed pages and files send: whoever writes it must have meant it.
fn is_origin(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let is_url = text.split_once("://").is_some_and(|(scheme, host)| {
        let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
        is_scheme && !host.is_empty() && host.bytes().all(is_fit)
    });
    is_url || ["*", "null"].contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(text: &str) -> Result<WebSocketOrigins, WebSocketSettingsError> {
        Written::Text(text.to_owned()).try_into()
    }

    #[test]
    fn a_path_begins_with_a_slash_and_has_no_query() {
        for path in ["/", "/mqtt", "/a/b-c.d~e%20"] {
            assert_eq!(WebSocketPath::try_from(path.to_owned()).unwrap().as_str(), path);
        }
        let long = format!("/{}", "a".repeat(MAX_PATH));
        for path in ["", "mqtt", "/a?b", "/a#b", "/a b", "/ä", "/a\r\n", &long] {
            assert!(WebSocketPath::try_from(path.to_owned()).is_err(), "{path}");
        }
    }

    #[test]
    fn an_origin_is_compared_whole() {
        let origins = origins("https://app.example.com, http://localhost:3000").unwrap();
        for origin in ["https://app.example.com", "http://LOCALHOST:3000"] {
            assert!(origins.admit(origin), "{origin}");
        }
        for origin in [
            "",
            "null",
            "*",
            "http://app.example.com",
            "https://app.example.com:444",
            "https://app.example.com.evil.example",
            "https://evil.example/https://app.example.com",
            "http://localhost",
        ] {
            assert!(!origins.admit(origin), "{origin}");
        }
    }

    #[test]
    fn no_origin_is_admitted_by_default_and_every_one_by_a_star() {
        assert!(!WebSocketOrigins::default().admit("https://app.example.com"));
        assert!(origins("*").unwrap().admit("https://app.example.com"));
        assert!(origins("null").unwrap().admit("null"));
    }

    #[test]
    fn what_no_browser_would_send_is_no_origin() {
        for text in ["", "app.example.com", "https://", "https://a/", "https://a/b", "https://*.a"]
        {
            let error = WebSocketSettingsError::Origin(text.to_owned());
            assert_eq!(origins(text), Err(error), "{text}");
        }
    }
}
