//! A bar: how much of a whole is taken.

use super::{Paint, Tone};

/// Characters of a bar.
const WIDTH: u64 = 44;

/// How much of `whole` is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The part that is taken; it may be more than the whole.
    pub taken: u64,
    /// The whole.
    pub whole: u64,
}

impl Bar {
    /// The bar and its numbers: `██████░░  6 of 8`. It is full only when all is taken, and empty only when nothing is.
    #[must_use]
    pub fn render(self, paint: Paint) -> String {
        let filled = self.filled();
        let run = |character: char, n: u64| (0..n).map(|_| character).collect::<String>();
        let tone = if self.taken > self.whole { Tone::Bad } else { Tone::Good };
        let (full, free) = (run('█', filled), run('░', WIDTH - filled));
        format!(
            "{}{}  {} of {}",
            paint.text(tone, &full),
            paint.text(Tone::Dim, &free),
            self.taken,
            self.whole
        )
    }

    fn filled(self) -> u64 {
        match (self.taken, self.whole) {
            (0, _) => 0,
            (taken, whole) if taken >= whole => WIDTH,
            (taken, whole) => {
                let share = u128::from(taken) * u128::from(WIDTH) / u128::from(whole);
                u64::try_from(share).unwrap_or(WIDTH).clamp(1, WIDTH - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(taken: u64, whole: u64) -> u64 {
        Bar { taken, whole }.filled()
    }

    #[test]
    fn a_bar_shows_how_much_is_taken() {
        let bar = Bar { taken: 12, whole: 13 }.render(Paint::PLAIN);
        assert_eq!(bar, "████████████████████████████████████████░░░░  12 of 13");
    }

    #[test]
    fn it_is_full_only_when_all_is_taken_and_empty_only_when_nothing_is() {
        assert_eq!([filled(0, 13), filled(1, 1_000), filled(999, 1_000), filled(13, 13)], [0, 1, 43, 44]);
    }

    #[test]
    fn more_than_the_whole_fills_it() {
        assert_eq!([filled(20, 13), filled(1, 0), filled(u64::MAX, u64::MAX), filled(0, 0)], [44, 44, 44, 0]);
    }
}
