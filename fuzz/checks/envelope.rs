//! Any bytes as an envelope: no panic; it is one exactly where a naive reader of the format finds one, and
//! both find the same in it.

use bastionmq::envelope::{Envelope, Suite};

const REQUIRED: [(u8, usize); 6] = [(1, 1), (2, 8), (3, 0), (4, 16), (5, 8), (6, 8)];

pub(crate) fn check(bytes: &[u8]) {
    let naive = read(bytes);
    let envelope = match Envelope::parse(bytes) {
        Ok(envelope) => envelope,
        Err(why) => {
            assert!(naive.is_none(), "{why}");
            assert!(!why.to_string().is_empty());
            return;
        }
    };
    let naive = naive.expect("what is parsed is an envelope");
    let tlvs: Vec<_> = envelope.tlvs().map(|tlv| (tlv.tag, tlv.value)).collect();
    assert_eq!(tlvs, naive);
    let value = |tag| naive.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value);
    assert_eq!(value(1), Some(&[envelope.suite().number()][..]));
    assert_eq!(value(2), Some(&envelope.key_id().0[..]));
    assert_eq!(value(3), Some(envelope.sender().as_bytes()));
    assert_eq!(value(4), Some(&envelope.stream()[..]));
    assert_eq!(value(5), Some(&envelope.seq().to_be_bytes()[..]));
    assert_eq!(value(6), Some(&envelope.time_ms().to_be_bytes()[..]));
    assert_eq!(value(0x7F), Some(&envelope.tag()[..]));
    assert_eq!(value(0x80), envelope.content_type().map(str::as_bytes));
    assert_eq!(value(0x81), envelope.trace().map(str::as_bytes));
    assert_eq!(value(0x20).is_some(), envelope.signature().is_some());
    let (body, overhead) = match envelope.suite() {
        Suite::Sealed => (0x10, 16),
        Suite::Signed => (0x11, 0),
    };
    assert_eq!(value(body), Some(envelope.body()));
    assert_eq!(envelope.payload_len() + overhead, envelope.body().len());
}

/// Types and values, where the bytes are an envelope.
fn read(bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut rest = bytes.strip_prefix(&[0xBA, 0x57, 1, 0])?;
    let mut tlvs = Vec::new();
    while !rest.is_empty() {
        let (tag, mut length) =
            (*rest.first()?, usize::from(*rest.get(1)?) << 8 | usize::from(*rest.get(2)?));
        rest = &rest[3..];
        if length == 0xFFFF {
            length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
            rest = &rest[4..];
            if length < 0xFFFF || !(tag == 0x10 || tag == 0x11) {
                return None;
            }
        }
        tlvs.push((tag, rest.get(..length)?));
        rest = &rest[length..];
    }
    is_envelope(&tlvs).then_some(tlvs)
}

fn is_envelope(tlvs: &[(u8, &[u8])]) -> bool {
    let Some((required, others)) = tlvs.split_at_checked(REQUIRED.len()) else { return false };
    let in_place = required.iter().zip(REQUIRED).all(|((tag, value), (wanted, length))| {
        *tag == wanted && (length == 0 || value.len() == length)
    });
    let sender = required[2].1;
    let named = (1..=128).contains(&sender.len()) && str::from_utf8(sender).is_ok();
    if !in_place || !named || required[4].1 == [0; 8] {
        return false;
    }
    let free = others.iter().take_while(|(tag, _)| *tag >= 0x80).count();
    let (free, last) = others.split_at(free);
    let ascending = free.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let texts = free.iter().all(|(tag, value)| match tag {
        0x80 => str::from_utf8(value).is_ok(),
        0x81 => value.iter().all(|byte| (0x20..0x7F).contains(byte)),
        _ => true,
    });
    let signed = |value: &[u8]| value.len() == 65 && matches!(value[0], 1 | 2);
    let end = match (required[0].1, last) {
        ([1], [(0x10, body), rest @ ..]) if body.len() >= 16 => rest,
        ([2], [(0x11, _), rest @ ..]) => rest,
        _ => return false,
    };
    let ended = match end {
        [(0x7F, tag)] => tag.len() == 32,
        [(0x20, signature), (0x7F, tag)] => signed(signature) && tag.len() == 32,
        _ => false,
    };
    ascending && texts && ended
}
