//! The HTTP request that becomes a WebSocket (RFC 6455 section 4), and those that do not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tungstenite::Error;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, Response, create_response, write_response};
use tungstenite::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use tungstenite::http::uri::Authority;
use tungstenite::http::{self, StatusCode};

use super::WebSocket;
use crate::net::WebSocketSettings;

/// Bytes of the largest request.
const MAX_REQUEST: usize = 8 << 10;
/// Bytes of most requests.
const USUAL_REQUEST: usize = 1 << 10;
/// What ends a request.
const END: &[u8] = b"\r\n\r\n";
/// The sub-protocols that mean MQTT `[MQTT-6.0.0-3]`; the second is that of MQTT 3.1.
const SUB_PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// How long the last bytes of a client that is turned away are awaited, so that they do not reset
/// the connection under the answer.
const LINGER: Duration = Duration::from_millis(500);

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The connection broke.
    #[error("{0}")]
    Broken(#[from] io::Error),
    /// The request was answered with an HTTP error.
    #[error("{0}")]
    Refused(Refused),
}

/// What is wrong with a request; the text is also its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No HTTP/1.1, or without a proper `Sec-WebSocket-Key`.
    #[error("this is not an HTTP request that can be understood")]
    Malformed,
    /// In bytes or in headers.
    #[error("the request is larger than {MAX_REQUEST} bytes")]
    TooLarge,
    /// RFC 6455 section 4.1 asks for GET.
    #[error("only GET is served here")]
    Method,
    /// Another than that of the settings.
    #[error("nothing is served at this path; the listener's `websocket_path` is another")]
    Path,
    /// No upgrade to WebSocket, or to another version of it.
    #[error("this port speaks MQTT over WebSocket version 13, and nothing else")]
    NoWebSocket,
    /// A page that the settings do not admit.
    #[error("the page's origin is not among the listener's `websocket_origins`")]
    Origin,
    /// MQTT was not offered `[MQTT-6.0.0-3]`.
    #[error("the sub-protocol `mqtt` must be offered")]
    SubProtocol,
    /// Bytes that came with the request.
    #[error("nothing may follow the request before it is answered")]
    Hasty,
}

/// Reads a request for `settings.path` and answers it: what follows on `stream` is MQTT in WebSocket
/// frames. The caller limits the time; `address` is for the log. Waits by the timers of tokio.
///
/// # Errors
/// The stream broke, or the request was refused and that was said.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    address: SocketAddr,
    settings: &WebSocketSettings,
) -> Result<WebSocket<S>, UpgradeError> {
    let outcome = match read_request(&mut stream).await? {
        Ok(request) => judge(&request, settings),
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(response) => {
            send(&mut stream, &response, "").await?;
            Ok(WebSocket::new(stream, address))
        }
        Err(refused) => {
            // The client may be gone, or not want to know.
            let _ = timeout(LINGER, turn_away(&mut stream, refused)).await;
            Err(UpgradeError::Refused(refused))
        }
    }
}

/// The request, or why it is none.
async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Result<Request, Refused>> {
    let mut bytes = Vec::with_capacity(USUAL_REQUEST);
    loop {
        let before = bytes.len();
        let room = MAX_REQUEST.saturating_sub(before) as u64;
        if room == 0 {
            return Ok(Err(Refused::TooLarge));
        }
        if (&mut *stream).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let searched = before.saturating_sub(END.len() - 1);
        let recent = bytes.get(searched..).unwrap_or_default();
        if recent.windows(END.len()).any(|window| window == END) {
            return Ok(parse(&bytes));
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Request, Refused> {
    match Request::try_parse(bytes) {
        Ok(Some((length, request))) if length == bytes.len() => Ok(request),
        Ok(Some(_)) => Err(Refused::Hasty),
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => Err(Refused::Method),
        Err(Error::Capacity(CapacityError::TooManyHeaders)) => Err(Refused::TooLarge),
        Ok(None) | Err(_) => Err(Refused::Malformed),
    }
}

/// The response that accepts the request, or why it is refused.
fn judge(request: &Request, settings: &WebSocketSettings) -> Result<Response, Refused> {
    if request.uri().path() != settings.path.as_str() {
        return Err(Refused::Path);
    }
    let mut response = create_response(request).map_err(|error| match error {
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::MissingSecWebSocketVersionHeader,
        ) => Refused::NoWebSocket,
        _ => Refused::Malformed,
    })?;
    if !may_come_from_its_page(request, settings) {
        return Err(Refused::Origin);
    }
    let sub_protocol = sub_protocol(request).ok_or(Refused::SubProtocol)?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(sub_protocol));
    Ok(response)
}

/// Whoever names no origin is no browser, and could name any. Pages of the very host and port that
/// they connect to may, but for those that came by `http` under a name: names are pointed elsewhere
/// at will, and without TLS such a page may be anybody's (DNS rebinding).
fn may_come_from_its_page(request: &Request, settings: &WebSocketSettings) -> bool {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return false };
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_same = |scheme| {
        origin.strip_prefix(scheme).is_some_and(|of_page| of_page.eq_ignore_ascii_case(host))
    };
    settings.origins.admit(origin)
        || is_same("https://")
        || is_same("http://") && cannot_be_pointed_elsewhere(host)
}

/// An address, or `localhost`, which browsers look up nowhere.
fn cannot_be_pointed_elsewhere(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let host = authority.host();
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || inner.parse::<IpAddr>().is_ok()
}

/// The first of the client's sub-protocols that is spoken here `[MQTT-6.0.0-3]`.
fn sub_protocol(request: &Request) -> Option<&'static str> {
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    offers
        .iter()
        .filter_map(|offers| offers.to_str().ok())
        .flat_map(|offers| offers.split(','))
        .find_map(|offer| SUB_PROTOCOLS.into_iter().find(|spoken| *spoken == offer.trim()))
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::SubProtocol | Self::Hasty => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Path => StatusCode::NOT_FOUND,
            Self::NoWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
        }
    }

    /// The answer, but for its text.
    fn response(self, length: usize) -> Response {
        let mut response = http::Response::new(());
        *response.status_mut() = self.status();
        let mut set = |name: HeaderName, value: &'static str| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, "text/plain; charset=utf-8");
        set(CONNECTION, "close");
        match self {
            Self::Method => set(http::header::ALLOW, "GET"),
            Self::NoWebSocket => {
                set(CONNECTION, "close, upgrade");
                set(UPGRADE, "websocket");
                set(SEC_WEBSOCKET_VERSION, "13");
            }
            _ => {}
        }
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    }
}

async fn turn_away(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    refused: Refused,
) -> io::Result<()> {
    let text = format!("{refused}\n");
    send(stream, &refused.response(text.len()), &text).await?;
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(drop)
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    response: &Response,
    text: &str,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    write_response(&mut bytes, response).map_err(io::Error::other)?;
    bytes.extend_from_slice(text.as_bytes());
    stream.write_all(&bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{WebSocketOrigins, WebSocketPath};

    fn request(head: &str, headers: &[&str]) -> String {
        let rest = headers.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        format!(
            "{head} HTTP/1.1\r\nHost: broker.example:8084\r\nUpgrade: websocket\r\nConnection: \
             Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\n{rest}\r\n"
        )
    }

    const MQTT: &str = "Sec-WebSocket-Protocol: mqtt";

    fn judged(text: &str, origins: &[&str]) -> Result<Response, Refused> {
        let origins = toml::Value::from(origins.to_vec());
        let origins: WebSocketOrigins = origins.try_into().unwrap();
        let settings = WebSocketSettings { origins, path: WebSocketPath::default() };
        judge(&parse(text.as_bytes())?, &settings)
    }

    fn accepted(headers: &[&str]) -> Result<String, Refused> {
        let response = judged(&request("GET /mqtt", headers), &[])?;
        let sub_protocol = &response.headers()[SEC_WEBSOCKET_PROTOCOL];
        // The example of RFC 6455 section 1.3.
        let accept = &response.headers()["sec-websocket-accept"];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
        Ok(sub_protocol.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_first_sub_protocol_that_is_mqtt_is_chosen() {
        for (headers, chosen) in [
            (&["Sec-WebSocket-Protocol: mqtt"][..], "mqtt"),
            (&["Sec-WebSocket-Protocol: mqttv3.1"], "mqttv3.1"),
            (&["Sec-WebSocket-Protocol: chat,  mqttv3.1 , mqtt"], "mqttv3.1"),
            (&["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: mqtt"], "mqtt"),
            (&[MQTT, "Sec-WebSocket-Extensions: permessage-deflate"], "mqtt"),
        ] {
            assert_eq!(accepted(headers).as_deref(), Ok(chosen), "{headers:?}");
        }
        for headers in [&[][..], &["Sec-WebSocket-Protocol: MQTT"], &["Sec-WebSocket-Protocol: "]] {
            assert_eq!(accepted(headers), Err(Refused::SubProtocol), "{headers:?}");
        }
    }

    #[test]
    fn one_path_is_served_with_any_query() {
        for head in ["GET /mqtt?a=b", "GET http://broker.example:8084/mqtt"] {
            assert!(judged(&request(head, &[MQTT]), &[]).is_ok(), "{head}");
        }
        for head in ["GET /", "GET /mqtt/", "GET /MQTT", "GET //mqtt", "GET /x?/mqtt"] {
            let refused = judged(&request(head, &[MQTT]), &[]).unwrap_err();
            assert_eq!(refused, Refused::Path, "{head}");
        }
    }

    #[test]
    fn a_page_connects_when_its_origin_is_listed() {
        let from = |origin: &str| request("GET /mqtt", &[MQTT, &format!("Origin: {origin}")]);
        let listed = ["https://app.example"];
        assert!(judged(&from("https://app.example"), &listed).is_ok());
        assert!(judged(&from("https://evil.example"), &["*"]).is_ok());
        for origin in ["https://evil.example", "null", "", "https://app.example.evil.example"] {
            assert_eq!(judged(&from(origin), &listed).unwrap_err(), Refused::Origin);
        }
        let twice = request("GET /mqtt", &[MQTT, "Origin: https://app.example", "Origin: null"]);
        assert_eq!(judged(&twice, &listed).unwrap_err(), Refused::Origin);
    }

    #[test]
    fn a_page_of_the_broker_s_own_host_connects_unless_its_name_may_be_anybody_s() {
        let is_admitted = |host: &str, origin: &str| {
            let text = request("GET /mqtt", &[MQTT, &format!("Origin: {origin}")]);
            judged(&text.replace("broker.example:8084", host), &[]).is_ok()
        };
        for (host, origin) in [
            ("broker.example", "https://Broker.example"),
            ("broker.example:8084", "https://broker.example:8084"),
            ("localhost:8083", "http://localhost:8083"),
            ("192.0.2.7", "http://192.0.2.7"),
            ("[2001:db8::1]:8083", "http://[2001:db8::1]:8083"),
        ] {
            assert!(is_admitted(host, origin), "{origin} at {host}");
        }
        for (host, origin) in [
            ("broker.example:8084", "http://broker.example:8084"),
            ("broker.example:8084", "https://broker.example"),
            ("localhost:8083", "http://localhost:3000"),
            ("localhost.example", "http://localhost.example"),
            ("127.0.0.1.example", "http://127.0.0.1.example"),
            ("", "http://"),
        ] {
            assert!(!is_admitted(host, origin), "{origin} at {host}");
        }
    }

    #[test]
    fn what_is_no_upgrade_is_told_so() {
        let whole = request("GET /mqtt", &[MQTT]);
        for (from, to, refused) in [
            ("GET", "POST", Refused::Method),
            ("HTTP/1.1", "HTTP/1.0", Refused::Malformed),
            ("HTTP/1.1", "HTTP/9", Refused::Malformed),
            ("Upgrade: websocket\r\n", "", Refused::NoWebSocket),
            ("Connection: Upgrade", "Connection: close", Refused::NoWebSocket),
            ("Version: 13", "Version: 8", Refused::NoWebSocket),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short", Refused::Malformed),
            ("Sec-WebSocket-Key", "X-Key", Refused::Malformed),
            ("\r\n\r\n", "\r\n\r\n\u{82}", Refused::Hasty),
        ] {
            let changed = whole.replacen(from, to, 1);
            assert_ne!(changed, whole);
            assert_eq!(judged(&changed, &[]).unwrap_err(), refused, "{to:?}");
        }
    }

    #[tokio::test]
    async fn a_request_is_read_to_its_bound() {
        let long = format!("GET /mqtt HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_REQUEST));
        let read = read_request(&mut long.as_bytes()).await.unwrap();
        assert_eq!(read.unwrap_err(), Refused::TooLarge);
        let short = request("GET /mqtt", &[MQTT]);
        assert!(read_request(&mut short.as_bytes()).await.unwrap().is_ok());
        let cut = &short.as_bytes()[..short.len() - 1];
        assert!(read_request(&mut &*cut).await.is_err());
    }
}
