//! Changes values in the text of a YAML or JSON document and leaves the rest of the text as it is.
//!
//! In: a text, its value, the value that it is to have. Out: the text with that value: comments, order, quotes and
//! indentation stay, except in what is taken away. Forbidden here: knowing what the values mean.
//!
//! What the edits come to is parsed again: a text whose value is not the wanted one is never given out. Where a change
//! cannot be written into the text (anchors that others use, merge keys, rare layouts), that is said.

mod align;
mod edit;
mod tree;
mod write;

use serde_json::Value;

/// The change cannot be written into the text.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the text cannot be changed in place")]
pub struct Unfit;

/// The text of `old`, changed so that its value is `new`. `parse` says which value a text has.
///
/// # Errors
/// When there is no way to write the change into this text.
pub fn rewrite(
    text: &str,
    old: &Value,
    new: &Value,
    parse: impl Fn(&str) -> Option<Value>,
) -> Result<String, Unfit> {
    if old == new {
        return Ok(text.to_owned());
    }
    let tree = tree::Tree::read(text).ok_or(Unfit)?;
    let edited = edit::Editor::new(text, &tree).edit(old, new)?;
    if parse(&edited).as_ref() == Some(new) { Ok(edited) } else { Err(Unfit) }
}

#[cfg(test)]
mod tests;
