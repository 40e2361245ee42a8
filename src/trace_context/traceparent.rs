//! `traceparent`: which span a publisher asks its message to be a child of (W3C Trace Context, level 1,
//! section 3.2, as a user property by the draft for MQTT). It is whatever a client says.

use super::{SpanId, TraceContext, TraceId};

/// The name of the user property: lower-case, as the draft for MQTT has it.
const NAME: &str = "traceparent";
/// Characters of version 00, which are the first ones of every version.
const LENGTH: usize = 55;
/// User properties that are looked at, so that nobody has thousands of them looked through twice.
const LOOKED_AT: usize = 64;
const SAMPLED: u8 = 1;

impl TraceContext {
    /// What a message says that has these user properties. What is not well-formed, and what is there twice, says
    /// nothing.
    #[must_use]
    pub fn of_properties<'p>(properties: impl Iterator<Item = (&'p str, &'p str)>) -> Option<Self> {
        let mut said = properties.take(LOOKED_AT).filter(|(name, _)| *name == NAME);
        let (_, value) = said.next()?;
        if said.next().is_some() {
            return None;
        }
        Self::parse(value)
    }

    /// Reads a `traceparent`. Of versions that are not known yet what version 00 has is read, as the standard
    /// wants it (section 4.3).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (known, rest) = text.as_bytes().split_at_checked(LENGTH)?;
        let known: &[u8; LENGTH] = known.try_into().ok()?;
        let [version] = hexadecimal(known.get(..2)?)?;
        let is_whole = match version {
            0 => rest.is_empty(),
            0xFF => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let are_apart = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
        if !is_whole || !are_apart {
            return None;
        }
        let [flags] = hexadecimal(known.get(53..)?)?;
        Some(Self {
            trace: TraceId::new(hexadecimal(known.get(3..35)?)?)?,
            span: SpanId::new(hexadecimal(known.get(36..52)?)?)?,
            is_sampled: flags & SAMPLED != 0,
        })
    }
}

/// Lower-case digits alone.
fn hexadecimal<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    if digits.len() != 2 * BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0, |byte, digit| Some(byte << 4 | value_of(*digit)?))?;
    }
    Some(bytes)
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of the standard.
    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_standard_is_read() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert_eq!(context.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span.to_string(), "b7ad6b7169203331");
        assert!(context.is_sampled);
        let without = TraceContext::parse(&EXAMPLE.replace("-01", "-00")).unwrap();
        assert!(!without.is_sampled);
        // Other flags mean nothing to us.
        assert!(TraceContext::parse(&EXAMPLE.replace("-01", "-ff")).unwrap().is_sampled);
        assert!(!TraceContext::parse(&EXAMPLE.replace("-01", "-fe")).unwrap().is_sampled);
    }

    #[test]
    fn what_is_not_exactly_that_says_nothing() {
        let long = format!("{EXAMPLE}{}", "0".repeat(70_000));
        for text in [
            "",
            "00",
            "00-",
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-"),
            &format!("{EXAMPLE}-00"),
            &format!(" {EXAMPLE}"),
            &format!("{EXAMPLE} "),
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE.replacen("00-", "ff-", 1),
            &EXAMPLE.replacen("00-", "0x-", 1),
            &EXAMPLE.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &EXAMPLE.replace("b7ad6b7169203331", &"0".repeat(16)),
            &EXAMPLE.replace("b7ad", "b7ag"),
            &EXAMPLE.replace("b7ad", "é7d"),
            &EXAMPLE.replace("-01", "-0g"),
            &long,
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text:.80}");
        }
    }

    #[test]
    fn of_a_later_version_what_is_known_is_read() {
        for text in [
            EXAMPLE.replacen("00-", "01-", 1),
            format!("{}-what the future brings", EXAMPLE.replacen("00-", "cc-", 1)),
        ] {
            assert!(TraceContext::parse(&text).is_some(), "{text}");
        }
        let glued = format!("{}.what", EXAMPLE.replacen("00-", "cc-", 1));
        assert_eq!(TraceContext::parse(&glued), None);
    }

    #[test]
    fn a_message_says_it_once_and_among_its_first_properties() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            TraceContext::of_properties(pairs.iter().copied())
        };
        let parent = ("traceparent", EXAMPLE);
        assert!(of(&[("a", "b"), parent, ("tracestate", "x=1")]).is_some());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("Traceparent", EXAMPLE)]), None);
        assert_eq!(of(&[parent, parent]), None);
        assert_eq!(of(&[("traceparent", "rubbish"), parent]), None);
        let mut many = vec![("a", "b"); LOOKED_AT];
        many.push(parent);
        assert_eq!(of(&many), None);
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read_to_the_same_or_says_nothing(text in ".{0,80}") {
            let _ = TraceContext::parse(&text);
        }

        #[test]
        fn whatever_is_well_formed_is_read_as_it_was_written(
            trace in 1_u128.., span in 1_u64.., flags: u8
        ) {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            let context = TraceContext::parse(&text).unwrap();
            prop_assert_eq!(context.trace.to_string(), format!("{trace:032x}"));
            prop_assert_eq!(context.span.to_string(), format!("{span:016x}"));
            prop_assert_eq!(context.is_sampled, flags & 1 == 1);
        }
    }
}
