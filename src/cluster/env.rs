//! What a container's environment says about one variable, for an app that reads a number from it.
//!
//! In: a container, the labels and annotations of its pod, a name. Out: a [`Setting`]. A value that is decided outside
//! of the pod, or that different apps may read as different numbers, is [`Setting::Unknown`], never a guess.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::profile::workers::Value;

/// A container, as far as it is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its environment, entry by entry.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    /// Whole ConfigMaps and Secrets that its environment takes in; the entries win over them.
    #[serde(default)]
    pub env_from: Vec<EnvFrom>,
    /// What it runs instead of its image's entrypoint.
    #[serde(default)]
    pub command: Words,
    /// The arguments.
    #[serde(default)]
    pub args: Words,
    /// Where volumes are mounted.
    #[serde(default)]
    pub volume_mounts: Vec<Mount>,
    /// `Always` makes a sidecar of an init container.
    #[serde(default)]
    pub restart_policy: Option<String>,
}

impl Container {
    /// The names of its entries, each after the container's name.
    pub(super) fn sets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|entry| (self.name.as_str(), entry.name.as_str()))
    }
}

/// A volume in a container.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where.
    #[serde(default)]
    pub mount_path: String,
}

/// The words of a command, as far as they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The words.
    pub list: Vec<String>,
    /// Whether words were cut off: more or longer ones than anybody writes.
    pub cut: bool,
}

impl Words {
    /// The most words that are read.
    pub const MOST: usize = 1024;
    /// The most bytes of them.
    pub const MOST_BYTES: usize = 64 << 10;
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> serde::de::Visitor<'de> for Reads {
            type Value = Words;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let (mut words, mut left) = (Words::default(), Words::MOST_BYTES);
                while let Some(word) = seq.next_element::<String>()? {
                    words.cut |= word.len() > left || words.list.len() >= Words::MOST;
                    if !words.cut {
                        left -= word.len();
                        words.list.push(word);
                    }
                }
                Ok(words)
            }
        }
        deserializer.deserialize_seq(Reads)
    }
}

/// An environment variable, as far as it is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its literal value, when it has one.
    #[serde(default)]
    pub value: Option<String>,
    /// Where else its value comes from.
    #[serde(default)]
    pub value_from: Option<ValueFrom>,
}

/// Where the value of a variable comes from.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A field of the pod itself; none for a ConfigMap, a Secret, a resource, a file.
    #[serde(default)]
    pub field_ref: Option<FieldRef>,
}

/// A field of the pod itself.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Such as `metadata.annotations['poolbudget.dev/pool-size']`.
    #[serde(default)]
    pub field_path: String,
}

/// Variables that are taken in from elsewhere.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct EnvFrom {
    /// The prefix of their names.
    #[serde(default)]
    pub prefix: Option<String>,
}

/// What a variable says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Nothing: the app takes its default.
    Default,
    /// A text that no app reads as a number.
    NoNumber,
    /// This number; a larger or smaller one than fits becomes the largest or smallest.
    Number(i64),
    /// It cannot be known from the pod.
    Unknown,
}

/// The environment of a container.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a> {
    pub(super) container: &'a Container,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) annotations: &'a BTreeMap<String, String>,
}

impl<'a> Environment<'a> {
    /// The entry that takes effect: the last of its name.
    fn entry(self, name: &str) -> Option<&'a EnvVar> {
        self.container.env.iter().rfind(|entry| entry.name == name)
    }

    /// What the variable says.
    pub(super) fn setting(self, name: &str) -> Setting {
        let Some(entry) = self.entry(name) else {
            let mut sources = self.container.env_from.iter();
            let may_bring = |source: &EnvFrom| name.starts_with(source.prefix.as_deref().unwrap_or_default());
            return if sources.any(may_bring) { Setting::Unknown } else { Setting::Default };
        };
        match (entry.value.as_deref().unwrap_or_default(), &entry.value_from) {
            ("", None) => Setting::Default,
            ("", Some(from)) => self.referred(from),
            // A part of it may be another variable.
            (value, _) if value.contains("$(") => Setting::Unknown,
            (value, _) => number(value),
        }
    }

    /// The variable as text, for a program that takes arguments or settings from it.
    pub(super) fn value(self, name: &str) -> Value<'a> {
        /// Nobody writes a longer value, and a command may contain it many times.
        const LONGEST: usize = 4 << 10;
        let Some(entry) = self.entry(name) else {
            return if self.setting(name) == Setting::Default { Value::Unset } else { Value::Perhaps };
        };
        let text = match (entry.value.as_deref().unwrap_or_default(), &entry.value_from) {
            ("", Some(from)) => match self.field(from) {
                Some(text) => text,
                None => return Value::Elsewhere,
            },
            (text, _) => text,
        };
        // A part of it may be another variable.
        if text.len() > LONGEST || text.contains("$(") { Value::Elsewhere } else { Value::Text(text) }
    }

    /// The value of the label or annotation that a variable is read from; none if it is read from anything else.
    fn field(self, from: &ValueFrom) -> Option<&'a str> {
        let path = from.field_ref.as_ref().map_or("", |field| field.field_path.as_str());
        let maps = [("annotations", self.annotations), ("labels", self.labels)];
        maps.into_iter().find_map(|(map, values)| {
            let key = subscript(path, map)?;
            Some(values.get(key).map_or("", String::as_str))
        })
    }

    /// What a field of the pod says. A label or annotation that is not there reads as an empty text.
    fn referred(self, from: &ValueFrom) -> Setting {
        match self.field(from) {
            Some("") => Setting::Default,
            Some(text) => number(text),
            None => Setting::Unknown,
        }
    }

    /// Whether an entry sets it to anything.
    pub(super) fn is_set(self, name: &str) -> bool {
        match self.value(name) {
            Value::Text(text) => !text.is_empty(),
            Value::Elsewhere => true,
            Value::Unset | Value::Perhaps => false,
        }
    }

    /// Whether the variable is this text; `by_default` says whether it is when nobody sets it.
    pub(super) fn stands_at(self, name: &str, text: &str, by_default: bool) -> bool {
        match self.entry(name) {
            None => by_default && self.setting(name) == Setting::Default,
            Some(entry) => entry.value_from.is_none() && entry.value.as_deref() == Some(text),
        }
    }

    /// Whether the variable is read from this annotation, and from nothing else.
    pub(super) fn reads(self, name: &str, annotation: &str) -> bool {
        let Some(entry) = self.entry(name) else { return false };
        let field = entry.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        // A value wins over a source; the API server accepts no entry with both.
        let literal = entry.value.as_ref().is_some_and(|value| !value.is_empty());
        !literal && field.is_some_and(|field| subscript(&field.field_path, "annotations") == Some(annotation))
    }
}

/// `key` of `metadata.map['key']`.
fn subscript<'a>(path: &'a str, map: &str) -> Option<&'a str> {
    path.strip_prefix("metadata.")?.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")
}

/// The number in a text, as Python's `int` reads it: white space around it, a sign, digits with single underscores
/// between them. Some apps also read other texts with digits (`3.0`, `1e3`, `0x10`, other scripts) as numbers.
#[must_use]
pub fn number(text: &str) -> Setting {
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    let (sign, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let whole = digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if whole {
        let digits = digits.bytes().filter(u8::is_ascii_digit).map(|b| i64::from(b - b'0'));
        return Setting::Number(
            digits.fold(0, |n: i64, digit| n.saturating_mul(10).saturating_add(sign * digit)),
        );
    }
    if text.chars().any(char::is_numeric) {
        Setting::Unknown
    } else if trimmed.is_empty() {
        Setting::Default
    } else {
        Setting::NoNumber
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(container: serde_json::Value, annotations: &[(&str, &str)]) -> Setting {
        let container: Container = serde_json::from_value(container).expect("a container");
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let environment =
            Environment { container: &container, labels: &BTreeMap::new(), annotations: &annotations };
        environment.setting("SIZE")
    }

    fn entry(entry: serde_json::Value) -> serde_json::Value {
        let mut entry = entry;
        entry["name"] = "SIZE".into();
        serde_json::json!({"name": "app", "env": [entry]})
    }

    #[test]
    fn a_number_is_what_python_takes_for_one() {
        let good = [
            ("7", 7),
            (" 7\n", 7),
            ("\u{1f}7", 7),
            ("+7", 7),
            ("-7", -7),
            ("007", 7),
            ("1_000", 1000),
            ("-0", 0),
        ];
        for (text, expected) in good {
            assert_eq!(number(text), Setting::Number(expected), "{text:?}");
        }
        assert_eq!(number("99999999999999999999"), Setting::Number(i64::MAX));
        assert_eq!(number("-99999999999999999999"), Setting::Number(i64::MIN));
    }

    #[test]
    fn what_no_app_takes_for_a_number_is_none() {
        for text in ["abc", "-", "+", "_", "null"] {
            assert_eq!(number(text), Setting::NoNumber, "{text:?}");
        }
        for text in ["", " ", "\n"] {
            assert_eq!(number(text), Setting::Default, "{text:?}");
        }
    }

    #[test]
    fn what_some_app_may_take_for_a_number_is_not_known() {
        for text in ["3.0", "1e3", "0x10", "1__0", "_1", "1_", "+-1", "5 0", "٥", "９９"] {
            assert_eq!(number(text), Setting::Unknown, "{text:?}");
        }
    }

    #[test]
    fn a_value_that_is_decided_elsewhere_is_not_known() {
        for from in ["configMapKeyRef", "secretKeyRef", "resourceFieldRef", "fileKeyRef"] {
            assert_eq!(setting(entry(serde_json::json!({"valueFrom": {from: {}}})), &[]), Setting::Unknown);
        }
        let name = serde_json::json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
        assert_eq!(setting(entry(name), &[]), Setting::Unknown);
        assert_eq!(setting(entry(serde_json::json!({"value": "$(OTHER)"})), &[]), Setting::Unknown);
    }

    #[test]
    fn what_is_taken_over_whole_may_hold_a_variable_whose_name_begins_with_its_prefix() {
        let from = |prefix: &str| serde_json::json!({"name": "app", "envFrom": [{"prefix": prefix}]});
        assert_eq!(setting(from(""), &[]), Setting::Unknown);
        assert_eq!(setting(from("SI"), &[]), Setting::Unknown);
        assert_eq!(setting(from("DB_"), &[]), Setting::Default);
        let mut with_entry = entry(serde_json::json!({"value": "4"}));
        with_entry["envFrom"] = serde_json::json!([{}]);
        assert_eq!(setting(with_entry, &[]), Setting::Number(4));
    }

    #[test]
    fn an_annotation_is_read_as_the_kubelet_would() {
        let env = entry(
            serde_json::json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['a.b/c']"}}}),
        );
        assert_eq!(setting(env.clone(), &[("a.b/c", "6")]), Setting::Number(6));
        assert_eq!(setting(env, &[]), Setting::Default);
    }
}
