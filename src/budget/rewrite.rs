//! Which template is written next, where sizes reach pods by templates (mode Rollout): shrink before grow, one at a time.
//!
//! In: for each workload what its template says, what the plan gives it, and how its last rollout stands. Out: at most one
//! workload to write, and why the others wait. Forbidden here: what a template or a manager of its fields is.
//!
//! A template that is written is a rollout, and while it runs N pods of one size stand beside S of the other. A workload
//! grows only when every other one stands still at what was counted for it: then (N + S) × the larger bill fits, and so
//! does the transition. A workload that has to shrink is too large already; it is written at once.

use super::amount::{Connections, Instances, Pods};

/// A rollout that takes longer than this, in seconds, does not keep another workload from shrinking.
const PATIENCE: u64 = 600;

/// What holds for the whole budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What all pods may hold.
    pub usable: Connections,
    /// What is held by pods that no template of the budget makes, or that are gone and still count.
    pub others: Connections,
    /// Seconds between two writes of one workload.
    pub min_interval: u64,
    /// A workload that would grow by less than this, for each instance, is left alone.
    pub min_change: Connections,
}

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// N + S: the pods that may stand at once.
    pub slots: Pods,
    /// Instances in one pod.
    pub instances: Instances,
    /// What one pod may open by the template; none when that has no bound, or cannot be known.
    pub stated: Option<Connections>,
    /// What one pod would open by the plan.
    pub planned: Connections,
    /// Whether it stands complete, all of it of its newest template, and nothing drains.
    pub rolled_out: bool,
    /// Seconds since it was written last; none when it was not.
    pub since: Option<u64>,
    /// It cannot be written, or is left to somebody else; it counts with what it states.
    pub hands_off: bool,
}

/// Why a workload is not written although it has another size than planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The workload of this index was written and still rolls out.
    RollsOut(usize),
    /// It was written so recently that this many seconds are left.
    Interval(u64),
    /// Another one is written first.
    Turn(usize),
    /// It would grow, and the workload of this index has to shrink first.
    ShrinksFirst(usize),
    /// It would grow, and the workload of this index does not stand complete.
    Moves(usize),
    /// It would grow, and so many connections are missing.
    NoRoom(Connections),
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrites {
    /// The workload to be written now.
    pub write: Option<usize>,
    /// Those that wait.
    pub waits: Vec<(usize, Wait)>,
}

impl Template {
    /// It holds more than planned.
    fn shrinks(&self) -> bool {
        !self.hands_off && self.stated.is_none_or(|stated| stated > self.planned)
    }

    /// It holds so much less than planned that it is worth a rollout.
    fn grows(&self, min_change: Connections) -> bool {
        let change = min_change.max(Connections::ONE).per_pod(self.instances);
        !self.hands_off && self.stated.is_some_and(|stated| stated.plus(change) <= self.planned)
    }

    fn planned_sum(&self) -> Connections {
        self.planned.times(self.slots)
    }

    fn stated_sum(&self) -> Connections {
        self.stated.map_or(Connections::MAX, |stated| stated.times(self.slots))
    }

    /// Seconds that are left until it may be written again.
    fn rest(&self, terms: &Terms) -> u64 {
        self.since.map_or(0, |since| terms.min_interval.saturating_sub(since))
    }
}

/// Decides. The order of the workloads breaks ties.
#[must_use]
pub fn rewrites(terms: &Terms, templates: &[Template]) -> Rewrites {
    let all = || templates.iter().enumerate();
    let mut shrinks: Vec<usize> = all().filter(|(_, t)| t.shrinks()).map(|(i, _)| i).collect();
    // Who frees the most goes first.
    shrinks
        .sort_by_key(|i| templates.get(*i).map(|t| std::cmp::Reverse(t.stated_sum().minus(t.planned_sum()))));
    let mut grows: Vec<usize> = all().filter(|(_, t)| t.grows(terms.min_change)).map(|(i, _)| i).collect();
    grows.sort_by_key(|i| templates.get(*i).and_then(|t| t.stated));

    let rolling = all().find(|(_, t)| t.since.is_some_and(|since| since < PATIENCE) && !t.rolled_out);
    let moving = all().find(|(_, t)| !t.rolled_out);
    let first = shrinks.first().copied();
    let mut outcome = Rewrites::default();
    for index in shrinks.into_iter().chain(grows) {
        let Some(template) = templates.get(index) else { continue };
        let wait = match (rolling, template.rest(terms), outcome.write) {
            (Some((other, _)), _, _) => Some(Wait::RollsOut(other)),
            (None, rest, _) if rest > 0 => Some(Wait::Interval(rest)),
            (None, _, Some(other)) => Some(Wait::Turn(other)),
            _ if template.shrinks() => None,
            _ => may_not_grow(terms, templates, index, first, moving.map(|(i, _)| i)),
        };
        match wait {
            Some(wait) => outcome.waits.push((index, wait)),
            None => outcome.write = Some(index),
        }
    }
    outcome
}

fn may_not_grow(
    terms: &Terms,
    templates: &[Template],
    index: usize,
    shrinks: Option<usize>,
    moves: Option<usize>,
) -> Option<Wait> {
    if let Some(other) = shrinks {
        return Some(Wait::ShrinksFirst(other));
    }
    if let Some(other) = moves {
        return Some(Wait::Moves(other));
    }
    let sums =
        templates.iter().enumerate().map(|(i, t)| if i == index { t.planned_sum() } else { t.stated_sum() });
    let sum = sums.sum::<Connections>().plus(terms.others);
    let missing = sum.minus(terms.usable);
    (missing > Connections::ZERO).then_some(Wait::NoRoom(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        usable: Connections::new(12),
        others: Connections::ZERO,
        min_interval: 300,
        min_change: Connections::ONE,
    };

    /// A workload of two pods and a surge pod that stands complete and was never written.
    fn template(stated: u64, planned: u64) -> Template {
        Template {
            slots: Pods::new(3),
            instances: Instances::ONE,
            stated: Some(Connections::new(stated)),
            planned: Connections::new(planned),
            rolled_out: true,
            since: None,
            hands_off: false,
        }
    }

    fn waits(terms: Terms, templates: &[Template]) -> Vec<Wait> {
        let outcome = rewrites(&terms, templates);
        assert_eq!(outcome.write, None);
        outcome.waits.into_iter().map(|(_, wait)| wait).collect()
    }

    #[test]
    fn nothing_is_written_where_every_template_says_what_is_planned() {
        assert_eq!(rewrites(&TERMS, &[template(2, 2), template(2, 2)]), Rewrites::default());
    }

    #[test]
    fn a_workload_shrinks_before_another_one_grows() {
        let outcome = rewrites(&TERMS, &[template(1, 2), template(3, 2)]);
        assert_eq!(outcome, Rewrites { write: Some(1), waits: vec![(0, Wait::Turn(1))] });
        let shrunk = Template { rolled_out: false, since: Some(5), ..template(2, 2) };
        assert_eq!(waits(TERMS, &[template(1, 2), shrunk]), [Wait::RollsOut(1)]);
        let recent = Template { since: Some(5), ..template(3, 2) };
        assert_eq!(waits(TERMS, &[recent, template(1, 2)]), [Wait::Interval(295), Wait::ShrinksFirst(0)]);
        let done = Template { since: Some(5), ..template(2, 2) };
        assert_eq!(rewrites(&TERMS, &[template(1, 2), done]).write, Some(0));
    }

    #[test]
    fn of_several_the_one_that_frees_the_most_shrinks_first_and_what_has_no_bound_before_all() {
        let wide = Template { slots: Pods::new(10), ..template(3, 2) };
        assert_eq!(rewrites(&TERMS, &[template(9, 2), wide, template(5, 2)]).write, Some(0));
        let unknown = Template { stated: None, ..template(0, 2) };
        assert_eq!(rewrites(&TERMS, &[template(9, 2), unknown]).write, Some(1));
    }

    #[test]
    fn a_workload_grows_only_when_all_stand_still_and_the_sum_fits() {
        let moves = Template { rolled_out: false, ..template(2, 2) };
        assert_eq!(waits(TERMS, &[template(1, 2), moves]), [Wait::Moves(1)]);
        let left_alone = Template { hands_off: true, ..template(5, 2) };
        assert_eq!(waits(TERMS, &[template(1, 2), left_alone]), [Wait::NoRoom(Connections::new(9))]);
        let others = Terms { others: Connections::ONE, ..TERMS };
        assert_eq!(waits(others, &[template(1, 2), template(2, 2)]), [Wait::NoRoom(Connections::ONE)]);
    }

    #[test]
    fn a_small_gain_is_not_worth_a_rollout_but_a_small_excess_is() {
        let terms = Terms { min_change: Connections::new(2), ..TERMS };
        assert_eq!(rewrites(&terms, &[template(1, 2), template(1, 2)]), Rewrites::default());
        assert_eq!(rewrites(&terms, &[template(3, 2)]).write, Some(0));
        assert_eq!(rewrites(&terms, &[template(2, 4)]).write, Some(0));
    }

    #[test]
    fn the_smallest_change_is_that_of_an_instance() {
        let terms = Terms { min_change: Connections::new(2), ..TERMS };
        let pod =
            |planned| Template { slots: Pods::ONE, instances: Instances::of(4, 1), ..template(4, planned) };
        assert_eq!(rewrites(&terms, &[pod(8)]), Rewrites::default());
        assert_eq!(rewrites(&terms, &[pod(12)]).write, Some(0));
    }

    #[test]
    fn a_workload_is_not_written_again_before_the_interval_is_over() {
        let at = |since| Template { since: Some(since), ..template(3, 2) };
        assert_eq!(waits(TERMS, &[at(299)]), [Wait::Interval(1)]);
        assert_eq!(rewrites(&TERMS, &[at(300)]).write, Some(0));
    }

    #[test]
    fn a_rollout_that_does_not_end_holds_up_growth_but_not_for_ever_what_has_to_shrink() {
        let stuck = |since| Template { rolled_out: false, since: Some(since), ..template(2, 2) };
        assert_eq!(waits(TERMS, &[stuck(599), template(9, 2)]), [Wait::RollsOut(0)]);
        assert_eq!(rewrites(&TERMS, &[stuck(600), template(9, 2)]).write, Some(1));
        assert_eq!(waits(TERMS, &[stuck(600), template(1, 2)]), [Wait::Moves(0)]);
    }
}
