//! A bad network: carries TCP to a broker, and cuts it on command.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A loopback port that leads to another one.
pub(crate) struct Proxy {
    port: u16,
    cuts: watch::Sender<usize>,
    severed: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let cuts = watch::Sender::new(0);
        let severed = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn(accept(listener, target, cuts.clone(), Arc::clone(&severed)));
        Self { port, cuts, severed, accepting }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection at this moment, wherever in a packet that is. Bytes on their way are
    /// lost in both directions.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many connections have been cut, not ended by one of their ends.
    pub(crate) fn severed(&self) -> usize {
        self.severed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: u16,
    cuts: watch::Sender<usize>,
    severed: Arc<AtomicUsize>,
) {
    while let Ok((near, _)) = listener.accept().await {
        // Subscribed before the target is reached, so that a cut hits this connection too.
        let mut cut = cuts.subscribe();
        let severed = Arc::clone(&severed);
        tokio::spawn(async move {
            tokio::select! {
                () = carry(near, target) => {}
                _ = cut.changed() => {
                    severed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

async fn carry(mut near: TcpStream, target: u16) {
    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await {
        // Small packets must not wait for each other on their way through.
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        // Either end may break it off; the other then notices.
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}
