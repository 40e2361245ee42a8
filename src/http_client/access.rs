//! How a service is reached: its URL, and what both sides prove to each other.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::retry_after::retry_after;
use super::{BearerToken, ServiceUrl};

/// Bytes of the longest head of an answer.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Bytes of the longest answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OURSELVES: HeaderValue =
    HeaderValue::from_static(concat!("bastionmq/", env!("CARGO_PKG_VERSION")));

/// How a service is reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where questions are posted.
    pub url: ServiceUrl,
    /// For `https://`.
    pub tls: Option<Arc<ClientConfig>>,
    /// What the service knows the broker by.
    pub token: Option<BearerToken>,
}

/// A connection to the service, on which one question is asked at a time.
pub type Connection = SendRequest<Full<Bytes>>;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Fault {
    /// There is no connection.
    #[error("it cannot be reached: {0}")]
    Connect(#[source] std::io::Error),
    /// It is not believed, or does not believe the broker.
    #[error("TLS fails: {0}")]
    Tls(#[source] std::io::Error),
    /// What it says is no HTTP, or it hangs up.
    #[error("it does not speak HTTP as it should: {0}")]
    Http(#[from] hyper::Error),
    /// It has not taken it.
    #[error("it answers with status {}, and not with 200", status.as_u16())]
    Status {
        /// What it answers.
        status: StatusCode,
        /// For how long it asks not to be asked again (`Retry-After`), if it does.
        retry_after: Option<Duration>,
    },
    /// More than is read.
    #[error("its answer is longer than 64 KiB")]
    TooLong,
    /// Less than it has announced.
    #[error("its answer breaks off")]
    BrokenOff,
}

impl Access {
    /// Connects, and proves and verifies what is to be.
    ///
    /// # Errors
    /// What goes wrong with that.
    pub async fn connect(&self) -> Result<Connection, Fault> {
        let ServiceUrl { host, port, is_tls, .. } = &self.url;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(Fault::Connect)?;
        // One small request at a time.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            Some(config) => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| Fault::Tls(std::io::Error::other(error)))?;
                let connector = TlsConnector::from(Arc::clone(config));
                speak(connector.connect(name, stream).await.map_err(Fault::Tls)?).await
            }
            None if *is_tls => Err(Fault::Tls(std::io::Error::other("it is not set up"))),
            None => speak(stream).await,
        }
    }

    /// Asks `question` and reads the answer, all of it, so that `connection` can be used again.
    /// Redirects are answers like any other: who is asked is who is configured.
    ///
    /// # Errors
    /// Any answer but a 200, and what goes wrong on the way.
    pub async fn ask(&self, connection: &mut Connection, question: Bytes) -> Result<Bytes, Fault> {
        connection.ready().await?;
        let answer = connection.send_request(self.request(question)).await?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(&answer));
        }
        read(answer).await
    }

    /// Posts `body`, which is JSON, with more `headers`, on a connection of its own, and reads the answer.
    ///
    /// # Errors
    /// Any answer but a success (2xx), and what goes wrong on the way.
    pub async fn post(&self, body: Bytes, headers: HeaderMap) -> Result<Bytes, Fault> {
        let mut connection = self.connect().await?;
        connection.ready().await?;
        let mut request = self.request(body);
        request.headers_mut().extend(headers);
        let answer = connection.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(refusal(&answer));
        }
        read(answer).await
    }

    fn request(&self, question: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(question));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.path.clone().into();
        let headers = request.headers_mut();
        headers.insert(HOST, self.url.authority.clone());
        headers.insert(USER_AGENT, OURSELVES);
        headers.insert(ACCEPT, JSON);
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(BearerToken(token)) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        request
    }
}

fn refusal(answer: &Response<Incoming>) -> Fault {
    let retry_after = retry_after(answer.headers(), SystemTime::now());
    Fault::Status { status: answer.status(), retry_after }
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, Fault> {
    match Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLong),
        Err(_) => Err(Fault::BrokenOff),
    }
}

async fn speak<S>(stream: S) -> Result<Connection, Fault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    let (connection, driver) = http.handshake(TokioIo::new(stream)).await?;
    // Ends with the connection; what goes wrong is told to who has asked.
    tokio::spawn(driver);
    Ok(connection)
}
