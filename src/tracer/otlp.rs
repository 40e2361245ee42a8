//! Spans as the OpenTelemetry Protocol has them in JSON (OTLP 1.x, "JSON Protobuf Encoding"): identifiers are
//! lower-case hexadecimal, 64-bit numbers are texts, and enums are numbers.

use std::fmt::Display;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::span::{Span, Value};

/// `STATUS_CODE_ERROR`.
const FAILED: u8 = 2;

/// `ExportTraceServiceRequest` of these spans, from a service of this name.
///
/// # Errors
/// None that is known: all of it can be written as JSON.
pub(super) fn request(service: &str, spans: &[Span]) -> serde_json::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [
        KeyValue { key: "service.name", value: AnyValue::Text(service) },
        KeyValue { key: "service.version", value: AnyValue::Text(version) },
    ];
    let spans = spans.iter().map(WrittenSpan::from).collect();
    serde_json::to_vec(&Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes },
            scope_spans: [ScopeSpans { scope: Scope { name: "bastionmq", version }, spans }],
        }],
    })
}

/// How many spans were refused by a collector that gives this `answer`, which is an
/// `ExportTraceServiceResponse`, or nothing that says so.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let Ok(answer) = serde_json::from_slice::<Answer>(answer) else { return 0 };
    match answer.partial_success.rejected_spans {
        // Which of the two is up to whoever writes it.
        Some(Count::Number(count)) => count,
        Some(Count::Text(text)) => text.parse().unwrap_or(0),
        None => 0,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [KeyValue<'a>; 2],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<WrittenSpan<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenSpan<'a> {
    #[serde(serialize_with = "as_text")]
    trace_id: crate::trace_context::TraceId,
    #[serde(serialize_with = "as_text")]
    span_id: crate::trace_context::SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'static str,
    kind: u8,
    #[serde(serialize_with = "as_nanoseconds")]
    start_time_unix_nano: Duration,
    #[serde(serialize_with = "as_nanoseconds")]
    end_time_unix_nano: Duration,
    attributes: Vec<KeyValue<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

#[derive(Serialize)]
enum AnyValue<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "intValue", serialize_with = "as_text")]
    Number(i64),
    #[serde(rename = "boolValue")]
    Truth(bool),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    rejected_spans: Option<Count>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

impl<'a> From<&'a Span> for WrittenSpan<'a> {
    fn from(span: &'a Span) -> Self {
        let value = |value: &'a Value| match value {
            Value::Text(text) => AnyValue::Text(text),
            Value::Number(number) => AnyValue::Number(*number),
            Value::Truth(truth) => AnyValue::Truth(*truth),
        };
        let attributes = span.attributes.iter();
        Self {
            trace_id: span.trace,
            span_id: span.id,
            parent_span_id: span.parent.map(|parent| parent.to_string()),
            name: span.name,
            kind: span.kind as u8,
            start_time_unix_nano: span.start,
            end_time_unix_nano: span.end,
            attributes: attributes.map(|(key, it)| KeyValue { key, value: value(it) }).collect(),
            status: span.failure.as_deref().map(|message| Status { code: FAILED, message }),
        }
    }
}

fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Fits 64 bits until the year 2554.
fn as_nanoseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.as_nanos())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::trace_context::{SpanId, TraceId};
    use crate::tracer::span::SpanKind;

    fn span() -> Span {
        Span {
            trace: TraceId::new(
                *b"\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c",
            )
            .unwrap(),
            id: SpanId::new(*b"\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74").unwrap(),
            parent: SpanId::new(*b"\xee\xe1\x9b\x7e\xc3\xc1\xb1\x73"),
            name: "publish",
            kind: SpanKind::Server,
            start: Duration::new(1_544_712_660, 300_000_001),
            end: Duration::new(1_544_712_661, 0),
            attributes: vec![
                ("messaging.system", "mqtt".into()),
                ("mqtt.qos", 1_u8.into()),
                ("mqtt.retain", false.into()),
                ("messaging.destination.name", Value::said("a \"quoted\"\u{0}/topic")),
            ],
            failure: None,
        }
    }

    fn written(spans: &[Span]) -> Json {
        serde_json::from_slice(&request("a broker", spans).unwrap()).unwrap()
    }

    #[test]
    fn spans_are_written_as_the_specification_has_them() {
        let version = env!("CARGO_PKG_VERSION");
        let expected = json!({"resourceSpans": [{
            "resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": "a broker"}},
                {"key": "service.version", "value": {"stringValue": version}},
            ]},
            "scopeSpans": [{
                "scope": {"name": "bastionmq", "version": version},
                "spans": [{
                    "traceId": "5b8efff798038103d269b633813fc60c",
                    "spanId": "eee19b7ec3c1b174",
                    "parentSpanId": "eee19b7ec3c1b173",
                    "name": "publish",
                    "kind": 2,
                    "startTimeUnixNano": "1544712660300000001",
                    "endTimeUnixNano": "1544712661000000000",
                    "attributes": [
                        {"key": "messaging.system", "value": {"stringValue": "mqtt"}},
                        {"key": "mqtt.qos", "value": {"intValue": "1"}},
                        {"key": "mqtt.retain", "value": {"boolValue": false}},
                        {"key": "messaging.destination.name",
                         "value": {"stringValue": "a \"quoted\"\u{0}/topic"}},
                    ],
                }],
            }],
        }]});
        assert_eq!(written(&[span()]), expected);
    }

    #[test]
    fn a_failure_is_a_status_and_a_root_has_no_parent() {
        let span = Span { parent: None, failure: Some("NotAuthorized".into()), ..span() };
        let written = written(&[span]);
        let span = &written["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["status"], json!({"code": 2, "message": "NotAuthorized"}));
        assert!(span.get("parentSpanId").is_none(), "{span}");
    }

    #[test]
    fn what_a_collector_has_refused_is_read_in_either_form() {
        for (answer, count) in [
            ("{}", 0),
            ("", 0),
            ("not JSON", 0),
            ("[]", 0),
            ("{\"partialSuccess\":{}}", 0),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"no\"}}", 3),
            ("{\"partialSuccess\":{\"rejectedSpans\":3}}", 3),
            ("{\"partialSuccess\":{\"rejectedSpans\":-3}}", 0),
            ("{\"partialSuccess\":{\"rejectedSpans\":\"x\"}}", 0),
        ] {
            assert_eq!(rejected(answer.as_bytes()), count, "{answer}");
        }
    }
}
