//! The two formats of `/metrics`: the text format of Prometheus, and `OpenMetrics` 1.0 where that is asked for.

/// What figures are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Of Prometheus, version 0.0.4.
    Text,
    /// With exemplars.
    OpenMetrics,
}

/// The media type of `OpenMetrics`.
const OPEN: &str = "application/openmetrics-text";

impl Format {
    /// What a scraper would like best (RFC 9110, section 12.5.1). Where it likes both alike it is `OpenMetrics`, which has more.
    /// `accept`: values of that field.
    pub fn wanted<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut open, mut text) = (0.0, 0.0_f32);
        for value in accept.filter_map(|value| std::str::from_utf8(value).ok()) {
            for range in value.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
                let (mut quality, mut is_known) = (1.0_f32, true);
                for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                    match name.trim().to_ascii_lowercase().as_str() {
                        "q" => quality = value.trim().parse().unwrap_or(0.0),
                        "version" => is_known = matches!(value.trim().trim_matches('"'), "1.0.0" | "0.0.4"),
                        _ => {}
                    }
                }
                match kind.as_str() {
                    OPEN if is_known => open = quality.max(open),
                    "text/plain" if is_known => text = quality.max(text),
                    _ => {}
                }
            }
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The bound of a bucket; `None`: there is none. `OpenMetrics` wants a point in it ("Considerations: Canonical Numbers").
    pub(super) fn bound(self, bound: Option<f64>) -> String {
        match (bound, self) {
            (None, _) => "+Inf".to_owned(),
            (Some(bound), Self::Text) => bound.to_string(),
            (Some(bound), Self::OpenMetrics) => format!("{bound:?}"),
        }
    }

    /// All figures, written as text, as this format has them: families of `OpenMetrics` have a name without the `_total` of their
    /// samples, and the whole has an end.
    pub fn finish(self, text: String) -> String {
        if self == Self::Text {
            return text;
        }
        let mut found = String::with_capacity(text.len());
        for line in text.lines() {
            let family = line.strip_prefix("# ").and_then(|rest| {
                let (word, rest) = rest.split_once(' ')?;
                let (name, more) = rest.split_once(' ')?;
                Some((word, name.strip_suffix("_total")?, more))
            });
            match family {
                Some((word, name, more)) => found.extend(["# ", word, " ", name, " ", more]),
                None => found.push_str(line),
            }
            found.push('\n');
        }
        found.push_str("# EOF\n");
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{self, OpenMetrics, Text};

    #[test]
    fn what_scrapers_ask_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (&[][..], Text),
            (&[""][..], Text),
            (&["*/*"], Text),
            (&["text/html"], Text),
            (&["text/plain;version=0.0.4"], Text),
            (&[prometheus], OpenMetrics),
            (&["Application/OpenMetrics-Text"], OpenMetrics),
            (&["application/openmetrics-text; version=\"1.0.0\"; charset=utf-8"], OpenMetrics),
            (&["application/openmetrics-text;version=0.0.1"], Text),
            (&["application/openmetrics-text;q=0"], Text),
            (&["application/openmetrics-text;q=x"], Text),
            (&["application/openmetrics-text;q=0.2", "text/plain;q=0.9"], Text),
            (&["text/plain", "application/openmetrics-text"], OpenMetrics),
            (&["application/openmetrics-textual"], Text),
        ] {
            assert_eq!(Format::wanted(accept.iter().map(|it| it.as_bytes())), expected, "{accept:?}");
        }
        assert_eq!(Format::wanted([&b"\xff, application/openmetrics-text"[..]].into_iter()), Text);
    }

    #[test]
    fn families_and_the_end() {
        let text =
            "# HELP a_total What.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n# HELP d total\n# TYPE d gauge\nd 2\n";
        assert_eq!(Text.finish(text.to_owned()), text);
        let open = "# HELP a What.\n# TYPE a counter\na_total{b=\"c\"} 1\n# HELP d total\n# TYPE d gauge\nd 2\n# EOF\n";
        assert_eq!(OpenMetrics.finish(text.to_owned()), open);
        for (bound, of_text, of_open) in
            [(Some(1.0), "1", "1.0"), (Some(0.0025), "0.0025", "0.0025"), (None, "+Inf", "+Inf")]
        {
            assert_eq!([Text.bound(bound), OpenMetrics.bound(bound)], [of_text, of_open]);
        }
    }
}
