//! Texts and lists in the test tables that are too large to be written out.
//!
//! `<<text*n>>` means n times the text, in which each `#` becomes the number of the repetition.

/// The table with all of them written out.
pub fn in_full(table: &str) -> String {
    let mut parts = table.split("<<");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (times, rest) = part.split_once(">>").expect("'<<' has its '>>'");
        let (once, times) = times.rsplit_once('*').expect("a text, '*' and a number");
        let times: u32 = times.parse().expect("a number");
        text.extend((0..times).map(|time| once.replace('#', &time.to_string())));
        text.push_str(rest);
    }
    text
}
