//! The page that operators look at: files that are part of the program, and what they ask for.
//! Nothing of it is shown to anybody who is not let in.

mod access;
mod overview;
mod rows;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::overview::Overview;
use super::readiness::Readiness;
use crate::broker::Broker;

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const JS: &str = include_str!("page.js");
const SVG: &str = include_str!("page.svg");

/// What a browser may do with any of it: load the script and the style sheet from here, ask for numbers here,
/// and nothing else; nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'none'";

/// Beside that: nothing is guessed, kept, framed, or told to others.
const HARDENING: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The page of one broker. Cheap to clone.
#[derive(Clone)]
pub struct Page {
    broker: Arc<Broker>,
    overview: Arc<Overview>,
}

impl Page {
    /// That of `broker`, whose parts `inspect` looks at.
    #[must_use]
    pub fn new(
        broker: Arc<Broker>,
        inspect: impl Fn() -> Readiness + Send + Sync + 'static,
    ) -> Self {
        let overview = Arc::new(Overview::of(Arc::clone(&broker), inspect));
        Self { broker, overview }
    }

    /// What is answered where.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/", get(|| async { file("text/html; charset=utf-8", HTML) }))
            .route("/page.css", get(|| async { file("text/css; charset=utf-8", CSS) }))
            .route("/page.js", get(|| async { file("text/javascript; charset=utf-8", JS) }))
            .route("/page.svg", get(|| async { file("image/svg+xml", SVG) }))
            .route("/api/overview", get(overview))
            .with_state(self.clone())
            .layer(from_fn_with_state(self, access::admit))
            .layer(from_fn(harden))
    }
}

fn file(kind: &'static str, content: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], content).into_response()
}

async fn overview(State(page): State<Page>) -> Response {
    match page.overview.current().await {
        Some(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        None => {
            (StatusCode::INTERNAL_SERVER_ERROR, "it cannot be told: see the log\n").into_response()
        }
    }
}

async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HARDENING {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_nothing_inline_that_its_policy_would_refuse() {
        for forbidden in ["<style", " style=", "javascript:", " onclick", " onload", "<script>"] {
            assert!(!HTML.contains(forbidden), "{forbidden}");
        }
        assert!(HTML.contains("<script src=\"/page.js\" defer></script>"));
    }

    #[test]
    fn what_clients_say_is_never_made_html_and_nothing_comes_from_elsewhere() {
        let ways = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser"];
        for way in
            ways.into_iter().chain(["eval(", "new Function", ".style.", "setAttribute(\"style\""])
        {
            assert!(!JS.contains(way), "{way}");
        }
        // The name of SVG itself is not asked for.
        let svg = "http://www.w3.org/2000/svg";
        for text in [HTML, CSS, JS] {
            assert!(!text.replace(svg, "").contains("://"));
        }
    }
}
