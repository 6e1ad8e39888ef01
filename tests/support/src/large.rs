//! Texts and lists of the tables here that are too large to be written down.
//!
//! `<<text*n>>` stands for n times the text, in which `#` is the number of the time.

/// The table with all of them in full.
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
