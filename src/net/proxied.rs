//! A connection that a proxy forwards: its header is taken off, and nothing behind it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;

use super::ProxySettings;
use super::proxy_protocol::{Header, HeaderError, MAX_HEADER, Progress, parse};
use super::scratch::Scratch;
use crate::identity::ClientCertificate;
use crate::tls::{PeerNameError, vouched_certificate};

/// What a proxy says of its client, as far as it is believed.
#[derive(Debug)]
pub(super) struct Introduction {
    /// Where the client connects from: the proxy, where that speaks for itself or cannot tell.
    pub(super) address: SocketAddr,
    /// The certificate that the client has shown to the proxy.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
}

/// Why nobody is introduced.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntroductionError {
    /// The connection has broken, or ended before the header did: some proxies look so whether the
    /// broker is there.
    #[error("the connection broke off before its PROXY header was whole: {0}")]
    Broken(#[from] io::Error),
    /// It is no header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Nobody can be called what the certificate says.
    #[error("in the PROXY header: {0}")]
    Name(#[from] PeerNameError),
}

/// Takes the header off `stream`, which comes from `proxy`. The caller limits the time.
pub(super) async fn introduction(
    stream: &mut TcpStream,
    proxy: SocketAddr,
    settings: &ProxySettings,
) -> Result<Introduction, IntroductionError> {
    let mut seen = Vec::new();
    loop {
        let taken = seen.len();
        if poll_fn(|cx| poll_look(stream, cx, &mut seen)).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match parse(&seen)? {
            Progress::Partial => take(stream, seen.len() - taken).await?,
            Progress::Whole { header, length } => {
                let introduction = believe(header, proxy, settings)?;
                take(stream, length - taken).await?;
                return Ok(introduction);
            }
        }
    }
}

/// Adds to `seen` what has arrived, and leaves it where it is: how many bytes, 0 at the end.
fn poll_look(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    seen: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let mut scratch = Scratch::borrow();
    let room = scratch.bytes().get_mut(..MAX_HEADER.saturating_sub(seen.len()));
    let mut buffer = ReadBuf::new(room.unwrap_or_default());
    let count = ready!(stream.poll_peek(cx, &mut buffer))?;
    seen.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(count))
}

/// Takes off what has been seen.
async fn take(stream: &mut TcpStream, count: usize) -> io::Result<()> {
    stream.read_exact(&mut vec![0; count]).await.map(drop)
}

fn believe(
    header: Header<'_>,
    proxy: SocketAddr,
    settings: &ProxySettings,
) -> Result<Introduction, PeerNameError> {
    let name = header.common_name.filter(|_| settings.certificates);
    let certificate = name.map(vouched_certificate).transpose()?.map(Arc::new);
    Ok(Introduction { address: header.source.unwrap_or(proxy), certificate })
}
