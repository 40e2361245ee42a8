//! What is wrong with a policy file, and where: lines and columns of a text.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong with a policy, and how to mend it. A policy with an error is not used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct PolicyError {
    /// The line of the file, from 1.
    pub line: u32,
    /// The character of the line, from 1.
    pub column: u32,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Something in a valid policy that probably does not do what its author meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWarning {
    /// The line of the file, from 1.
    pub line: u32,
    /// What is odd, and what to do about it.
    pub message: String,
}

impl fmt::Display for PolicyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// The most errors that are listed: a file that is no policy at all needs no more.
const MAX_ERRORS: usize = 100;

/// A text and what has been found wrong with it.
pub(super) struct Faults<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    errors: Vec<PolicyError>,
    unlisted: usize,
}

impl<'t> Faults<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { text, line_starts, errors: Vec::new(), unlisted: 0 }
    }

    /// Notes that what stands at `span` is wrong.
    pub(super) fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        if self.errors.len() == MAX_ERRORS {
            self.unlisted += 1;
            return;
        }
        let (line, column) = self.position(span.start);
        self.errors.push(PolicyError { line, column, message: message.into() });
    }

    /// Notes that something is missing which would stand at the end of the text.
    pub(super) fn add_at_end(&mut self, message: impl Into<String>) {
        let end = self.text.trim_end().len();
        self.add(&(end..end), message);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// All of them, in the order of the text.
    pub(super) fn into_errors(mut self) -> Vec<PolicyError> {
        self.errors.sort();
        if let (Some(last), 1..) = (self.errors.last().cloned(), self.unlisted) {
            let message = format!("and {} more errors", self.unlisted);
            self.errors.push(PolicyError { message, ..last });
        }
        self.errors
    }

    /// The line of a byte of the text, from 1.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.line(offset);
        let start = self.line_starts.get(line as usize - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        let column = before.chars().count() + 1;
        (line, u32::try_from(column).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_1() {
        let mut faults = Faults::of("ab\r\né!x\n");
        for (offset, position) in [(0, (1, 1)), (1, (1, 2)), (4, (2, 1)), (6, (2, 2)), (9, (3, 1))]
        {
            assert_eq!(faults.position(offset), position, "{offset}");
        }
        faults.add_at_end("missing");
        assert_eq!(faults.into_errors()[0].to_string(), "line 2, column 4: missing");
    }

    #[test]
    fn errors_come_in_the_order_of_the_text_and_a_flood_of_them_is_counted() {
        let text = "\n".repeat(500);
        let mut faults = Faults::of(&text);
        (0..300).rev().for_each(|line| faults.add(&(line..line), "wrong"));
        let errors = faults.into_errors();
        assert_eq!(errors.len(), MAX_ERRORS + 1);
        assert!(errors.is_sorted_by_key(|error| error.line));
        assert_eq!(errors[MAX_ERRORS].message, "and 200 more errors");
    }
}
