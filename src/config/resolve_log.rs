//! `[log]`: whether each target has what it needs, and what ought to be known of it.

use super::{Loaded, findings::Findings};
use crate::telemetry::{LogSettings, LogTarget};

impl Loaded {
    /// Opens nothing.
    pub(super) fn check_targets_of_the_log(&self, findings: &mut Findings) {
        let LogSettings { targets, file, syslog, .. } = &self.config.log;
        let is_file = targets.contain(LogTarget::File);
        let has_name = file.as_ref().is_some_and(|file| file.file_name().is_some());
        if is_file && !has_name {
            let message = "`log.targets` has \"file\", and there is none: set `file` in [log], such as \
                           \"log/bastionmq.log\"";
            let setting = if file.is_some() { "log.file" } else { "log.targets" };
            findings.problems.push(self.problem(setting, message));
        }
        if !is_file && file.is_some() {
            findings.warnings.push(
                "`log.file` has no effect without \"file\" among `targets` of [log]".to_owned(),
            );
        }
        if targets.contain(LogTarget::Syslog) && syslog.is_remote() {
            findings.warnings.push(format!(
                "the log goes to {syslog} in plain text: everybody on the way reads who connects from where; \
                 have a syslog daemon on this machine pass it on over TLS"
            ));
        }
    }
}
