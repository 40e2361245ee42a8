//! What the audit log has come to.

use metrics::Counter;

use crate::telemetry::register::Register;
use crate::telemetry::{AuditState, Gauges};

/// Those of one broker, which has an audit log or not.
#[derive(Debug)]
pub struct AuditMetrics {
    records: Counter,
    lost: Counter,
    damage: Counter,
    state: Gauges<AuditState>,
}

impl AuditMetrics {
    pub(super) fn register(register: &Register<'_>) -> Self {
        Self {
            records: register.counter(
                "bastionmq_audit_records_total",
                "Records written to the audit log, those about itself among them",
            ),
            lost: register.counter(
                "bastionmq_audit_events_lost_total",
                "Events that the audit log has not got, since too many waited",
            ),
            damage: register.counter(
                "bastionmq_audit_damage_total",
                "Parts of the audit log that were missing or changed when the broker was started",
            ),
            state: register.gauges(
                "bastionmq_audit_state",
                "1 for the state that the disk of the audit log is in, 0 for the others",
            ),
        }
    }

    /// Shows what there is by now: so many records and lost events since the start, and so much damage at it.
    pub fn show(&self, records: u64, lost: u64, damage: u64, state: AuditState) {
        self.records.absolute(records);
        self.lost.absolute(lost);
        self.damage.absolute(damage);
        self.state.set_only(state);
    }
}
