//! A finding of the sentinel as people and programs are told of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use crate::audit::{self, Responded};
use crate::clock::{Moment, Now};
use crate::message::{Message, QoS};
use crate::sentinel::{Finding, Measure};
use crate::topic::TopicName;

/// Under which alerts are published.
const ALERTS: &str = "$bastion/alerts";

/// A finding, as the JSON of alerts shows it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report<'a> {
    /// When, as RFC 3339.
    time: String,
    pub(super) rule: &'a str,
    severity: &'static str,
    pub(super) about: &'a str,
    /// What the events have in common.
    key: BTreeMap<&'static str, &'a str>,
    /// What was measured, and from which value on the rule is broken.
    pub(super) value: f64,
    pub(super) threshold: f64,
    /// Over how long; of what is not looked at in a window, nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    /// The event that has broken it.
    pub(super) event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    /// What was done beyond telling of it.
    responses: Vec<Responded>,
    pub(super) dry_run: bool,
    /// Findings of the rule of which nobody was told since the last one.
    untold: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        finding: &'a Finding,
        untold: u64,
        responses: Vec<Responded>,
        now: Now,
    ) -> Self {
        let Finding { rule, key, value, event, .. } = finding;
        let has_window = !matches!(rule.measure, Measure::Deviation(_) | Measure::Silence);
        let what = match event.reason {
            "" => event.kind.name().to_owned(),
            reason => format!("{}.{reason}", event.kind.name()),
        };
        Self {
            time: Moment(u64::try_from(now.unix.as_millis()).unwrap_or(u64::MAX)).to_string(),
            rule: &rule.name,
            severity: rule.severity.name(),
            about: &rule.about,
            key: key.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            value: (value * 1e3).round() / 1e3,
            threshold: rule.threshold,
            seconds: has_window.then_some(rule.window.length.as_secs()),
            event: what,
            principal: event.principal.as_ref().map(ToString::to_string),
            client_id: event.client.as_ref().map(|it| it.as_str()),
            address: event.address.map(|it| it.to_string()),
            listener: event.listener.as_deref(),
            topic: event.topic.as_deref(),
            responses,
            dry_run: rule.dry_run,
            untold,
        }
    }

    /// `address=192.0.2.1`, of each part.
    pub(super) fn key_as_text(&self) -> String {
        let parts: Vec<_> =
            self.key.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parts.join(" ")
    }

    /// `ban 192.0.2.1: done`, of each; nothing where nothing was to be done.
    pub(super) fn responses_as_text(&self) -> Option<String> {
        let texts: Vec<_> = self.responses.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// As the audit log has it.
    pub(super) fn as_record(&self) -> audit::Event {
        audit::Event::Alert {
            rule: self.rule.to_owned(),
            severity: self.severity,
            key: self.key.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            value: self.value,
            threshold: self.threshold,
            what: self.event.clone(),
            principal: self.principal.clone(),
            client_id: self.client_id.map(str::to_owned),
            address: self.address.clone(),
            responses: self.responses.clone(),
            dry_run: self.dry_run,
            untold: self.untold,
        }
    }

    /// As alerts have it.
    pub(super) fn as_json(&self) -> Option<Bytes> {
        serde_json::to_vec(self).ok().map(Bytes::from)
    }

    /// As whoever is subscribed to alerts gets it; `json` is what it says.
    pub(super) fn as_message(&self, json: Bytes) -> Option<Message> {
        let topic = format!("{ALERTS}/{}/{}", self.severity, self.rule);
        Some(Message {
            topic: TopicName::parse(&topic).ok()?,
            payload: json,
            properties: Bytes::new(),
            qos: QoS::AtLeastOnce,
            retain: false,
            expiry: None,
            publisher: None,
            trace: None,
            arrived: None,
        })
    }
}
