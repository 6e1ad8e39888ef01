//! What the demo writes while it goes on, and the figures at its end.
//!
//! In: glances and outcomes. Out: lines of at most 80 columns. Forbidden here: I/O.

use testkit::postgres::side::Outcome;
use testkit::postgres::told::{Glance, Mark, Told};
use testkit::postgres::way::Way;

/// Cells of a bar.
const CELLS: u64 = 18;

/// Seconds between two rows.
const PACE: f64 = 2.0;

/// The rows of one story.
#[derive(Debug)]
pub struct Rows {
    allowed: u64,
    step: &'static str,
    last: f64,
}

/// What stands above the rows.
pub fn head(way: &Way) -> Vec<String> {
    let title = format!("{}: {} connections for applications", way.name, way.allowed());
    vec![String::new(), title, format!("{:>6}   {:<35}{}", "", "without poolbudget", "with poolbudget")]
}

impl Rows {
    /// Before the first one.
    pub fn new(way: &Way) -> Self {
        Self { allowed: way.allowed(), step: "", last: f64::NEG_INFINITY }
    }

    /// The command, when it is a new one, and the counts, when it is time for them.
    pub fn next(&mut self, mark: &Mark, glance: Glance) -> Vec<String> {
        let mut lines = Vec::new();
        if self.step != mark.step.title {
            self.step = mark.step.title;
            lines.extend(mark.step.commands.iter().map(|command| format!("$ {command}")));
        }
        if glance.at - self.last >= PACE {
            self.last = glance.at;
            let [without, with] = [glance.without, glance.with].map(|side| self.cell(side));
            lines.push(format!("{:>4.0} s   {without:<35}{with}", glance.at).trim_end().to_owned());
        }
        lines
    }

    /// `██████░░░  12  345 refused`
    fn cell(&self, (held, refused): (u64, usize)) -> String {
        let full = (held * CELLS).div_ceil(self.allowed).min(CELLS);
        let cells: String = (0..CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect();
        let refused = if refused == 0 { String::new() } else { format!("{refused} refused") };
        format!("{cells} {held:>2} {refused}")
    }
}

/// The figures of both sides.
pub fn sum(told: &Told) -> Vec<String> {
    let row = |what: &str, of: &dyn Fn(&Outcome) -> String| {
        format!("  {what:<32}{:>16}{:>16}", of(&told.without), of(&told.with))
    };
    let waited = |side: &Outcome| side.lives.iter().map(|life| life.waited).sum::<u64>().to_string();
    let mut lines = vec![
        String::new(),
        format!("  {:<32}{:>16}{:>16}", "", "without", "with"),
        row("refused connections", &|side| side.refused.to_string()),
        row("most that was held at once", &|side| format!("{} of {}", side.peak(), told.way.allowed())),
        row("answered queries", &|side| side.queries().to_string()),
        row("pool time-outs in applications", &waited),
        row("pods Ready in the end", &|side| format!("{} of {}", side.ready.0, side.ready.1)),
    ];
    let above = told.above_grants();
    lines.push(format!("  Most that the server held above the sum of the grants of that moment: {above}"));
    lines.extend(told.faults.iter().map(|fault| format!("  WRONG: {fault}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::postgres::way::DIRECT;

    const GLANCE: Glance = Glance { at: 12.3, without: (37, 5213), with: (6, 0) };

    fn mark() -> Mark {
        Mark { step: &DIRECT.steps[1], at: 0.0 }
    }

    #[test]
    fn a_row_shows_both_sides_and_stays_within_eighty_columns() {
        let lines = Rows::new(&DIRECT).next(&mark(), GLANCE);
        insta::assert_snapshot!(lines.join("\n"), @"
        $ kubectl scale deployment api --replicas=4
        $ kubectl scale deployment feed --replicas=3
          12 s   ██████████████████ 37 5213 refused ███░░░░░░░░░░░░░░░  6
        ");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    }

    #[test]
    fn a_command_is_shown_once_and_counts_not_too_often() {
        let mut rows = Rows::new(&DIRECT);
        assert_eq!(rows.next(&mark(), GLANCE).len(), 3);
        assert_eq!(rows.next(&mark(), Glance { at: 12.5, ..GLANCE }), Vec::<String>::new());
        assert_eq!(rows.next(&mark(), Glance { at: 14.4, ..GLANCE }).len(), 1);
    }

    #[test]
    fn whatever_is_held_fills_at_least_one_cell_and_never_more_than_all() {
        let rows = Rows::new(&DIRECT);
        let full = |held| rows.cell((held, 0)).chars().filter(|cell| *cell == '█').count();
        assert_eq!([full(0), full(1), full(37), full(60)], [0, 1, 18, 18]);
    }
}
