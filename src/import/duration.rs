//! Durations as `persistent_client_expiration` has them: `14d`, `2m`.

const DAY: u32 = 24 * 3_600;

/// Seconds of a number and its unit: hours, days, weeks, months of 30 days or years.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "h" => 3_600,
        "d" => DAY,
        "w" => 7 * DAY,
        "m" => 30 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    // The greatest number stands for ever.
    number.parse::<u32>().ok()?.checked_mul(unit).filter(|seconds| *seconds != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_mosquitto() {
        assert_eq!(seconds("14d"), Some(1_209_600));
        assert_eq!(seconds("1h"), Some(3_600));
        assert_eq!(seconds("2m"), Some(5_184_000));
        assert_eq!(seconds("1y"), Some(31_536_000));
        for bad in ["", "d", "14", "14s", "-1d", "999y", "é"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
