//! What the service is asked: who wants to log in, by what, from where.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

/// A client that wants to log in. The names are those that other brokers send.
#[derive(Clone, Copy, Serialize)]
pub struct Question<'a> {
    /// Who it claims to be.
    pub username: &'a str,
    /// Its proof; none where it has been let in by one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<&'a str>,
    /// What it calls itself; empty where the broker is to choose.
    pub clientid: &'a str,
    /// Where it comes from; none over a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peerhost: Option<IpAddr>,
    /// The URL of the listener.
    pub listener: &'a str,
    /// What protects its transport: `plain`, `tls`, `mtls` or `unix`.
    pub transport: &'static str,
    /// The version of MQTT: `3.1`, `3.1.1` or `5.0`.
    pub protocol: &'static str,
    /// The name in its client certificate, where it has shown one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<&'a str>,
    /// Of a client that is inside: whether it still may be.
    #[serde(flatten)]
    pub again: Option<Again>,
}

/// What a question about a client that was let in before has beside the others.
#[derive(Clone, Copy, Serialize)]
pub struct Again {
    /// That it is such a question.
    revalidate: bool,
    /// When the client has logged in, in seconds since the Unix epoch.
    connected_at: u64,
}

impl Again {
    /// A question about a client that has logged in at `connected_at`, in seconds since the Unix
    /// epoch.
    #[must_use]
    pub fn since(connected_at: u64) -> Self {
        Self { revalidate: true, connected_at }
    }
}

/// Bytes of all that has a fixed size, and more.
const FRAME_BYTES: usize = 512;
/// What one character becomes at most: `\u0000`.
const ESCAPED_BYTES: usize = 6;

impl Question<'_> {
    /// The question as JSON, which is wiped when nobody has it any more.
    pub(super) fn to_json(self) -> Bytes {
        let password = self.password.unwrap_or_default();
        let texts = [self.username, password, self.clientid, self.listener];
        let certificate = self.certificate.map_or(0, str::len);
        let length = texts.iter().map(|text| text.len()).sum::<usize>() + certificate;
        // Room for all of it: a buffer that grows leaves copies of the password behind.
        let mut json = Zeroizing::new(Vec::with_capacity(FRAME_BYTES + length * ESCAPED_BYTES));
        // Texts and numbers can always be written to memory.
        let _ = serde_json::to_writer(&mut *json, &self);
        Bytes::from_owner(Wiped(json))
    }
}

struct Wiped(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { username, clientid, peerhost, listener, .. } = self;
        f.debug_struct("Question")
            .field("username", username)
            .field("clientid", clientid)
            .field("peerhost", peerhost)
            .field("listener", listener)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const QUESTION: Question<'_> = Question {
        username: "ann",
        password: Some("ap\"ple"),
        clientid: "c1",
        peerhost: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        listener: "mqtt://127.0.0.1:1883",
        transport: "plain",
        protocol: "5.0",
        certificate: None,
        again: None,
    };

    #[test]
    fn a_question_is_one_json_object() {
        assert_eq!(
            QUESTION.to_json(),
            r#"{"username":"ann","password":"ap\"ple","clientid":"c1","peerhost":"127.0.0.1","listener":"mqtt://127.0.0.1:1883","transport":"plain","protocol":"5.0"}"#
        );
        let by_socket = Question { peerhost: None, certificate: Some("dev"), ..QUESTION };
        let text = String::from_utf8(by_socket.to_json().to_vec()).unwrap();
        assert!(!text.contains("peerhost") && text.ends_with(r#","certificate":"dev"}"#), "{text}");
    }

    #[test]
    fn who_was_let_in_before_is_asked_about_without_a_password() {
        let again = Question { password: None, again: Some(Again::since(9)), ..QUESTION };
        let text = String::from_utf8(again.to_json().to_vec()).unwrap();
        assert!(!text.contains("password"), "{text}");
        assert!(text.ends_with(r#","revalidate":true,"connected_at":9}"#), "{text}");
    }

    #[test]
    fn whatever_a_client_sends_has_room() {
        let hostile = "\u{1}".repeat(65_535);
        let question = Question { username: &hostile, password: Some(&hostile), ..QUESTION };
        assert!(question.to_json().len() > 6 * 2 * 65_535);
    }

    #[test]
    fn debug_output_shows_no_password() {
        assert!(!format!("{QUESTION:?}").contains("ple"));
    }
}
