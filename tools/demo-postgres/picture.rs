//! The counts over time as a picture: one row for each story, without poolbudget on the left, with it on the right.
//!
//! In: what was told. Out: an SVG with a ground of its own, so that it reads the same on a light and on a dark page,
//! and without anything that moves. Forbidden here: I/O.

use testkit::postgres::count::Sample;
use testkit::postgres::side::Outcome;
use testkit::postgres::told::Told;

use super::plot::{BAD, GOOD, Plot, Side, as_height, escaped};

const WIDTH: f64 = 960.0;
const ROW: f64 = 306.0;
const TOP: f64 = 52.0;
const LEGEND: f64 = 44.0;

/// The left edges of the two plots, and where they lie in their row.
const LEFT: [f64; 2] = [56.0, 528.0];
const PLOT_TOP: f64 = 96.0;

/// One story, reduced to what is drawn. Times are seconds since it began.
#[derive(Debug, Clone)]
pub struct Row {
    title: String,
    allowed: f64,
    seconds: f64,
    steps: Vec<(f64, &'static str)>,
    sides: [Side; 2],
}

impl Row {
    /// What is drawn of a story.
    pub fn of(told: &Told) -> Self {
        let (began, ended) = told.span;
        let after = |at: f64| (at - began).clamp(0.0, ended - began);
        let held = |sample: &Sample| (after(sample.at), as_height(sample.held()));
        let side = |heading: &str, tone, outcome: &Outcome| Side {
            heading: format!("{heading}: {} refused", thousands(outcome.refused)),
            tone,
            held: outcome.samples.iter().map(held).collect(),
            granted: Vec::new(),
            refusals: outcome.refusals().into_iter().map(after).collect(),
        };
        let without = side("Without poolbudget, 5 + 10 each", BAD, &told.without);
        let mut with = side("With poolbudget", if told.with.refused == 0 { GOOD } else { BAD }, &told.with);
        with.granted = told.granted.iter().map(|(at, sum)| (after(*at), as_height(*sum))).collect();
        Self {
            title: told.way.name.to_owned(),
            allowed: as_height(told.way.allowed()),
            seconds: ended - began,
            steps: told.marks.iter().map(|mark| (after(mark.at), mark.step.title)).collect(),
            sides: [without, with],
        }
    }

    fn draw(&self, top: f64) -> String {
        let mut text = format!(
            "<text x=\"30\" y=\"{:.1}\" font-weight=\"600\">{}</text>\n",
            top + 30.0,
            escaped(&self.title)
        );
        for (side, left) in self.sides.iter().zip(LEFT) {
            let (allowed, seconds, steps) = (self.allowed, self.seconds, self.steps.as_slice());
            let plot = Plot { left, top: top + PLOT_TOP, allowed, seconds, steps };
            text.push_str(&plot.draw(side));
        }
        text
    }
}

/// The whole picture.
pub fn draw(rows: &[Row]) -> String {
    let bottom = rows.iter().fold(TOP, |top, _| top + ROW);
    let height = bottom + LEGEND;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title text\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" \
         font-size=\"14\" fill=\"#1f2328\">\n\
         <title id=\"title\">Connections over time, without and with poolbudget</title>\n\
         <desc id=\"text\">{}</desc>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{:.1}\" height=\"{:.1}\" rx=\"10\" fill=\"#ffffff\" stroke=\"#d1d9e0\"/>\n\
         <text x=\"30\" y=\"36\" font-size=\"16\" font-weight=\"600\">The same applications under the same load, at the same time</text>\n",
        escaped(&in_words(rows)),
        WIDTH - 1.0,
        height - 1.0
    );
    for (place, row) in rows.iter().enumerate() {
        text.push_str(&row.draw(TOP + as_height(place as u64) * ROW));
    }
    text.push_str(&legend(bottom + 8.0));
    text.push_str("</svg>\n");
    text
}

/// For those who do not see it.
fn in_words(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let [without, with] = &row.sides;
        format!("{}. {}. {}.", row.title, without.heading, with.heading)
    };
    rows.iter().map(row).collect::<Vec<_>>().join(" ")
}

fn legend(y: f64) -> String {
    let text = y + 12.0;
    let line = y + 8.0;
    format!(
        "<g font-size=\"12\" fill=\"#59636e\">\n\
         <path d=\"M30 {line:.1}h18\" stroke=\"#1f2328\" stroke-width=\"1.5\"/><text x=\"54\" y=\"{text:.1}\">what the server lets in</text>\n\
         <rect x=\"216\" y=\"{y:.1}\" width=\"18\" height=\"14\" fill=\"#8c959f\" fill-opacity=\"0.3\"/><text x=\"240\" y=\"{text:.1}\">held, by the server's own count</text>\n\
         <path d=\"M464 {line:.1}h18\" stroke=\"#0969da\" stroke-width=\"1.5\" stroke-dasharray=\"4 3\"/><text x=\"488\" y=\"{text:.1}\">granted</text>\n\
         <rect x=\"568\" y=\"{y:.1}\" width=\"18\" height=\"14\" fill=\"{BAD}\"/><text x=\"592\" y=\"{text:.1}\">refused: how many, above the line</text>\n\
         </g>\n"
    )
}

/// `5,213`
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let grouped = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    grouped.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let side = |heading: &str, tone| Side {
            heading: heading.to_owned(),
            tone,
            held: vec![(0.0, 0.0), (10.0, 10.0)],
            granted: Vec::new(),
            refusals: Vec::new(),
        };
        Row {
            title: "A server of 10 & more".to_owned(),
            allowed: 10.0,
            seconds: 10.0,
            steps: vec![(0.0, "start")],
            sides: [side("Without: 3 refused", BAD), side("With: 0 refused", GOOD)],
        }
    }

    #[test]
    fn the_picture_says_in_words_what_it_shows() {
        let picture = draw(&[row(), row()]);
        assert!(
            picture.contains("A server of 10 &amp; more. Without: 3 refused. With: 0 refused."),
            "{picture}"
        );
        assert_eq!(picture.matches("<svg").count(), 1);
        assert!(!picture.contains("<script"), "{picture}");
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
