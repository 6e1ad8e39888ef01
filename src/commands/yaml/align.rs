//! Which items of a changed list are which of the one before.

use serde_json::Value;

/// One step from the old list to the new one, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The old item at this place is now the new item at that place; it may have changed.
    Is(usize, usize),
    /// The old item is gone.
    Gone(usize),
    /// The new item was not there.
    New(usize),
}

/// The steps that leave the most items as they are, and of the others change the most in place. Items are the same when
/// they bear the same name, as the lists of Kubernetes have it, and those without a name when they are equal.
pub(super) fn align(old: &[Value], new: &[Value]) -> Vec<Step> {
    let kept = longest(old, new);
    let mut steps = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b) in kept.into_iter().chain([(old.len(), new.len())]) {
        steps.extend((i..a).map(Step::Gone));
        steps.extend((j..b).map(Step::New));
        if a < old.len() {
            steps.push(Step::Is(a, b));
        }
        (i, j) = (a + 1, b + 1);
    }
    steps
}

/// The pairs that are worth most together, in the order of both lists.
fn longest(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    // Row by row from the end: what the pairs that begin at or after (i, j) are worth.
    let mut worths = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    let worth = |worths: &[Vec<usize>], i: usize, j: usize| {
        worths.get(i).and_then(|row| row.get(j)).copied().unwrap_or(0)
    };
    // An item that stays as it is is worth more than all that change.
    let value = |a: &Value, b: &Value| match (a == b, is_same(a, b)) {
        (true, _) => Some(old.len() + 1),
        (false, true) => Some(1),
        (false, false) => None,
    };
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let paired = value(a, b).map_or(0, |value| value + worth(&worths, i + 1, j + 1));
            let best = paired.max(worth(&worths, i + 1, j)).max(worth(&worths, i, j + 1));
            if let Some(cell) = worths.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = best;
            }
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (old.get(i), new.get(j)) {
        let best = worth(&worths, i, j);
        if value(a, b).is_some_and(|value| value + worth(&worths, i + 1, j + 1) == best) {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if worth(&worths, i + 1, j) == best {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn is_same(a: &Value, b: &Value) -> bool {
    let name = |item: &Value| item.get("name").or_else(|| item.pointer("/metadata/name")).cloned();
    match (name(a), name(b)) {
        (Some(x), Some(y)) => x == y && a.get("kind") == b.get("kind"),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn steps(old: &Value, new: &Value) -> Vec<Step> {
        align(old.as_array().expect("a list"), new.as_array().expect("a list"))
    }

    #[test]
    fn what_comes_first_is_new_and_the_rest_is_what_it_was() {
        assert_eq!(steps(&json!([1, 2]), &json!([9, 1, 2])), [Step::New(0), Step::Is(0, 1), Step::Is(1, 2)]);
    }

    #[test]
    fn an_item_is_known_by_its_name_when_it_has_changed() {
        let old = json!([{"name": "a", "value": "1"}, {"name": "b"}]);
        let new = json!([{"name": "a", "value": "2"}, {"name": "b"}]);
        assert_eq!(steps(&old, &new), [Step::Is(0, 0), Step::Is(1, 1)]);
    }

    #[test]
    fn what_moves_goes_and_comes() {
        let named = |names: [&str; 3]| json!(names.map(|name| json!({"name": name})));
        assert_eq!(
            steps(&named(["a", "b", "c"]), &named(["c", "a", "b"])),
            [Step::New(0), Step::Is(0, 1), Step::Is(1, 2), Step::Gone(2)]
        );
    }

    #[test]
    fn what_stays_as_it_is_comes_before_what_could_be_changed_in_place() {
        let old = json!([{"name": "url"}, {"name": "a", "value": "1"}, {"name": "b", "value": "1"}]);
        let new = json!([{"name": "a"}, {"name": "b"}, {"name": "url"}]);
        assert_eq!(
            steps(&old, &new),
            [Step::New(0), Step::New(1), Step::Is(0, 2), Step::Gone(1), Step::Gone(2)]
        );
    }

    #[test]
    fn objects_are_known_by_kind_and_name() {
        let object = |kind: &str, more: u8| json!({"kind": kind, "metadata": {"name": "a"}, "more": more});
        let old = json!([object("A", 1), object("B", 1)]);
        let new = json!([object("A", 2), object("B", 2)]);
        assert_eq!(steps(&old, &new), [Step::Is(0, 0), Step::Is(1, 1)]);
    }

    #[test]
    fn lists_may_be_empty() {
        assert_eq!(steps(&json!([]), &json!([1])), [Step::New(0)]);
        assert_eq!(steps(&json!([1]), &json!([])), [Step::Gone(0)]);
    }
}
