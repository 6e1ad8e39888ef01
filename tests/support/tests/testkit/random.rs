//! Chance can be repeated.

use testkit::random::Random;

#[test]
fn a_seed_repeats_its_run_and_another_gives_another() {
    let run = |seed, purpose| {
        let mut random = Random::of_purpose(seed, purpose);
        (0..20).map(|_| random.between(0, 1_000)).collect::<Vec<_>>()
    };
    assert_eq!(run(7, 1), run(7, 1));
    assert_ne!(run(7, 1), run(8, 1));
    assert_ne!(run(7, 1), run(7, 2));
}

#[test]
fn both_bounds_are_reached() {
    let mut random = Random::new(1);
    let mut seen: Vec<u32> = (0..100).map(|_| random.between(2, 4)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!([2, 3, 4], seen.as_slice());
}
