//! What operators ask about the sentinel.

use std::io;

use tokio::io::AsyncWrite;

use super::answers::RuleRow;
use super::desk::Replies;
use super::protocol::Answer;
use crate::broker::Broker;

/// The rules in force.
pub(super) async fn list_rules<W: AsyncWrite + Unpin>(
    broker: &Broker,
    replies: &mut Replies<W>,
) -> io::Result<()> {
    let reports = broker.sentinel_rules();
    let count = reports.len() as u64;
    for report in reports {
        replies.say(Answer::Rule(RuleRow::from(report))).await?;
    }
    replies.say(Answer::Listed { shown: count, of: count }).await
}

/// The last alerts, the latest one last.
pub(super) async fn list_alerts<W: AsyncWrite + Unpin>(
    broker: &Broker,
    limit: u32,
    replies: &mut Replies<W>,
) -> io::Result<()> {
    let alerts = broker.recent_alerts(limit as usize);
    let count = alerts.len() as u64;
    for alert in alerts {
        let alert = serde_json::from_slice(&alert).map_err(io::Error::other)?;
        replies.say(Answer::Alert(alert)).await?;
    }
    replies.say(Answer::Listed { shown: count, of: count }).await
}

/// Has a rule only tried, or not.
pub(super) fn set_dry_run(broker: &Broker, rule: &str, dry_run: bool) -> Answer {
    match broker.try_sentinel_rule(rule, dry_run) {
        Some(report) => Answer::Rule(RuleRow::from(report)),
        None => Answer::Error(format!(
            "no rule {rule:?} is in force: `ctl sentinel rules` shows those that are"
        )),
    }
}
