//! Alerts, posted to a URL of the operator's: one after the other, signed, tried again where that fails, and never
//! waited for. What finds no place among those that wait is counted.

mod settings;
mod signature;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use hyper::StatusCode;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};

pub use settings::Settings;
pub use signature::{SigningKey, SigningKeyError};

use crate::clock::Now;
use crate::http_client::{Access, Fault, pause_after};
use crate::telemetry::{Metrics, WebhookResult};

/// Alerts that may wait.
const QUEUE: usize = 256;
/// How often one is tried.
const ATTEMPTS: u32 = 5;

/// How the URL is reached.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where, and what both sides prove to each other.
    pub access: Access,
    /// What alerts are signed by.
    pub key: Option<SigningKey>,
    /// For one attempt, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

/// Takes alerts, and posts them once it is [run](Self::run).
#[derive(Debug)]
pub struct Webhook {
    /// Without one nothing is posted.
    endpoint: ArcSwapOption<Endpoint>,
    queue: Sender<Bytes>,
    /// Until it is run.
    waiting: Mutex<Option<Receiver<Bytes>>>,
    metrics: Arc<Metrics>,
}

/// Why an alert has not been taken.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("it has not answered in time")]
    Timeout,
    #[error("there is no randomness to be had: {0}")]
    NoId(#[from] io::Error),
}

impl Failure {
    /// Whether it is the alert that is wrong, so that it is of no use to send it again.
    fn is_final(&self) -> bool {
        let Self::Fault(Fault::Status { status, .. }) = self else { return false };
        let comes_later =
            [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
        status.is_client_error() && !comes_later.contains(status)
    }
}

impl Webhook {
    /// Nothing is posted yet.
    #[must_use]
    pub fn new(endpoint: Option<Endpoint>, metrics: Arc<Metrics>) -> Self {
        let (queue, waiting) = channel(QUEUE);
        let endpoint = ArcSwapOption::from_pointee(endpoint);
        Self { endpoint, queue, waiting: Mutex::new(Some(waiting)), metrics }
    }

    /// Posts to another one, or nowhere: from the next attempt on, of what waits as well.
    pub fn follow(&self, endpoint: Option<Endpoint>) {
        self.endpoint.store(endpoint.map(Arc::new));
    }

    /// Has `alert`, which is JSON, posted soon, where alerts are posted at all. Never waits.
    pub fn post(&self, alert: Bytes) {
        if self.endpoint.load().is_some() && self.queue.try_send(alert).is_err() {
            self.metrics.webhook_alerts.increment(WebhookResult::Dropped);
        }
    }

    /// Posts what is taken. Never returns, and does nothing where it runs already.
    pub async fn run(&self) {
        let waiting = self.waiting.lock().take();
        let Some(mut waiting) = waiting else { return };
        let mut failures = 0;
        while let Some(alert) = waiting.recv().await {
            let result = self.deliver(&alert, &mut failures).await;
            self.metrics.webhook_alerts.increment(result);
        }
    }

    /// Tries `alert` a few times. `failures` are those in a row until now, of earlier alerts too.
    async fn deliver(&self, alert: &Bytes, failures: &mut u32) -> WebhookResult {
        let id = signature::new_id();
        for _ in 0..ATTEMPTS {
            // Nothing is to be posted any more.
            let Some(endpoint) = self.endpoint.load_full() else { return WebhookResult::Dropped };
            let url = &endpoint.access.url;
            let attempt = match &id {
                Ok(id) => endpoint.attempt(id, alert).await,
                Err(error) => Err(io::Error::from(error.kind()).into()),
            };
            let failure = match attempt {
                Ok(()) => {
                    if std::mem::take(failures) > 0 {
                        tracing::info!(%url, "the webhook answers again");
                    }
                    return WebhookResult::Delivered;
                }
                Err(failure) => failure,
            };
            if *failures == 0 || failure.is_final() {
                tracing::warn!(%url, "the webhook fails: {failure}");
            }
            if failure.is_final() {
                *failures = 0;
                return WebhookResult::Refused;
            }
            sleep(pause_after(*failures)).await;
            *failures = failures.saturating_add(1);
        }
        WebhookResult::Failed
    }
}

impl Endpoint {
    async fn attempt(&self, id: &str, alert: &Bytes) -> Result<(), Failure> {
        let Self { access, key, timeout: patience } = self;
        let headers = signature::headers(id, Now::read().unix, alert, key.as_ref());
        let posted = timeout(*patience, access.post(alert.clone(), headers)).await;
        posted.map_err(|_| Failure::Timeout)??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_place_among_those_that_wait_is_counted() {
        let access = Access { url: "http://127.0.0.1:9/".parse().unwrap(), tls: None, token: None };
        let endpoint = Endpoint { access, key: None, timeout: Duration::from_secs(1) };
        let metrics = Arc::new(Metrics::new());
        let webhook = Webhook::new(None, Arc::clone(&metrics));
        (0..QUEUE + 9).for_each(|_| webhook.post(Bytes::from_static(b"{}")));
        webhook.follow(Some(endpoint));
        (0..QUEUE + 3).for_each(|_| webhook.post(Bytes::from_static(b"{}")));
        let shown = metrics.render();
        assert!(shown.contains("bastionmq_webhook_alerts_total{result=\"dropped\"} 3"), "{shown}");
    }

    #[test]
    fn what_the_other_side_finds_wrong_is_not_sent_again() {
        for (status, is_final) in [
            (400, true),
            (404, true),
            (401, true),
            (408, false),
            (429, false),
            (500, false),
            (302, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let fault = Fault::Status { status, retry_after: None };
            assert_eq!(Failure::Fault(fault).is_final(), is_final, "{status}");
        }
        assert!(!Failure::Timeout.is_final());
    }
}
