//! "Did you mean": the nearest of the names that exist.

/// The candidate that `name` is most likely a slip for, if any is near.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // One slip in three letters.
    const NEAR: f64 = 0.6;
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?`, or nothing.
pub(super) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    nearest(name, candidates)
        .map(|candidate| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_nothing_far() {
        let names = ["max_packet_size", "max_inflight", "receive_maximum"];
        assert_eq!(nearest("max_packt_size", names), Some("max_packet_size"));
        assert_eq!(nearest("recieve_maximum", names), Some("receive_maximum"));
        assert_eq!(nearest("lgo", ["auth", "log"]), Some("log"));
        assert_eq!(nearest("zzz", names), None);
        assert_eq!(did_you_mean("zzz", names), "");
    }
}
