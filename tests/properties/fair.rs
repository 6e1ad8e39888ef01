//! Fair sizes against the rule of the protocol, done raise by raise, and against all sizes there are.

use poolbudget::budget::amount::{Connections, Instances, Pods};
use poolbudget::budget::fair::{Claim, sizes};
use proptest::prelude::*;

/// A claim in plain numbers, for the reference implementations.
#[derive(Clone, Debug)]
struct Plain {
    name: String,
    price: u64,
    min: u64,
    max: u64,
    weight: u64,
}

impl Plain {
    fn claim(&self) -> Claim<'_> {
        Claim {
            name: &self.name,
            slots: Pods::new(u32::try_from(self.price).unwrap()),
            instances: Instances::ONE,
            min: Connections::new(self.min),
            max: Some(Connections::new(self.max)),
            weight: u32::try_from(self.weight).unwrap(),
        }
    }
}

/// Claims with distinct names, of at most these prices and weights.
fn plain(count: usize, price: u64, weight: u64) -> impl Strategy<Value = Vec<Plain>> {
    let one = (1..=price, 1..=3_u64, 0..=40_u64, 1..=weight);
    prop::collection::vec(one, 1..=count).prop_map(|rows| {
        let named = rows.into_iter().enumerate();
        named
            .map(|(i, (price, min, more, weight))| Plain {
                name: format!("w{i}"),
                price,
                min,
                max: min + more,
                weight,
            })
            .collect()
    })
}

fn fair(usable: u64, claims: &[Plain]) -> Option<Vec<u64>> {
    let claims: Vec<Claim<'_>> = claims.iter().map(Plain::claim).collect();
    let sizes = sizes(Connections::new(usable), &claims)?;
    Some(sizes.into_iter().map(Connections::get).collect())
}

/// The rule of the protocol, word by word.
fn fair_raise_by_raise(usable: u64, claims: &[Plain]) -> Option<Vec<u64>> {
    let mut at: Vec<u64> = claims.iter().map(|c| c.min).collect();
    let mut room = usable.checked_sub(claims.iter().map(|c| c.min * c.price).sum())?;
    while let Some((lowest, claim)) =
        claims.iter().enumerate().filter(|(i, c)| at[*i] < c.max && c.price <= room).min_by(
            |(i, a), (j, b)| {
                (at[*i] * b.weight)
                    .cmp(&(at[*j] * a.weight))
                    .then(a.price.cmp(&b.price))
                    .then(a.name.cmp(&b.name))
            },
        )
    {
        at[lowest] += 1;
        room -= claim.price;
    }
    Some(at)
}

/// The best vector there is, sorted, found by trying all.
fn leximin_by_trying_all(room: u64, claims: &[Plain]) -> Option<Vec<u64>> {
    let Some((first, others)) = claims.split_first() else { return Some(Vec::new()) };
    (first.min..=first.max)
        .take_while(|k| k * first.price <= room)
        .filter_map(|k| {
            let mut sizes = leximin_by_trying_all(room - k * first.price, others)?;
            sizes.push(k);
            sizes.sort_unstable();
            Some(sizes)
        })
        .max()
}

fn sorted(mut levels: Vec<u64>) -> Vec<u64> {
    levels.sort_unstable();
    levels
}

proptest! {
    #[test]
    fn sizes_are_those_of_raising_one_by_one(usable in 0..3_000_u64, claims in plain(12, 30, 9)) {
        prop_assert_eq!(fair(usable, &claims), fair_raise_by_raise(usable, &claims));
    }

    #[test]
    fn sizes_are_those_of_raising_one_by_one_when_weights_are_far_apart(
        usable in 0..3_000_u64,
        claims in plain(6, 30, 1_000_000),
    ) {
        prop_assert_eq!(fair(usable, &claims), fair_raise_by_raise(usable, &claims));
    }

    #[test]
    fn without_weights_no_other_sizes_are_fairer(usable in 0..60_u64, claims in plain(4, 8, 1)) {
        prop_assert_eq!(fair(usable, &claims).map(sorted), leximin_by_trying_all(usable, &claims));
    }

    #[test]
    fn sizes_fit_keep_their_bounds_and_leave_nothing_that_could_be_used(
        usable in 0..100_000_u64,
        claims in plain(40, 200, 20),
    ) {
        if let Some(sizes) = fair(usable, &claims) {
            let spent: u64 = sizes.iter().zip(&claims).map(|(k, c)| k * c.price).sum();
            prop_assert!(spent <= usable);
            for (k, c) in sizes.iter().zip(&claims) {
                prop_assert!((c.min..=c.max).contains(k));
                prop_assert!(*k == c.max || c.price > usable - spent, "{} could have more", c.name);
            }
        } else {
            prop_assert!(claims.iter().map(|c| c.min * c.price).sum::<u64>() > usable);
        }
    }

    #[test]
    fn more_connections_make_nobody_poorer_than_the_poorest_was(
        usable in 0..2_000_u64,
        more in 1..50_u64,
        claims in plain(8, 30, 1),
    ) {
        if let Some(before) = fair(usable, &claims) {
            let after = fair(usable + more, &claims);
            prop_assert!(after.map(sorted) >= Some(sorted(before)));
        }
    }
}
