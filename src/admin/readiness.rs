//! Whether the broker is ready, part by part: one that is not well does not make the others so.

use std::fmt::{self, Write};

/// A part of the broker, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As operators know it: `store`, `http`, or what is read from a file.
    pub name: String,
    /// How it is.
    pub condition: Condition,
}

/// How a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It does what it is there for.
    Well,
    /// It does less; nobody has to be kept away for that.
    Degraded(String),
    /// Nobody should be sent here.
    Failed(String),
}

/// All parts, looked at now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness(Vec<Part>);

impl Readiness {
    /// That of these parts.
    #[must_use]
    pub fn of(parts: Vec<Part>) -> Self {
        Self(parts)
    }

    /// The parts, in their order.
    pub(super) fn into_parts(self) -> Vec<Part> {
        self.0
    }

    /// Whether clients should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|part| !matches!(part.condition, Condition::Failed(_)))
    }
}

/// A line for the whole, and one for each part.
impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_ready() { "ready\n" } else { "not ready\n" })?;
        for Part { name, condition } in &self.0 {
            match condition {
                Condition::Well => write!(f, "{name}: ok"),
                Condition::Degraded(why) => write!(f, "{name}: degraded: {why}"),
                Condition::Failed(why) => write!(f, "{name}: failed: {why}"),
            }?;
            f.write_char('\n')?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness(conditions: [Condition; 2]) -> Readiness {
        let [listeners, store] = conditions;
        Readiness::of(vec![
            Part { name: "listeners".to_owned(), condition: listeners },
            Part { name: "store".to_owned(), condition: store },
        ])
    }

    #[test]
    fn a_part_that_does_less_is_named_and_clients_still_come() {
        let one = readiness([Condition::Well, Condition::Degraded("it is slow".to_owned())]);
        assert!(one.is_ready());
        assert_eq!(one.to_string(), "ready\nlisteners: ok\nstore: degraded: it is slow\n");
    }

    #[test]
    fn a_part_without_which_nothing_goes_keeps_clients_away() {
        let one = readiness([Condition::Well, Condition::Failed("the disk is full".to_owned())]);
        assert!(!one.is_ready());
        assert_eq!(one.to_string(), "not ready\nlisteners: ok\nstore: failed: the disk is full\n");
    }
}
