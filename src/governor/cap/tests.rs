//! The rule against a model that is as plain as can be: a list of those that wait, and two numbers.

use proptest::prelude::*;

use super::*;

#[test]
fn nobody_goes_until_the_number_is_known() {
    let mut cap = Cap::default();
    assert!(matches!(cap.ask("a"), Answer::Wait(_)));
    assert_eq!(cap.set_allowed(1), ["a"]);
    assert_eq!((cap.allowed(), cap.open(), cap.waiting()), (Some(1), 1, 0));
}

#[test]
fn who_asks_first_goes_first_and_one_that_left_is_passed_over() {
    let mut cap = Cap::default();
    cap.set_allowed(1);
    assert_eq!(cap.ask("a"), Answer::Go);
    let Answer::Wait(b) = cap.ask("b") else { panic!("b waits") };
    let Answer::Wait(c) = cap.ask("c") else { panic!("c waits") };
    assert!(b < c);
    assert_eq!(cap.first(), Some(&"b"));
    assert_eq!(cap.leave(b), Some("b"));
    assert_eq!(cap.leave(b), None);
    assert_eq!(cap.give_back(), ["c"]);
    assert_eq!(cap.leave(c), None);
    assert_eq!(cap.give_back(), Vec::<&str>::new());
    assert_eq!((cap.open(), cap.peak()), (0, 1));
}

#[test]
fn after_a_lower_number_nobody_goes_until_fewer_are_open() {
    let mut cap = Cap::default();
    cap.set_allowed(3);
    for name in ["a", "b", "c"] {
        assert_eq!(cap.ask(name), Answer::Go);
    }
    assert_eq!(cap.set_allowed(1), Vec::<&str>::new());
    assert!(matches!(cap.ask("d"), Answer::Wait(_)));
    assert_eq!(cap.give_back(), Vec::<&str>::new());
    assert_eq!(cap.give_back(), Vec::<&str>::new());
    assert_eq!(cap.open(), 1);
    assert_eq!(cap.give_back(), ["d"]);
}

#[test]
fn a_raise_lets_as_many_go_as_it_makes_room_for_in_their_order() {
    let mut cap = Cap::default();
    cap.set_allowed(0);
    for name in ["a", "b", "c"] {
        assert!(matches!(cap.ask(name), Answer::Wait(_)));
    }
    assert_eq!(cap.set_allowed(2), ["a", "b"]);
    assert_eq!(cap.set_allowed(1_000_000), ["c"]);
}

#[test]
fn the_queue_has_a_bound() {
    let mut cap = Cap::default();
    for n in 0..QUEUE {
        assert!(matches!(cap.ask(n), Answer::Wait(_)));
    }
    assert_eq!(cap.ask(QUEUE), Answer::Full);
    assert_eq!(cap.set_allowed(1), [0]);
    assert!(matches!(cap.ask(QUEUE), Answer::Wait(_)));
}

/// What happens to a cap. A number says who, among those to whom it can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Leave(usize),
    GiveBack,
    Allow(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        2 => (0..20usize).prop_map(Step::Leave),
        3 => Just(Step::GiveBack),
        2 => (0..6u32).prop_map(Step::Allow),
    ]
}

/// The model: who waits, in order.
#[derive(Default)]
struct Model {
    allowed: Option<u32>,
    open: u32,
    waiting: Vec<(u32, Ticket)>,
}

impl Model {
    /// Who goes now, in order.
    fn admit(&mut self) -> Vec<u32> {
        let room = self.allowed.unwrap_or(0).saturating_sub(self.open);
        let going = self.waiting.len().min(usize::try_from(room).unwrap());
        self.open += u32::try_from(going).unwrap();
        self.waiting.drain(..going).map(|(name, _)| name).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_happens_the_right_ones_go_in_their_order_and_never_too_many(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let (mut cap, mut model, mut names) = (Cap::default(), Model::default(), 0..);
        for step in steps {
            match step {
                Step::Ask => {
                    let name = names.next().unwrap();
                    let goes = model.waiting.is_empty() && model.open < model.allowed.unwrap_or(0);
                    match cap.ask(name) {
                        Answer::Go => {
                            prop_assert!(goes);
                            model.open += 1;
                        }
                        Answer::Wait(ticket) => {
                            prop_assert!(!goes);
                            model.waiting.push((name, ticket));
                        }
                        Answer::Full => prop_assert!(false, "the queue is short"),
                    }
                }
                Step::Leave(n) => {
                    if !model.waiting.is_empty() {
                        let (name, ticket) = model.waiting.remove(n % model.waiting.len());
                        prop_assert_eq!(cap.leave(ticket), Some(name));
                    }
                }
                Step::GiveBack => {
                    if model.open > 0 {
                        model.open -= 1;
                        prop_assert_eq!(cap.give_back(), model.admit());
                    }
                }
                Step::Allow(allowed) => {
                    model.allowed = Some(allowed);
                    prop_assert_eq!(cap.set_allowed(allowed), model.admit());
                }
            }
            prop_assert_eq!((cap.open(), cap.waiting()), (model.open, model.waiting.len()));
            prop_assert_eq!(cap.first(), model.waiting.first().map(|(name, _)| name));
        }
    }
}
