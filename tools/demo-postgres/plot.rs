//! One plot: what a side held over time, what it was granted, and what it was refused.
//!
//! In: times in seconds since the story began, and counts. Out: a part of an SVG. Forbidden here: I/O.

use std::fmt::Write as _;

/// How wide and high a plot is.
pub const SIZE: (f64, f64) = (396.0, 150.0);

/// The colour of what should not be.
pub const BAD: &str = "#cf222e";
/// The colour of what should be.
pub const GOOD: &str = "#1f883d";

/// How high the refusals of one moment stand above the limit at most.
const REFUSALS: f64 = 30.0;
/// How many moments refusals are counted by.
const BUCKETS: usize = 132;
/// How far apart two labels of steps must be.
const LABEL: f64 = 74.0;

/// One side of a story.
#[derive(Debug, Clone)]
pub struct Side {
    /// What stands above it.
    pub heading: String,
    /// Its colour.
    pub tone: &'static str,
    /// What was held, at each moment at which it was counted.
    pub held: Vec<(f64, f64)>,
    /// The sum of the grants, at each moment at which it changed.
    pub granted: Vec<(f64, f64)>,
    /// When a connection was refused, in order.
    pub refusals: Vec<f64>,
}

/// A place on the page, and what both sides of a story share.
#[derive(Debug, Clone, Copy)]
pub struct Plot<'a> {
    /// Its left edge.
    pub left: f64,
    /// Its upper edge: the limit.
    pub top: f64,
    /// The limit.
    pub allowed: f64,
    /// How long the story took.
    pub seconds: f64,
    /// When each step began, and its name.
    pub steps: &'a [(f64, &'static str)],
}

impl Plot<'_> {
    /// All of it.
    pub fn draw(&self, side: &Side) -> String {
        let mut text = self.ground(side);
        text.push_str(&self.marks());
        let (area, line) = self.held(&side.held);
        let tone = side.tone;
        let _ = writeln!(text, "<path d=\"{area}\" fill=\"{tone}\" fill-opacity=\"0.18\"/>");
        let _ = writeln!(text, "<path d=\"{line}\" fill=\"none\" stroke=\"{tone}\" stroke-width=\"1.5\"/>");
        if !side.granted.is_empty() {
            let line = self.stairs(&side.granted);
            let _ = writeln!(
                text,
                "<path d=\"{line}\" fill=\"none\" stroke=\"#0969da\" stroke-width=\"1.5\" stroke-dasharray=\"4 3\"/>"
            );
        }
        text.push_str(&self.limit());
        text.push_str(&self.refusals(&side.refusals));
        text
    }

    /// The heading, the axes and their figures.
    fn ground(&self, side: &Side) -> String {
        let (width, height) = SIZE;
        let (left, top, bottom) = (self.left, self.top, self.top + height);
        let mut text = format!(
            "<text x=\"{left:.1}\" y=\"{:.1}\" font-size=\"13\" font-weight=\"600\" fill=\"{}\">{}</text>\n",
            top - 42.0,
            side.tone,
            escaped(&side.heading)
        );
        let _ = writeln!(
            text,
            "<path d=\"M{left:.1} {top:.1}V{bottom:.1}H{:.1}\" fill=\"none\" stroke=\"#8c959f\"/>",
            left + width
        );
        let _ = writeln!(
            text,
            "<g font-size=\"11\" fill=\"#59636e\"><text x=\"{0:.1}\" y=\"{1:.1}\" text-anchor=\"end\">0</text>\
             <text x=\"{0:.1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>\
             <text x=\"{4:.1}\" y=\"{5:.1}\" text-anchor=\"end\">{6:.0} s</text></g>",
            left - 6.0,
            bottom + 4.0,
            self.y(self.allowed) + 4.0,
            self.allowed,
            left + width,
            bottom + 44.0,
            self.seconds
        );
        text
    }

    /// Where each step began; a label that would stand on another goes below it.
    fn marks(&self) -> String {
        let bottom = self.top + SIZE.1;
        let mut text = String::from("<g font-size=\"11\" fill=\"#59636e\">\n");
        // From where on each line of labels is free.
        let mut lines = [f64::NEG_INFINITY; 3];
        for (at, title) in self.steps {
            let x = self.x(*at);
            let free = lines.iter_mut().zip(1_u32..).find(|(free, _)| **free <= x);
            let line = free.map_or(1, |(free, line)| {
                *free = x + LABEL;
                line
            });
            // One near the right end stands before its mark.
            let anchor = if x + LABEL > self.left + SIZE.0 { "end" } else { "start" };
            let _ = writeln!(
                text,
                "<path d=\"M{x:.1} {:.1}V{bottom:.1}\" stroke=\"#d1d9e0\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                self.top,
                bottom + 2.0 + 14.0 * f64::from(line),
                escaped(title)
            );
        }
        text.push_str("</g>\n");
        text
    }

    fn limit(&self) -> String {
        let y = self.y(self.allowed);
        format!(
            "<path d=\"M{:.1} {y:.1}h{:.1}\" stroke=\"#1f2328\" stroke-width=\"1.5\"/>\n",
            self.left, SIZE.0
        )
    }

    /// Bars above the limit: how many were refused in each part of the time.
    fn refusals(&self, times: &[f64]) -> String {
        let part = self.seconds / as_height(BUCKETS as u64);
        let counts: Vec<u32> = (1..=BUCKETS)
            .scan(times.iter().peekable(), |times, bucket| {
                // What is left at the end belongs to the last one.
                let end = if bucket == BUCKETS { f64::INFINITY } else { as_height(bucket as u64) * part };
                Some(std::iter::from_fn(|| times.next_if(|at| **at < end)).map(|_| 1).sum())
            })
            .collect();
        let most = f64::from(counts.iter().copied().max().unwrap_or(0).max(1));
        let width = SIZE.0 / as_height(BUCKETS as u64);
        let y = self.y(self.allowed) - 1.0;
        let mut path = String::new();
        for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // One refusal is to be seen beside hundreds.
            let height = (f64::from(*count) / most * REFUSALS).max(2.0);
            let x = self.left + as_height(bucket as u64) * width;
            let _ = write!(path, "M{x:.1} {y:.1}v-{height:.1}h{:.1}v{height:.1}z", width - 0.6);
        }
        if path.is_empty() { path } else { format!("<path d=\"{path}\" fill=\"{BAD}\"/>\n") }
    }

    /// What was held, as an area and as its upper edge.
    fn held(&self, samples: &[(f64, f64)]) -> (String, String) {
        let columns = self.columns(samples);
        let point = |(x, held): &(f64, f64)| format!("{x:.0} {:.1}", self.y(*held));
        let edge = corners(&columns).map(point).collect::<Vec<_>>().join("L");
        let ends = [columns.first(), columns.last()].map(|end| end.map_or(self.left, |(x, _)| *x));
        let ([first, last], bottom) = (ends, self.top + SIZE.1);
        (format!("M{first:.0} {bottom:.1}L{edge}L{last:.0} {bottom:.1}z"), format!("M{edge}"))
    }

    /// The highest sample of each column of pixels.
    fn columns(&self, samples: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let mut columns: Vec<(f64, f64)> = Vec::new();
        for (at, held) in samples {
            let x = self.x(*at).round();
            match columns.last_mut() {
                Some((last, highest)) if *last >= x => *highest = highest.max(*held),
                _ => columns.push((x, *held)),
            }
        }
        columns
    }

    /// A sum that stays as it is until it changes.
    fn stairs(&self, changes: &[(f64, f64)]) -> String {
        let mut path = format!("M{:.1} {:.1}", self.left, self.y(0.0));
        for (at, sum) in changes {
            let _ = write!(path, "H{:.1}V{:.1}", self.x(*at), self.y(*sum));
        }
        let _ = write!(path, "H{:.1}", self.left + SIZE.0);
        path
    }

    fn x(&self, at: f64) -> f64 {
        self.left + at / self.seconds * SIZE.0
    }

    fn y(&self, connections: f64) -> f64 {
        self.top + SIZE.1 - connections / self.allowed * SIZE.1
    }
}

/// The points between which a line is straight, without those within a level stretch.
fn corners(points: &[(f64, f64)]) -> impl Iterator<Item = &(f64, f64)> {
    points.iter().enumerate().filter_map(|(place, point)| {
        let same = |other: Option<&(f64, f64)>| other.is_some_and(|other| other.1 == point.1);
        let before = place.checked_sub(1).and_then(|before| points.get(before));
        let level = same(before) && same(points.get(place + 1));
        (!level).then_some(point)
    })
}

/// Counts are far from where a float loses ones.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub fn as_height(count: u64) -> f64 {
    count as f64
}

/// Text that stands between tags.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [(f64, &str); 3] = [(0.0, "start"), (1.0, "scale up"), (6.0, "roll out")];
    const PLOT: Plot<'_> = Plot { left: 0.0, top: 0.0, allowed: 10.0, seconds: 10.0, steps: &STEPS };

    #[test]
    fn every_refusal_is_drawn_the_last_moments_included() {
        let bars = PLOT.refusals(&[2.0, 2.001, 10.0]);
        assert_eq!(bars.matches('M').count(), 2, "{bars}");
        assert_eq!(PLOT.refusals(&[]), "");
    }

    #[test]
    fn the_limit_is_the_top_of_a_plot_and_nothing_its_bottom() {
        assert_eq!([PLOT.y(10.0), PLOT.y(0.0)], [0.0, SIZE.1]);
        assert_eq!([PLOT.x(0.0), PLOT.x(10.0)], [0.0, SIZE.0]);
    }

    #[test]
    fn samples_of_one_column_show_the_highest() {
        let (_, line) = PLOT.held(&[(0.0, 0.0), (1.0, 7.0), (1.01, 9.0), (10.0, 10.0)]);
        assert_eq!(line, "M0 150.0L40 15.0L396 0.0");
    }

    #[test]
    fn a_level_stretch_is_drawn_by_its_two_ends() {
        let points = [(0.0, 5.0), (1.0, 5.0), (2.0, 5.0), (3.0, 6.0), (4.0, 6.0)];
        let places: Vec<f64> = corners(&points).map(|(x, _)| *x).collect();
        assert_eq!(places, [0.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn labels_that_would_stand_on_each_other_go_on_lines_of_their_own() {
        let heights = |steps: &[(f64, &'static str)]| -> Vec<String> {
            let marks = Plot { steps, ..PLOT }.marks();
            let height = |line: &str| line.split("\" y=\"").nth(1)?.split('"').next().map(str::to_owned);
            marks.lines().filter_map(height).collect()
        };
        assert_eq!(heights(&STEPS), ["166.0", "180.0", "166.0"]);
        assert_eq!(heights(&[(0.0, "a"), (0.1, "b"), (0.2, "c")]), ["166.0", "180.0", "194.0"]);
    }

    #[test]
    fn a_label_near_the_right_end_stands_before_its_mark() {
        let marks = Plot { steps: &[(9.9, "scale down")], ..PLOT }.marks();
        assert!(marks.contains("text-anchor=\"end\">scale down<"), "{marks}");
    }
}
