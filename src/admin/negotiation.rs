//! In which format metrics are shown: what the reader would rather have (RFC 9110 section 12.5.1).

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What to answer to this `Accept`. Who does not ask for OpenMetrics by name gets what Prometheus has
    /// always read.
    pub(super) fn wanted(accept: &str) -> Self {
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let (mut quality, mut is_ours) = (1.0, true);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                let (name, value) = (name.trim(), value.trim().trim_matches('"'));
                if name.eq_ignore_ascii_case("q") {
                    // What is no quality is none that we could give.
                    quality = value.parse::<f32>().ok().filter(|q| *q <= 1.0).unwrap_or(0.0);
                } else if name.eq_ignore_ascii_case("version") {
                    is_ours = value == "1.0.0";
                }
            }
            if kind.eq_ignore_ascii_case("application/openmetrics-text") && is_ours {
                open = open.max(quality);
            } else if ["text/plain", "text/*", "*/*"].iter().any(|it| kind.eq_ignore_ascii_case(it))
            {
                plain = plain.max(quality);
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_itself_gets_openmetrics() {
        let accept = "application/openmetrics-text;version=1.0.0,\
                      application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::wanted(accept), Format::OpenMetrics);
        assert_eq!(Format::wanted("APPLICATION/OpenMetrics-Text"), Format::OpenMetrics);
    }

    #[test]
    fn who_does_not_ask_for_openmetrics_or_would_rather_not_gets_plain_text() {
        for accept in [
            "",
            "*/*",
            "text/html, */*;q=0.8",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=nan",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text; version=0.0.1",
            "text/plain, application/openmetrics-text; version=1.0.0; q=0.5",
        ] {
            assert_eq!(Format::wanted(accept), Format::Prometheus, "{accept}");
        }
    }
}
