//! A sanction, such as a ban.

use std::time::Duration;

use super::fields::{FieldWriter, Fields};
use crate::sanctions::{Author, Sanction};

const VERSION: u8 = 1;

/// What the store keeps of a sanction.
pub(crate) fn encode_sanction(ban: &Sanction) -> Vec<u8> {
    let Sanction { subject, by, why, since, until } = ban;
    let mut fields = FieldWriter::default();
    fields.u8(VERSION);
    fields.text(&subject.to_string());
    fields.text(&by.to_string());
    fields.text(why);
    fields.u64(milliseconds(*since));
    fields.option(*until, |fields, until| fields.u64(milliseconds(until)));
    fields.finish()
}

/// What [`encode_sanction`] has written.
pub(crate) fn decode_sanction(bytes: &[u8]) -> Option<Sanction> {
    let mut fields = Fields::of_version(bytes, VERSION)?;
    let subject = fields.text()?.parse().ok()?;
    let by = Author::parse(fields.text()?)?;
    let why = fields.text()?.into();
    let since = Duration::from_millis(fields.u64()?);
    let until = fields.option(|fields| fields.u64().map(Duration::from_millis))?;
    fields.end()?;
    Some(Sanction { subject, by, why, since, until })
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::fields::assert_is_read_with_care;
    use super::*;

    #[test]
    fn a_ban_is_read_as_it_was_written_and_with_care() {
        let ban = Sanction {
            subject: "2001:db8::/56".parse().expect("a network"),
            by: Author::Rule("flood".into()),
            why: "too much".into(),
            since: Duration::from_millis(1_234),
            until: Some(Duration::from_secs(99)),
        };
        for ban in [Sanction { until: None, ..ban.clone() }, ban] {
            let bytes = encode_sanction(&ban);
            assert_eq!(decode_sanction(&bytes), Some(ban));
            assert_is_read_with_care(&bytes, decode_sanction);
        }
    }
}
