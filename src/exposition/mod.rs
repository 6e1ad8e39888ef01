//! The text format of Prometheus, which `OpenMetrics` extends, line by line.
//!
//! In: a page that anybody may have written. Out: its samples; a line that cannot be read says nothing. Forbidden here:
//! what a sample means.

/// The longest line that is read.
const LINE: usize = 4096;

/// The samples of a page.
pub fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    page.lines().filter(|line| line.len() <= LINE).filter_map(Sample::read)
}

/// One line of a page.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The name of the metric.
    pub name: &'a str,
    labels: &'a str,
    /// The value.
    pub value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let (name, rest) = line.split_at_checked(line.find(['{', ' ', '\t'])?)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_at_checked(end_of_labels(rest)?)?,
            None => ("", rest),
        };
        let value = rest.trim_start_matches('}').split_whitespace().next()?.parse().ok()?;
        Some(Self { name, labels, value })
    }

    /// The labels by name and value. An escape in a value stays as it is written.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.labels;
        std::iter::from_fn(move || {
            let (name, after) = rest.split_once("=\"")?;
            let end = end_of_value(after)?;
            let (value, after) = after.split_at_checked(end)?;
            rest = after.trim_start_matches('"');
            Some((name.trim_start_matches([',', ' ']), value))
        })
    }
}

/// Where the closing brace of labels is: outside of quotes.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        let is_end = byte == b'}' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })
}

/// Where the closing quote of a value is.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })
}
