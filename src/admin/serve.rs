//! What is answered: `/metrics`, `/healthz`, `/readyz`, the page, and nothing else.

use std::{io, net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS},
        uri::Authority,
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::bounded::{Bounded, Caller};
use super::negotiation::Format;
use super::page::Page;
use super::readiness::Readiness;
use super::settings::Settings;
use crate::store::Store;
use crate::telemetry::Metrics;

/// What the answers are made of.
#[derive(Clone)]
pub struct AdminState {
    /// Shown at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Shown at `/readyz`.
    pub inspect: Inspect,
    /// Whose numbers are brought up to date for `/metrics`.
    pub store: Option<Arc<Store>>,
    /// Shown at `/`.
    pub page: Option<Page>,
}

/// Looks at all parts of the broker. Does not wait for anything.
pub type Inspect = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// Serves within the bounds of `settings` until `shutdown` completes; requests under way then are answered first.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve(
    listener: TcpListener,
    settings: &Settings,
    state: AdminState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router(state).into_make_service_with_connect_info::<Caller>();
    axum::serve(Bounded::new(listener, settings), service).with_graceful_shutdown(shutdown).await
}

fn router(mut state: AdminState) -> Router {
    let page = state.page.take().map(Page::router).unwrap_or_default();
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .with_state(state)
        .merge(page)
        .layer(middleware::from_fn(guard))
}

async fn metrics(State(state): State<AdminState>, headers: HeaderMap) -> Response {
    if let Some(store) = &state.store {
        store.show();
    }
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::wanted(accept.unwrap_or_default());
    let text = match format {
        Format::Prometheus => state.metrics.render(),
        Format::OpenMetrics => state.metrics.render_openmetrics(),
    };
    ([(CONTENT_TYPE, format.content_type())], text).into_response()
}

async fn readiness(State(state): State<AdminState>) -> (StatusCode, String) {
    let readiness = (state.inspect)();
    let status =
        if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, readiness.to_string())
}

/// Turns away pages that reach this port through a host name of their own (DNS rebinding), and ends
/// the connection with its first answer.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if is_local_name(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "ask by IP address or as localhost\n").into_response()
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether the request names this host by address, as localhost, or (HTTP/1.0) not at all. A
/// browser always sends the name that its page was loaded from.
fn is_local_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
    })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::oneshot,
        task::JoinHandle,
    };

    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::admin::readiness::{Condition, Part};

    struct Running {
        address: std::net::SocketAddr,
        metrics: Arc<Metrics>,
        is_well: Arc<AtomicBool>,
        stop: oneshot::Sender<()>,
        task: JoinHandle<io::Result<()>>,
    }

    async fn start() -> Running {
        start_with(Settings::default()).await
    }

    async fn start_with(settings: Settings) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, is_well) = (Arc::new(Metrics::new()), Arc::new(AtomicBool::new(false)));
        let looked_at = Arc::clone(&is_well);
        let inspect = Arc::new(move || {
            let condition = match looked_at.load(Ordering::Acquire) {
                true => Condition::Well,
                false => Condition::Failed("it begins".to_owned()),
            };
            Readiness::of(vec![Part { name: "listeners".to_owned(), condition }])
        });
        let state = AdminState { metrics: Arc::clone(&metrics), inspect, store: None, page: None };
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { stopped.await.unwrap_or_default() };
        let task = tokio::spawn(async move { serve(listener, &settings, state, stopped).await });
        Running { address, metrics, is_well, stop, task }
    }

    impl Running {
        async fn ask(&self, path: &str, host: &str) -> String {
            self.ask_with(path, &format!("Host: {host}\r\n")).await
        }

        async fn ask_with(&self, path: &str, headers: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // To the end: the connection closes with its first answer.
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    }

    #[tokio::test]
    async fn metrics_are_shown_as_prometheus_reads_them() {
        let admin = start().await;
        admin.metrics.takeovers.increment(3);
        let answer = admin.ask("/metrics", "127.0.0.1:9883").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("\nbastionmq_takeovers_total 3\n"), "{answer}");
    }

    #[tokio::test]
    async fn metrics_are_shown_as_openmetrics_to_who_asks_for_that() {
        let admin = start().await;
        let headers = "Host: localhost\r\nAccept: application/openmetrics-text; version=1.0.0\r\n";
        let answer = admin.ask_with("/metrics", headers).await;
        let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
        assert!(answer.contains(kind), "{answer}");
        assert!(answer.contains("\n# TYPE bastionmq_takeovers counter\n"), "{answer}");
        assert!(answer.contains("\nbastionmq_takeovers_total 0\n"), "{answer}");
        assert!(answer.ends_with("\n# EOF\n"), "{answer}");
    }

    #[tokio::test]
    async fn health_is_one_thing_and_readiness_another() {
        let admin = start().await;
        assert!(admin.ask("/healthz", "localhost").await.starts_with("HTTP/1.1 200"));
        let answer = admin.ask("/readyz", "localhost").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.ends_with("not ready\nlisteners: failed: it begins\n"), "{answer}");
        admin.is_well.store(true, Ordering::Release);
        assert!(admin.ask("/readyz", "[::1]:9883").await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn there_is_nothing_else() {
        let admin = start().await;
        for path in ["/", "/metrics/", "/admin", "/../etc/passwd"] {
            let answer = admin.ask(path, "localhost").await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_page_from_elsewhere_that_points_its_name_here_is_turned_away() {
        let admin = start().await;
        for host in ["evil.example", "evil.example:9883", "localhost.evil.example", "127.0.0.1.nip"]
        {
            let answer = admin.ask("/metrics", host).await;
            assert!(answer.starts_with("HTTP/1.1 421"), "{host}: {answer}");
            assert!(!answer.contains("bastionmq_"), "{answer}");
        }
    }

    #[tokio::test]
    async fn shutdown_ends_the_service() {
        let admin = start().await;
        admin.stop.send(()).unwrap();
        admin.task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn no_more_are_served_at_once_than_the_settings_say_and_no_longer() {
        let (one, second) = (std::num::NonZeroU32::MIN, std::time::Duration::from_secs(1));
        let bounds = Settings {
            max_connections: one,
            connection_timeout_seconds: one,
            ..Settings::default()
        };
        let admin = start_with(bounds).await;
        let started = std::time::Instant::now();
        let _silent = TcpStream::connect(admin.address).await.unwrap();
        // It waits until the time of the first is over.
        assert!(admin.ask("/healthz", "localhost").await.starts_with("HTTP/1.1 200"));
        assert!((second..8 * second).contains(&started.elapsed()), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_is_let_go() {
        let admin = start().await;
        let mut silent = TcpStream::connect(admin.address).await.unwrap();
        silent.write_all(b"GET /healthz HT").await.unwrap();
        let started = tokio::time::Instant::now();
        let mut answer = Vec::new();
        // Whether by an answer or by a reset: the connection ends.
        let _ = silent.read_to_end(&mut answer).await;
        assert!(started.elapsed() >= Settings::default().connection_timeout());
    }
}
