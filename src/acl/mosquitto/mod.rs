//! Mosquitto's ACL files, read as they are: `user`, `topic` and `pattern` lines.
//!
//! A line is `user NAME`, `topic [read|write|readwrite|deny] TOPIC`, `pattern` with the same words,
//! or a comment that begins with `#` in the first column. Words are parted by spaces, and the rest of
//! the line belongs to the last one. What Mosquitto makes of them is made of them here:
//!
//! - `topic` lines before the first `user` line are for clients without a name, those after one for
//!   that user; a certificate that names a user is that user. `pattern` lines are for everybody,
//!   wherever they stand, with `%u` and `%c` for the names of the client.
//! - `read` is to be delivered messages, `write` to publish, `readwrite` or nothing is both, `deny`
//!   is neither.
//! - Of the `topic` lines of a client a deny wins over the others; if none of them decides, the
//!   `pattern` lines do in the same way; what none allows is denied.
//! - A topic that begins with `$` is matched only by a line that begins so too.
//!
//! What differs, because it is safer so:
//!
//! - A name that is empty, begins with `$`, or holds `/`, `+`, `#` or a control character is never
//!   put into a pattern. One that allows is then not used, and one that denies denies all that the
//!   patterns decide. Mosquitto puts in names with `/` and `$`, has no pattern at all hold for clients
//!   with `+` or `#` in a name, and passes over a deny with `%u` for clients without one.
//! - `%u` and `%c` in one level, and either in a first level that begins with `$`, are errors.
//! - A subscription to which nothing could ever be delivered is refused; Mosquitto grants it, and
//!   delivers nothing.
//! - Clients never publish to topics that begin with `$`; Mosquitto lets them, outside `$SYS`.
//! - A user name counts once it is proven. Mosquitto takes the word of clients that it lets in
//!   without a password.
//! - A file without a rule, a last line without its end, a rule that is there twice, `topic read`
//!   without a topic, control characters and a text that is not UTF-8 are errors: a file that was cut
//!   short or pasted twice would mean something else than what was written.

mod compile;
mod file;

#[cfg(test)]
mod tests;

pub use file::{Access, AclFile, AclRule, Section};
