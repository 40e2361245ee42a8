//! Which names a user can have: those that stand unmistakably in a line of a password file.

use thiserror::Error;

/// Bytes of the longest user name.
pub const MAX_USER_NAME_BYTES: usize = 128;
/// What some editors start a file with, unseen.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a user name cannot stand in a password file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UserNameError {
    /// There is none.
    #[error("the user name is empty; name the user")]
    Empty,
    /// It is longer than [`MAX_USER_NAME_BYTES`].
    #[error("the user name is longer than 128 bytes; shorten it")]
    TooLong,
    /// It would end at the colon.
    #[error("the user name contains a `:`, which ends it in the file; leave it out")]
    Colon,
    /// It would end the line, or hide in a listing.
    #[error("the user name contains a control character; leave it out")]
    Control,
    /// It would be a comment.
    #[error("the user name starts with `#`, as comments do; choose another")]
    Comment,
    /// It would look like another name.
    #[error("there is white space before or after the user name; remove it")]
    OuterSpace,
}

/// Whether `user` can stand in a password file: UTF-8 of 1 to 128 bytes without `:` and control
/// characters, white space within only, not starting with `#`.
///
/// # Errors
/// The first of these that it is not.
pub fn check_user_name(user: &str) -> Result<(), UserNameError> {
    if user.is_empty() {
        return Err(UserNameError::Empty);
    }
    if user.len() > MAX_USER_NAME_BYTES {
        return Err(UserNameError::TooLong);
    }
    if user.contains(':') {
        return Err(UserNameError::Colon);
    }
    if user.contains(char::is_control) {
        return Err(UserNameError::Control);
    }
    if user.starts_with('#') {
        return Err(UserNameError::Comment);
    }
    if user.trim() != user || user.starts_with(BYTE_ORDER_MARK) {
        return Err(UserNameError::OuterSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_in_any_script_are_accepted() {
        let longest = "é".repeat(MAX_USER_NAME_BYTES / 2);
        for user in ["ann", "Ann Other", "d-1/a+b#", "ann@example.org", "安", &longest] {
            assert_eq!(check_user_name(user), Ok(()), "{user}");
        }
    }

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        let too_long = "é".repeat(MAX_USER_NAME_BYTES / 2) + "x";
        for (user, error) in [
            ("", UserNameError::Empty),
            (too_long.as_str(), UserNameError::TooLong),
            ("a:b", UserNameError::Colon),
            ("a\0b", UserNameError::Control),
            ("a\nb", UserNameError::Control),
            ("a\u{85}b", UserNameError::Control),
            ("#ann", UserNameError::Comment),
            (" ann", UserNameError::OuterSpace),
            ("ann\u{a0}", UserNameError::OuterSpace),
            ("\u{feff}ann", UserNameError::OuterSpace),
        ] {
            assert_eq!(check_user_name(user), Err(error), "{user:?}");
        }
    }
}
