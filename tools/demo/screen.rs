//! How a moment looks: the bar of the sum against what is allowed, and the pods with their sizes.
//!
//! In: a [`Scene`] and the space there is. Out: lines, none of them wider than that. Forbidden here: I/O.

/// A moment, as the independent recorder sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// What the pods on the bar may open together.
    pub held: u64,
    /// What they may open at most.
    pub allowed: u64,
    /// What pods outside of the budget may open on top.
    pub outside: u64,
    /// The pods, in the order in which they are shown.
    pub pods: Vec<PodLine>,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodLine {
    /// Where it stands.
    pub state: State,
    /// Its name.
    pub name: String,
    /// `pool_size+max_overflow`, or what else is known.
    pub size: String,
}

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Runs with the size that it was given.
    Granted,
    /// Was told to go and may hold its connections still.
    Draining,
    /// Behind its gate.
    Waiting,
    /// Runs with a size of its own.
    Ungoverned,
}

/// The space there is, and whether colours can be seen.
#[derive(Debug, Clone, Copy)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Lines at most; pods that do not fit are counted.
    pub height: usize,
    /// Whether escape sequences may be used.
    pub colour: bool,
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// On its way.
    Moving,
    /// More than is allowed.
    Bad,
    /// Less important than the rest.
    Faint,
    /// More important than the rest.
    Strong,
}

const INDENT: &str = "  ";
const GAP: &str = "    ";

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Draining => "draining",
            Self::Waiting => "waiting",
            Self::Ungoverned => "no budget",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Granted => Tone::Good,
            Self::Draining => Tone::Faint,
            Self::Waiting => Tone::Moving,
            Self::Ungoverned => Tone::Bad,
        }
    }
}

impl Canvas {
    /// The text in the colour of its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Moving => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The same, with lines set aside for something else.
    pub fn lower_by(self, lines: usize) -> Self {
        Self { height: self.height.saturating_sub(lines), ..self }
    }

    /// The bar, what is outside of it, and the pods.
    pub fn draw(self, scene: &Scene) -> Vec<String> {
        let mut lines = vec![self.bar(scene.held, scene.allowed)];
        if scene.outside > 0 {
            let outside = format!("and {} on top, by pods that no budget governs", scene.outside);
            lines.push(format!("{INDENT}{}", self.paint(Tone::Bad, &cut(&outside, self.room()))));
        }
        lines.push(String::new());
        let space = self.height.saturating_sub(lines.len());
        lines.extend(self.pods(&scene.pods, space));
        lines
    }

    /// A sentence in as many lines as it needs.
    pub fn wrap(self, text: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            match lines.last_mut() {
                Some(line) if width(line) + 1 + width(word) <= self.width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(format!("{INDENT}{word}")),
            }
        }
        lines
    }

    fn room(self) -> usize {
        self.width.saturating_sub(INDENT.len())
    }

    /// `████░░  4 of 6 connections`, as wide as the canvas.
    fn bar(self, held: u64, allowed: u64) -> String {
        let caption = format!("  {held} of {allowed} connections");
        let cells = self.room().saturating_sub(caption.len());
        let full = share(cells, held, allowed);
        let tone = if held > allowed { Tone::Bad } else { Tone::Good };
        let filled = self.paint(tone, &"█".repeat(full));
        let free = self.paint(Tone::Faint, &"░".repeat(cells - full));
        format!("{INDENT}{filled}{free}{}", self.paint(Tone::Strong, &caption))
    }

    /// The pods in as many columns as fit, filled from top to bottom.
    fn pods(self, pods: &[PodLine], space: usize) -> Vec<String> {
        let widest = |of: fn(&PodLine) -> usize| pods.iter().map(of).max().unwrap_or(0);
        let (size, word) = (widest(|pod| width(&pod.size)), widest(|pod| pod.state.word().len()));
        let rest = size + word + 4;
        let name = widest(|pod| width(&pod.name)).min(self.room().saturating_sub(rest));
        let columns = ((self.room() + GAP.len()) / (name + rest + GAP.len())).max(1);
        let rows = pods.len().div_ceil(columns);
        let shown = if rows > space { space.saturating_sub(1) } else { rows };
        let mut lines: Vec<String> = (0..shown)
            .map(|row| {
                let cells = pods.iter().skip(row).step_by(rows);
                let cells = cells.map(|pod| self.cell(pod, name, size, word)).collect::<Vec<_>>();
                format!("{INDENT}{}", cells.join(GAP)).trim_end().to_owned()
            })
            .collect();
        if shown < rows {
            let hidden = (shown..rows).map(|row| pods.iter().skip(row).step_by(rows).count()).sum::<usize>();
            lines.push(format!("{INDENT}… and {hidden} more"));
        }
        lines
    }

    fn cell(self, pod: &PodLine, name: usize, size: usize, word: usize) -> String {
        let word = format!("{:<word$}", pod.state.word());
        let named = format!("{:<name$}  {:>size$}", cut_front(&pod.name, name), pod.size);
        format!("{named}  {}", self.paint(pod.state.tone(), &word))
    }
}

/// How many of `cells` a part of a whole takes: none only for nothing, and all only for all of it.
fn share(cells: usize, part: u64, whole: u64) -> usize {
    if part >= whole {
        return if part == 0 { 0 } else { cells };
    }
    let filled = u128::from(part) * (cells as u128) / u128::from(whole.max(1));
    let filled = usize::try_from(filled).unwrap_or(cells);
    if part > 0 { filled.max(1).min(cells) } else { filled }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// At most so many characters of it.
fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(std::iter::once('…')).take(most).collect()
}

/// The same, but its end: that is where the names of pods differ.
fn cut_front(text: &str, most: usize) -> String {
    let hidden = width(text).saturating_sub(most);
    if hidden == 0 {
        return text.to_owned();
    }
    std::iter::once('…').chain(text.chars().skip(hidden + 1)).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Canvas = Canvas { width: 80, height: usize::MAX, colour: false };

    fn pod(name: &str, size: &str, state: State) -> PodLine {
        PodLine { state, name: name.to_owned(), size: size.to_owned() }
    }

    fn rollout() -> Scene {
        let pods = vec![
            pod("api-5f7c9d8b6c-2xk4p", "1+1", State::Granted),
            pod("api-5f7c9d8b6c-8hj2l", "1+1", State::Granted),
            pod("api-77b9c4d5f-qm6vz", "1+3", State::Draining),
            pod("api-5f7c9d8b6c-tt9wd", "-", State::Waiting),
            pod("api-66d8f7b9c4-kl5xn", "15", State::Ungoverned),
        ];
        Scene { held: 8, allowed: 13, outside: 15, pods }
    }

    /// Every line with a margin, so that its indentation counts.
    fn text(canvas: Canvas, scene: &Scene) -> String {
        canvas.draw(scene).iter().map(|line| format!("|{line}\n")).collect()
    }

    #[test]
    fn a_moment_is_a_bar_and_the_pods_with_their_sizes() {
        insta::assert_snapshot!(text(PLAIN, &rollout()), @"
        |  ███████████████████████████████████░░░░░░░░░░░░░░░░░░░░░░  8 of 13 connections
        |  and 15 on top, by pods that no budget governs
        |
        |  api-5f7c9d8b6c-2xk4p  1+1  granted      api-5f7c9d8b6c-tt9wd    -  waiting
        |  api-5f7c9d8b6c-8hj2l  1+1  granted      api-66d8f7b9c4-kl5xn   15  no budget
        |  api-77b9c4d5f-qm6vz   1+3  draining
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_one_column_and_shorter_names() {
        let narrow = Canvas { width: 32, ..PLAIN };
        insta::assert_snapshot!(text(narrow, &rollout()), @"
        |  █████░░░░  8 of 13 connections
        |  and 15 on top, by pods that n…
        |
        |  …c9d8b6c-2xk4p  1+1  granted
        |  …c9d8b6c-8hj2l  1+1  granted
        |  …b9c4d5f-qm6vz  1+3  draining
        |  …c9d8b6c-tt9wd    -  waiting
        |  …8f7b9c4-kl5xn   15  no budget
        ");
    }

    #[test]
    fn pods_that_do_not_fit_on_a_low_terminal_are_counted() {
        let low = Canvas { height: 5, ..PLAIN };
        insta::assert_snapshot!(text(low, &rollout()), @"
        |  ███████████████████████████████████░░░░░░░░░░░░░░░░░░░░░░  8 of 13 connections
        |  and 15 on top, by pods that no budget governs
        |
        |  api-5f7c9d8b6c-2xk4p  1+1  granted      api-5f7c9d8b6c-tt9wd    -  waiting
        |  … and 3 more
        ");
    }

    #[test]
    fn colours_say_what_is_well_and_what_is_not() {
        let pods = vec![pod("api-1", "1+1", State::Granted), pod("api-2", "-", State::Waiting)];
        let scene = Scene { held: 2, allowed: 4, outside: 0, pods };
        let coloured = Canvas { width: 44, colour: true, ..PLAIN };
        insta::assert_snapshot!(text(coloured, &scene).replace('\x1b', "ESC"), @"
        |  ESC[32m███████████ESC[0mESC[2m░░░░░░░░░░░ESC[0mESC[1m  2 of 4 connectionsESC[0m
        |
        |  api-1  1+1  ESC[32mgrantedESC[0m    api-2    -  ESC[33mwaitingESC[0m
        ");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 32..200 {
            let canvas = Canvas { width, ..PLAIN };
            let lines = canvas.draw(&rollout());
            assert!(lines.iter().all(|line| super::width(line) <= width), "{width}: {lines:#?}");
            assert!(
                canvas
                    .wrap("as long as the longest of its words fits")
                    .iter()
                    .all(|line| super::width(line) <= width)
            );
        }
    }

    #[test]
    fn the_bar_is_full_only_when_all_is_held_and_empty_only_when_nothing_is() {
        let of_ten = |part, whole| share(10, part, whole);
        assert_eq!([of_ten(0, 13), of_ten(1, 1000), of_ten(12, 13), of_ten(13, 13)], [0, 1, 9, 10]);
        assert_eq!([of_ten(30, 15), of_ten(0, 0), of_ten(999, 1000)], [10, 0, 9]);
        assert_eq!(of_ten(u64::MAX - 1, u64::MAX), 9);
    }

    #[test]
    fn a_long_sentence_takes_several_lines() {
        let canvas = Canvas { width: 30, ..PLAIN };
        let lines = canvas.wrap("20 pods × 1 = 20 connections, 13 usable; largest safe replicas: 13");
        assert_eq!(lines, ["  20 pods × 1 = 20", "  connections, 13 usable;", "  largest safe replicas: 13"]);
    }
}
