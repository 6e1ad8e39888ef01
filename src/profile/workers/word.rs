//! The words of a command, and the values of the variables in them.
//!
//! In: what a pod states about its containers. Out: words, each with whether it is fully known. Forbidden here: any
//! program.

/// What a pod states about a variable of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing. The image may still set it.
    Unset,
    /// This text.
    Text(&'a str),
    /// A value from elsewhere: a ConfigMap, a Secret, another variable.
    Elsewhere,
    /// An envFrom may set it from a ConfigMap or Secret.
    Perhaps,
}

/// The variables of a container.
pub type Variables<'a> = dyn Fn(&str) -> Value<'a> + 'a;

/// A word as the program gets it, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Its text, or what that would be if only the pod set its variables.
    pub text: String,
    /// Whether that is certainly its text.
    pub sure: bool,
}

impl Word {
    /// A word that is certainly this.
    #[must_use]
    pub fn known(text: impl Into<String>) -> Self {
        Self { text: text.into(), sure: true }
    }

    /// The last part of it, if it is a path.
    #[must_use]
    pub fn base(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

/// A word of `command` or `args`, with `$(NAME)` replaced as the kubelet does: an unknown name stays as it is, and `$$`
/// is a `$`.
#[must_use]
pub fn expanded(text: &str, variables: &Variables<'_>) -> Word {
    let mut word = Word { text: String::with_capacity(text.len()), sure: true };
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        word.text.push_str(before);
        let named = from.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        rest = if let Some(after) = from.strip_prefix("$$") {
            word.text.push('$');
            after
        } else if let Some((name, after)) = named {
            match variables(name) {
                Value::Text(value) => word.text.push_str(value),
                unknown => {
                    word.sure &= unknown != Value::Elsewhere;
                    word.text.push_str(&format!("$({name})"));
                }
            }
            after
        } else {
            word.text.push('$');
            from.get(1..).unwrap_or_default()
        };
    }
    word.text.push_str(rest);
    word
}

/// The whole number in a text, as most programs read it; a number that is too large becomes the largest. None if it is
/// not a whole number, or below 0.
#[must_use]
pub fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let whole = digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    let digits = digits.bytes().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    whole.then(|| digits.fold(0_u32, |n, digit| n.saturating_mul(10).saturating_add(digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Value<'static> {
        match name {
            "N" => Value::Text("4"),
            "SECRET" => Value::Elsewhere,
            _ => Value::Unset,
        }
    }

    #[test]
    fn a_word_gets_its_variables_as_the_kubelet_puts_them_in() {
        let cases = [
            ("-w", "-w", true),
            ("$(N)", "4", true),
            ("--workers=$(N)", "--workers=4", true),
            ("$$(N)", "$(N)", true),
            ("$(nproc)", "$(nproc)", true),
            ("$(SECRET)", "$(SECRET)", false),
            ("$N", "$N", true),
            ("$(N", "$(N", true),
            ("100$", "100$", true),
            ("a$(N)b$(N)", "a4b4", true),
        ];
        for (text, expected, sure) in cases {
            assert_eq!(expanded(text, &variables), Word { text: expected.into(), sure }, "{text}");
        }
    }

    #[test]
    fn a_number_is_whole_and_not_below_0() {
        for (text, expected) in [("4", 4), (" 4\n", 4), ("+4", 4), ("007", 7), ("1_000", 1000), ("0", 0)] {
            assert_eq!(number(text), Some(expected), "{text:?}");
        }
        assert_eq!(number("99999999999999999999"), Some(u32::MAX));
        for text in ["", "-1", "four", "4.0", "1__0", "_1", "$(nproc)", "auto", "4 5", "٥"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
