//! The scheduling gates of a pod: ours, and those of others.
//!
//! In: the gates. Out: the position of ours, and what else holds the pod. A pod that another gate holds cannot start
//! even with a grant: it would keep connections from pods that could use them, and two pods that wait for each other's
//! gate would wait forever. So a pod is granted when our gate is its last one.

use std::fmt;

use super::pod::Gate;
use crate::api::names;

/// The most characters of a name that are kept; the API server allows no more.
const LONGEST: usize = 317;

/// The position of our gate among those of a pod; none if the pod does not have it.
#[must_use]
pub fn ours(gates: &[Gate]) -> Option<usize> {
    gates.iter().position(|gate| gate.name == names::GATE)
}

/// Scheduling gates of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherGates {
    /// The name of the first of them.
    pub first: String,
    /// How many there are beside it.
    pub more: usize,
}

impl OtherGates {
    /// The other gates of a pod; none if there are none.
    #[must_use]
    pub fn of(gates: &[Gate]) -> Option<Self> {
        let mut others = gates.iter().filter(|gate| gate.name != names::GATE);
        let first = others.next()?.name.chars().take(LONGEST).collect();
        Some(Self { first, more: others.count() })
    }
}

/// What holds a pod, as subject and verb of a sentence.
impl fmt::Display for OtherGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.more {
            0 => write!(f, "another scheduling gate, {}, holds it", self.first),
            more => write!(
                f,
                "{} other scheduling gates hold it, for example {}",
                more.saturating_add(1),
                self.first
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(names: &[&str]) -> Vec<Gate> {
        names.iter().map(|name| Gate { name: (*name).to_owned() }).collect()
    }

    fn said(names: &[&str]) -> Option<String> {
        OtherGates::of(&gates(names)).map(|others| others.to_string())
    }

    #[test]
    fn ours_is_found_wherever_it_stands() {
        assert_eq!(ours(&gates(&[])), None);
        assert_eq!(ours(&gates(&["a", "poolbudget.dev/connections", "b"])), Some(1));
    }

    #[test]
    fn the_first_of_the_others_is_named_and_the_rest_are_counted() {
        assert_eq!(said(&["poolbudget.dev/connections"]), None);
        let one = said(&["poolbudget.dev/connections", "kueue.x-k8s.io/admission"]);
        assert_eq!(one.as_deref(), Some("another scheduling gate, kueue.x-k8s.io/admission, holds it"));
        let three = said(&["a", "poolbudget.dev/connections", "b", "c"]);
        assert_eq!(three.as_deref(), Some("3 other scheduling gates hold it, for example a"));
        let long = "x".repeat(1_000);
        assert_eq!(OtherGates::of(&gates(&[&long])).map(|others| others.first.len()), Some(317));
    }
}
