//! The keys that begin with the name of the group: which ones exist, and which one a misspelt one was meant to be.
//!
//! In: the labels or annotations of a workload, a pod template or a pod. Out: unknown keys. If a misspelt key were only
//! ignored, its user would believe in, say, a number of processes that is not counted.

use super::names;

/// Which of the two maps of an object's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// Labels.
    Labels,
    /// Annotations.
    Annotations,
}

/// Labels that a user may write.
pub const LABELS: [&str; 2] = [names::BUDGET, names::WORKLOAD];

/// The most unknown keys that are compared with the unknown keys from before the write.
pub const MOST: usize = 100;

/// The most characters of a key that are looked at to guess which key was meant.
const LOOKED_AT: usize = 64;

impl Map {
    /// The keys of the group that may be in this map on a workload or a pod.
    #[must_use]
    pub fn known(self) -> Vec<&'static str> {
        let all = names::ON_PODS.into_iter().map(|(key, _)| key);
        all.filter(|key| LABELS.contains(key) == (self == Self::Labels) && *key != names::FORGET).collect()
    }

    /// The known keys that a user may write.
    fn of_users(self) -> &'static [&'static str] {
        match self {
            Self::Labels => &LABELS,
            Self::Annotations => &names::APP_ANNOTATIONS,
        }
    }

    /// Whether a key begins like those of the group but is not known.
    #[must_use]
    pub fn is_unknown(self, key: &str) -> bool {
        key.starts_with(PREFIX) && !self.known().contains(&key)
    }
}

/// How the keys of the group begin.
pub const PREFIX: &str = "poolbudget.dev/";

/// The key that was probably meant, in words; none when no key is close.
#[must_use]
pub fn meant(key: &str) -> Option<String> {
    let name = key.strip_prefix(PREFIX)?;
    let names = |map: Map| map.of_users().iter().filter_map(|key| key.strip_prefix(PREFIX));
    let meant = near(name, names(Map::Labels).chain(names(Map::Annotations)))?;
    let word = if names(Map::Labels).any(|label| label == meant) { "label" } else { "annotation" };
    Some(format!("the {word} {PREFIX}{meant}"))
}

/// The known name closest to an unknown one; none when no name is close.
#[must_use]
pub fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    within(name, 1 + name.chars().take(LOOKED_AT).count() / 3, known)
}

/// The known name of which the given one is probably a typo: at most two characters differ, one in a short name.
#[must_use]
pub fn misspelt<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    within(name, if name.chars().take(LOOKED_AT).count() < 5 { 1 } else { 2 }, known)
}

/// The closest name that is at most `far` steps away.
fn within<'a>(name: &str, far: usize, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(LOOKED_AT).collect();
    let steps = known.map(|known| (distance(&name, known), known)).filter(|(steps, _)| *steps <= far);
    steps.min_by_key(|(steps, _)| *steps).map(|(_, known)| known)
}

/// How many characters to insert, delete or replace until one text is the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, x) in a.chars().enumerate() {
        let mut next = vec![line + 1];
        for (y, pair) in b.iter().zip(row.windows(2)) {
            let (above, beside) = (pair.last().copied().unwrap_or(0), next.last().copied().unwrap_or(0));
            let replaced = pair.first().copied().unwrap_or(0) + usize::from(x != *y);
            next.push(replaced.min(above + 1).min(beside + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_near_to_the_one_that_was_meant() {
        let cases = [
            ("process", Some("the annotation poolbudget.dev/processes")),
            ("procesess", Some("the annotation poolbudget.dev/processes")),
            ("budgets", Some("the label poolbudget.dev/budget")),
            ("Budget", Some("the label poolbudget.dev/budget")),
            ("budget", Some("the label poolbudget.dev/budget")),
            ("engine", Some("the annotation poolbudget.dev/engines")),
            ("containers", Some("the annotation poolbudget.dev/container")),
            ("pool_size_env", Some("the annotation poolbudget.dev/pool-size-env")),
            ("owner", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(meant(&format!("{PREFIX}{name}")).as_deref(), expected, "{name}");
        }
        assert_eq!(meant("app.kubernetes.io/budget"), None);
        assert_eq!(meant(&format!("{PREFIX}{}", "é".repeat(100_000))), None);
    }

    #[test]
    fn keys_of_others_and_keys_in_their_map_are_known() {
        for key in ["app", "poolbudget.dev", "budget.poolbudget.dev/x", names::BUDGET, names::WORKLOAD] {
            assert!(!Map::Labels.is_unknown(key), "{key}");
        }
        for key in Map::Annotations.known() {
            assert!(!Map::Annotations.is_unknown(key) && Map::Labels.is_unknown(key), "{key}");
        }
        assert!(Map::Annotations.is_unknown(names::BUDGET));
    }
}
