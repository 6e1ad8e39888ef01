//! A paragraph beside a word: `Blocked  a sentence that goes on …`, broken into lines that are indented to its start.

/// Characters of a line.
const WIDTH: usize = 100;
/// Characters reserved for the leading word; a longer one takes what it needs.
const INDENT: usize = 12;

/// `lead` is printed as it is; `lead_width` is its width on screen. No line ends in spaces.
#[must_use]
pub fn paragraph(lead: &str, lead_width: usize, text: &str) -> String {
    let first = INDENT.max(lead_width + 2);
    let mut paragraph = String::from(lead);
    let (mut column, mut target) = (lead_width, first);
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if target + width > WIDTH && column > INDENT {
            paragraph.push('\n');
            (column, target) = (0, INDENT);
        }
        paragraph.extend(std::iter::repeat_n(' ', target - column));
        paragraph.push_str(word);
        column = target + width;
        target = column + 1;
    }
    paragraph.push('\n');
    paragraph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_line() {
        assert_eq!(paragraph("size", 4, "1 + 1 = 2"), "size        1 + 1 = 2\n");
        assert_eq!(paragraph("ForeignPods!!", 13, "two"), "ForeignPods!!  two\n");
        assert_eq!(paragraph("size", 4, ""), "size\n");
    }

    #[test]
    fn a_long_text_hangs_under_its_beginning() {
        let text = paragraph("why", 3, &"word ".repeat(30));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= 100 && !line.ends_with(' ')));
        assert!(lines.iter().skip(1).all(|line| line.starts_with("            word")));
    }

    #[test]
    fn a_word_that_is_wider_than_a_line_stays_whole() {
        let long = "x".repeat(120);
        assert_eq!(paragraph("why", 3, &long), format!("why         {long}\n"));
    }
}
