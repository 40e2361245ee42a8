//! `[tracing]`, from its settings to where traces are posted.

use std::time::Duration;

use super::{Loaded, Problem, findings::Findings, resolve_access::Destination};
use crate::tracer::{Endpoint, Settings};

impl Loaded {
    /// Where traces are posted, where they are; what is wrong with it is reported.
    pub(super) fn read_tracing(&self, findings: &mut Findings) -> Option<Endpoint> {
        let Settings { endpoint, ca_file, token_file, timeout_ms, .. } = &self.config.tracing;
        let Some(url) = endpoint else {
            if ca_file.is_some() || token_file.is_some() {
                let message = "[tracing] has no effect without a collector: set `endpoint`";
                findings.problems.push(Problem::missing(message));
            }
            return None;
        };
        let destination = Destination {
            setting: "tracing.endpoint",
            url,
            ca_file: ca_file.as_ref(),
            token_file: token_file.as_ref(),
            secret: "when who does what",
        };
        let access = self.access_to(destination, findings)?;
        if access.url.path() == "/" {
            let url = &access.url;
            findings.warnings.push(format!(
                "`endpoint` of [tracing] has no path, and collectors take traces at /v1/traces: write \
                 \"{url}v1/traces\""
            ));
        }
        Some(Endpoint { access, timeout: Duration::from_millis(timeout_ms.get().into()) })
    }
}
