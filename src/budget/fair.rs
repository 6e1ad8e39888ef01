//! Fair sizes: weighted max-min over the processes of all workloads, in whole connections.
//!
//! In: the usable connections and one claim per workload. Out: the size of each workload's instances, or
//! that not even the minima fit. The largest possible smallest share comes first, then the second smallest,
//! and so on; the result depends on no order of inputs. Integers only, never 0.

use super::amount::{Connections, Instances, Pods};
use super::fill::{Climber, fill};

/// What one workload asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The workload's key; it breaks ties and must be unique.
    pub name: &'a str,
    /// Pods that must fit at the same time.
    pub slots: Pods,
    /// Instances in each pod.
    pub instances: Instances,
    /// The smallest size it can work with; 0 is read as 1, because 0 would mean unlimited.
    pub min: Connections,
    /// The largest size it has a use for; below the minimum it is read as the minimum.
    pub max: Option<Connections>,
    /// Its part compared with the others'; 0 is read as 1.
    pub weight: u32,
}

impl Claim<'_> {
    /// kmin: the smallest size.
    fn floor(&self) -> Connections {
        self.min.max(Connections::ONE)
    }

    /// What all its slots hold at that size. Several counts are multiplied, so an overflow is reported, not saturated:
    /// the product is compared with a usable number that may itself be the largest there is.
    fn need(&self, size: Connections) -> Option<u64> {
        self.slope().checked_mul(size.get())
    }

    /// What all its slots hold per connection of size. The product of two 32-bit counts fits.
    fn slope(&self) -> u64 {
        u64::from(self.slots.get()) * u64::from(self.instances.get())
    }
}

/// The fair size of each claim, in the order of the claims: Σ slots × instances × size ≤ `usable`, and no size could
/// grow without making one that is smaller still even smaller. `None` when the minima do not fit.
///
/// A workload without slots takes no part: its size is its minimum until it has some.
#[must_use]
pub fn sizes(usable: Connections, claims: &[Claim<'_>]) -> Option<Vec<Connections>> {
    let mut room = usable.get();
    for claim in claims {
        room = room.checked_sub(claim.need(claim.floor())?)?;
    }
    let mut climbers: Vec<Climber<'_>> = claims.iter().map(|claim| climber(claim, room)).collect();
    fill(&mut climbers, room);
    Some(climbers.into_iter().map(|c| Connections::new(c.at)).collect())
}

fn climber<'a>(claim: &Claim<'a>, room: u64) -> Climber<'a> {
    let (floor, price) = (claim.floor().get(), claim.slope());
    // Division by zero: without slots there is nothing to raise.
    let affordable = floor.saturating_add(room.checked_div(price).unwrap_or(0));
    let end = claim.max.map_or(affordable, |max| max.get().clamp(floor, affordable));
    Climber { name: claim.name, at: floor, end, price, step: 1, weight: claim.weight.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, slots: u32) -> Claim<'_> {
        Claim {
            name,
            slots: Pods::new(slots),
            instances: Instances::ONE,
            min: Connections::ONE,
            max: None,
            weight: 1,
        }
    }

    fn at(usable: u64, claims: &[Claim<'_>]) -> Option<Vec<u64>> {
        let sizes = sizes(Connections::new(usable), claims)?;
        Some(sizes.into_iter().map(Connections::get).collect())
    }

    #[test]
    fn one_workload_gets_what_its_slots_allow() {
        assert_eq!(at(13, &[claim("a", 3)]), Some(vec![4]));
        assert_eq!(at(13, &[claim("a", 13)]), Some(vec![1]));
        assert_eq!(at(13, &[claim("a", 14)]), None);
    }

    #[test]
    fn sizes_are_levelled_and_the_cheapest_takes_what_is_left() {
        assert_eq!(at(13, &[claim("a", 3), claim("b", 2)]), Some(vec![2, 3]));
        assert_eq!(at(14, &[claim("a", 3), claim("b", 2)]), Some(vec![2, 4]));
        assert_eq!(at(15, &[claim("a", 3), claim("b", 2)]), Some(vec![3, 3]));
    }

    #[test]
    fn equals_are_told_apart_by_name_whatever_their_order() {
        assert_eq!(at(5, &[claim("a", 2), claim("b", 2)]), Some(vec![1, 1]));
        assert_eq!(at(6, &[claim("a", 2), claim("b", 2)]), Some(vec![2, 1]));
        assert_eq!(at(6, &[claim("b", 2), claim("a", 2)]), Some(vec![1, 2]));
    }

    #[test]
    fn processes_and_engines_are_paid_for_like_pods() {
        let four = Claim { instances: Instances::of(4, 1), ..claim("a", 2) };
        assert_eq!(at(13, &[four]), Some(vec![1]));
        assert_eq!(at(16, &[four]), Some(vec![2]));
        assert_eq!(at(7, &[four]), None);
    }

    #[test]
    fn weights_share_in_proportion() {
        let heavy = Claim { weight: 2, ..claim("a", 1) };
        assert_eq!(at(9, &[heavy, claim("b", 1)]), Some(vec![6, 3]));
        assert_eq!(at(10, &[heavy, claim("b", 1)]), Some(vec![7, 3]));
        assert_eq!(at(11, &[heavy, claim("b", 1)]), Some(vec![7, 4]));
    }

    #[test]
    fn minima_come_first_and_maxima_leave_the_rest_to_others() {
        let modest = Claim { max: Some(Connections::new(2)), ..claim("a", 1) };
        let hungry = Claim { min: Connections::new(5), ..claim("b", 1) };
        assert_eq!(at(13, &[modest, hungry]), Some(vec![2, 11]));
        assert_eq!(at(6, &[modest, hungry]), Some(vec![1, 5]));
        assert_eq!(at(5, &[modest, hungry]), None);
    }

    #[test]
    fn who_no_longer_fits_is_passed_by_a_cheaper_one() {
        assert_eq!(at(16, &[claim("wide", 10), claim("narrow", 1)]), Some(vec![1, 6]));
    }

    #[test]
    fn a_size_is_never_zero_and_a_maximum_below_the_minimum_is_the_minimum() {
        let zero = Claim { min: Connections::ZERO, max: Some(Connections::ZERO), ..claim("a", 2) };
        assert_eq!(at(100, &[zero]), Some(vec![1]));
        assert_eq!(at(1, &[zero]), None);
    }

    #[test]
    fn a_workload_without_slots_stands_at_its_minimum_and_costs_nothing() {
        assert_eq!(at(4, &[claim("none", 0), claim("some", 2)]), Some(vec![1, 2]));
        assert_eq!(at(0, &[claim("none", 0)]), Some(vec![1]));
    }

    #[test]
    fn weights_of_zero_count_as_one() {
        let none = Claim { weight: 0, ..claim("a", 1) };
        assert_eq!(at(4, &[none, claim("b", 1)]), Some(vec![2, 2]));
    }

    #[test]
    fn the_largest_numbers_there_are_neither_hang_nor_overflow() {
        assert_eq!(at(u64::MAX, &[claim("a", 1)]), Some(vec![u64::MAX]));
        assert_eq!(at(u64::MAX, &[claim("a", 1), claim("b", 1)]), Some(vec![1 << 63, (1 << 63) - 1]));
        let huge = Claim { instances: Instances::of(u32::MAX, 1), weight: u32::MAX, ..claim("c", u32::MAX) };
        let size = u64::MAX / (u64::from(u32::MAX) * u64::from(u32::MAX));
        assert_eq!(at(u64::MAX, &[huge]), Some(vec![size]));
        assert_eq!(at(u64::MAX, &[huge, claim("a", 1)]), Some(vec![1, u64::MAX - huge.slope()]));
        assert_eq!(at(u64::MAX, &[Claim { min: Connections::MAX, ..claim("a", 2) }]), None);
        let heavy = Claim { weight: u32::MAX, ..claim("a", 1) };
        assert_eq!(at(u64::from(u32::MAX) + 1, &[heavy, claim("b", 1)]), Some(vec![u64::from(u32::MAX), 1]));
    }
}
