//! From a store that was read to one that is written to: what is damaged is set aside first.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::commits::Commits;
use super::damage::DamageKind;
use super::opened::SET_ASIDE;
use super::segment::{BadHeader, name_of};
use super::writer::{FIRST_REST, Limits, SEGMENT_BYTES, Writer};
use super::{Disk, OpenError, Opened, Settings, Store};
use crate::telemetry::Metrics;

impl<D: Disk> Opened<D> {
    /// Begins to write to it.
    ///
    /// # Errors
    /// When a new store cannot be made, or the system gives no thread.
    pub fn start(self, settings: &Settings, metrics: &Arc<Metrics>) -> Result<Store, OpenError> {
        let limits = Limits {
            window: settings.window(),
            data_key_age: settings.data_key_age(),
            segment_bytes: SEGMENT_BYTES,
            rest: FIRST_REST,
        };
        let writer = self.into_writer(limits, metrics)?;
        let failed = |source| OpenError::Disk { name: ".".to_owned(), source };
        Store::start(writer).map_err(failed)
    }

    pub(super) fn into_writer(
        self,
        limits: Limits,
        metrics: &Arc<Metrics>,
    ) -> Result<Writer<D>, OpenError> {
        let is_new = self.segments.is_empty() && self.damage.is_empty();
        if self.writes_keys {
            let written = self.keys.write(&self.disk, &self.master);
            if let Err(source) = written {
                // Without them nothing could ever be read.
                let name = "keys".to_owned();
                if is_new {
                    return Err(OpenError::Disk { name, source });
                }
                tracing::warn!("the keys of the store are not written anew: {source}");
            }
        }
        for number in &self.obsolete {
            // It is tried again at the next start.
            let _ = self.disk.remove(&name_of(*number));
        }
        metrics.store_damage.increment(self.damage.iter().filter(|it| it.is_loss()).count() as u64);
        for damage in &self.damage {
            if let Err(error) = self.set_aside(damage.segment, &damage.kind) {
                tracing::warn!("{damage}; but that failed: {error}");
            }
        }
        let (commits, metrics) = (Arc::new(Commits::default()), Arc::clone(metrics));
        Ok(Writer::new(self, commits, limits, metrics, Instant::now()))
    }

    /// Keeps what is damaged for whoever wants to look at it: a segment of which nothing can be read
    /// under another name, damaged records in a file of their own.
    fn set_aside(&self, segment: u32, kind: &DamageKind) -> io::Result<()> {
        let name = name_of(segment);
        match kind {
            DamageKind::Header(BadHeader::UnknownKey) => Ok(()),
            DamageKind::Header(_) => self.disk.rename(&name, &format!("{name}{SET_ASIDE}")),
            DamageKind::Records { at, bytes } => {
                let aside = format!("{name}-{at:08x}{SET_ASIDE}");
                if self.disk.list()?.contains(&aside) {
                    return Ok(());
                }
                let content = self.disk.read(&name)?;
                let damaged = content.get(*at..at.saturating_add(*bytes)).unwrap_or_default();
                self.disk.replace(&aside, damaged)
            }
            _ => Ok(()),
        }
    }
}
