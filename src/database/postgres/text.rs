//! Words of others as part of a sentence.
//!
//! In: what a server wrote. Out: one short line that cannot pass for something else. Forbidden here: trusting it.

/// The most characters of a server's words that are quoted.
const QUOTED: usize = 200;
/// The most bytes of a name in PostgreSQL.
const NAME: usize = 63;

/// A server's words, without those that repeat the password.
pub(super) fn quoted(words: &str, password: Option<&str>) -> String {
    let words = plain(words);
    if password.is_some_and(|password| words.contains(&plain(password))) {
        return "its words repeat the password and are left out".to_owned();
    }
    match words.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

/// A name, no longer than PostgreSQL's can be.
pub(super) fn name(name: &str) -> String {
    let mut name = plain(name);
    let end = (0..=NAME).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name.truncate(end);
    name
}

/// Without characters that begin lines, change the direction of reading, or are not seen.
fn plain(text: &str) -> String {
    let is_unseen = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    text.chars().filter(|c| !c.is_control() && !is_unseen(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_line_of_at_most_two_hundred_characters() {
        assert_eq!(quoted("no\r\nsuch\u{1b}[31m \u{202e}role", None), "nosuch[31m role");
        assert_eq!(quoted(&"é".repeat(200), None), "é".repeat(200));
        assert_eq!(quoted(&"é".repeat(201), None), format!("{}…", "é".repeat(200)));
    }

    #[test]
    fn a_quote_that_repeats_the_password_is_left_out() {
        let left_out = "its words repeat the password and are left out";
        assert_eq!(quoted("I know s3cr3t", Some("s3cr3t")), left_out);
        assert_eq!(quoted("I know s3\u{0}cr3t", Some("s3cr3t")), left_out);
        let late = format!("{}s3cr3t", "x".repeat(195));
        assert_eq!(quoted(&late, Some("s3cr3t")), left_out);
        assert_eq!(quoted("I know nothing", Some("s3cr3t")), "I know nothing");
    }

    #[test]
    fn a_name_has_at_most_sixty_three_bytes_of_whole_characters() {
        assert_eq!(name("api\n"), "api");
        assert_eq!(name(&"é".repeat(40)), "é".repeat(31));
        assert_eq!(name(&"x".repeat(64)), "x".repeat(63));
    }
}
