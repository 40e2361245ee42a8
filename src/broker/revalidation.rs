//! Clients that an HTTP service has let in, asked about again while they are inside: a few at a time, in
//! the background, and without the password, which nobody keeps.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Broker;
use super::gate::Who;
use super::lease::Reply;
use super::seat::Seat;
use crate::codec::Version;
use crate::identity_service::{Again, Question};

/// One connection that wants to know whether its client may stay.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) who: Arc<Who>,
    pub(super) version: Version,
    /// Where the connection is woken.
    pub(super) seat: Arc<Seat>,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// Requests that wait: at most one of each connection.
#[derive(Debug)]
pub(super) struct Requests {
    sender: mpsc::UnboundedSender<Request>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Request>>>,
}

impl Requests {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }

    pub(super) fn add(&self, request: Request) {
        // Where the broker has stopped, nobody asks.
        let _ = self.sender.send(request);
    }
}

impl Broker {
    /// Asks the HTTP service again about clients that are inside, as they come up. Returns at once where
    /// there is none, and never otherwise.
    pub async fn revalidate_clients(self: Arc<Self>) {
        let Some(service) = &self.identity_service else { return };
        let Some(mut requests) = self.revalidations.receiver.lock().take() else { return };
        let mut under_way = JoinSet::new();
        loop {
            let most_at_once = service.revalidation().map_or(1, |by| by.most_at_once);
            tokio::select! {
                Some(_) = under_way.join_next() => {}
                Some(request) = requests.recv(), if under_way.len() < most_at_once => {
                    let broker = Arc::clone(&self);
                    under_way.spawn(async move { broker.revalidate(request).await });
                }
            }
        }
    }

    async fn revalidate(&self, request: Request) {
        let Request { who, version, seat, mut reply } = request;
        let (Some(service), Some(user)) = (&self.identity_service, who.principal.name()) else {
            return;
        };
        let certificate = who.standing.certificate.as_ref();
        let question = Question {
            username: user,
            password: None,
            clientid: who.client_id.as_str(),
            peerhost: who.address.ip(),
            listener: &who.listener,
            transport: who.security.name(),
            protocol: version.name(),
            certificate: certificate.map(|shown| &*shown.name),
            again: Some(Again::since(who.connected_at)),
        };
        let answer = tokio::select! {
            answer = service.ask_again(question) => answer,
            // The connection has ended.
            () = reply.closed() => return,
        };
        if reply.send(answer).is_ok() {
            seat.bell().ring();
        }
    }
}

/// Three quarters of `interval`, or more: whoever came together is not asked about together for ever.
pub(super) fn spread(interval: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness it is asked sooner.
    let _ = getrandom::fill(&mut random);
    interval / 4 * 3 + interval / 4 * u32::from(u16::from_be_bytes(random)) / (1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_longer_than_the_interval_and_not_all_as_long() {
        let interval = Duration::from_secs(86_400);
        let delays: Vec<_> = (0..100).map(|_| spread(interval)).collect();
        assert!(delays.iter().all(|delay| *delay >= interval / 4 * 3 && *delay <= interval));
        assert!(delays.iter().max() > delays.iter().min());
    }
}
