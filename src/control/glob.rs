//! Patterns for names: `*` is any text, `?` any character.

/// Whether `pattern` means `text`. Takes no longer than the product of both is long.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // What to go on with, should the latest `*` have to stand for one character more.
    let mut retry = None;
    loop {
        let rest = text.clone();
        match (pattern.next(), text.next()) {
            (Some('*'), _) => {
                retry = Some((pattern.clone(), rest.clone()));
                text = rest;
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (None, None) => return true,
            _ => {
                let Some((after_star, skipped)) = &mut retry else { return false };
                if skipped.next().is_none() {
                    return false;
                }
                (pattern, text) = (after_star.clone(), skipped.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_a_shell_would_mean_by_it() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "anything"),
            ("dev-?", "dev-ü"),
            ("*-*-c", "a-b-b-c"),
            ("a*b*c", "a-b-bc-c"),
            ("**", "x"),
            ("plain", "plain"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "x"),
            ("?", ""),
            ("dev-?", "dev-10"),
            ("a*b", "a-b-c"),
            ("*x*", "abc"),
            ("A", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
