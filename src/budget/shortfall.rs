//! Why the demands of a budget do not fit, as numbers and as the sentence that a user reads.
//!
//! In: the terms and demands of an infeasible plan. Out: the arithmetic of each workload, how far each could be scaled,
//! and only those ways out that work. Forbidden here: changing the plan.

use std::cmp::Reverse;
use std::fmt;

use super::amount::{Connections, Pods};
use super::basis::{Basis, Rung};
use super::plan::{Demand, Terms};
use super::rollout::Strategy;

/// How many workloads the sentence names, those with the largest needs first.
const NAMED: usize = 5;

/// The arithmetic of an infeasible budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// U: the connections to share.
    pub usable: Connections,
    /// What all slots need at the minimum sizes.
    pub needed: Connections,
    /// What all slots would need if only the current replicas were planned for.
    pub needed_now: Connections,
    /// The ways out that would work, in the order in which they are named.
    pub ways_out: Vec<WayOut>,
    /// The indices of workloads that could each, alone, make everything fit by starting no surge pods in a rollout.
    pub without_surge: Vec<usize>,
    /// The part of each workload, in the order of the demands. [Hopeless](Line::hopeless) workloads are in no sum.
    pub lines: Vec<Line>,
}

/// One workload's part of what is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The workload's key.
    pub name: String,
    /// N: the pods planned for.
    pub pods: Pods,
    /// r: the surge pods that slots are kept for.
    pub surge: Pods,
    /// Processes in a pod.
    pub processes: u32,
    /// Engines in a process.
    pub engines: u32,
    /// kmin: connections of an instance.
    pub size: Connections,
    /// What requires this size, where that is not the budget.
    pub needed_by: Option<String>,
    /// The product of the above.
    pub connections: Connections,
    /// n: the replicas it asks for now.
    pub current: Pods,
    /// The most replicas that fit while all other workloads stay as they are.
    pub safe_replicas: Pods,
    /// The most replicas at which each instance could have one connection more.
    pub roomier_replicas: Pods,
    /// Not even one pod of it fits, at the smallest size and alone; the other workloads share what there is.
    pub hopeless: bool,
}

/// A change of the budget that makes the current replicas fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WayOut {
    /// Lower the ceilings (HPA or budget) towards the current replicas.
    LowerMaxReplicas,
    /// Plan for the next power of two instead of the ceiling.
    Ladder,
    /// Plan for the current replicas.
    Current,
}

impl Shortfall {
    /// The arithmetic of `demands` under `terms`; the `hopeless` ones are named but not summed.
    #[must_use]
    pub(super) fn of(terms: Terms, demands: &[Demand], hopeless: &[bool]) -> Self {
        let is_hopeless = |index: usize| hopeless.get(index) == Some(&true);
        let sum = |pods: fn(&Demand) -> Pods| {
            let others = demands.iter().enumerate().filter(|(index, _)| !is_hopeless(*index));
            others.map(|(_, d)| need(terms, d, pods(d))).fold(0, u128::saturating_add)
        };
        let needed = sum(Demand::peak);
        let needed_now = sum(|d| d.replicas);
        let on_rungs = sum(|d| Rung::at(d.replicas).level);
        let usable = u128::from(terms.usable.get());
        // No basis helps a workload that does not fit even alone.
        let now_fits = needed_now <= usable && !hopeless.contains(&true);
        Self {
            usable: terms.usable,
            needed: connections(needed),
            needed_now: connections(needed_now),
            ways_out: ways_out(terms.basis, now_fits, on_rungs <= usable),
            without_surge: if hopeless.contains(&true) {
                Vec::new()
            } else {
                without_surge(terms, demands, needed)
            },
            lines: demands.iter().enumerate().map(|(i, d)| line(terms, d, needed, is_hopeless(i))).collect(),
        }
    }

    /// Whether the current replicas would fit, although the planned ones do not.
    #[must_use]
    pub fn fits_now(&self) -> bool {
        // What fits not even alone fits as long as none of it is asked for.
        self.needed_now <= self.usable && self.hopeless().all(|line| line.current == Pods::ZERO)
    }

    /// What all slots need, including those of workloads of which not even one pod fits.
    #[must_use]
    pub fn needed_by_all(&self) -> Connections {
        self.hopeless().map(|line| line.connections).fold(self.needed, Connections::plus)
    }

    /// The workloads of which not even one pod fits.
    pub fn hopeless(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.hopeless)
    }
}

fn ways_out(basis: Basis, now_fits: bool, rungs_fit: bool) -> Vec<WayOut> {
    match basis {
        _ if !now_fits => Vec::new(),
        Basis::Ceiling if rungs_fit => vec![WayOut::LowerMaxReplicas, WayOut::Ladder],
        Basis::Ceiling => vec![WayOut::LowerMaxReplicas, WayOut::Current],
        Basis::Ladder => vec![WayOut::Current],
        Basis::Current => Vec::new(),
    }
}

/// The demands that, without surge pods of their own, leave enough of `needed` for the others.
fn without_surge(terms: Terms, demands: &[Demand], needed: u128) -> Vec<usize> {
    let saved = |demand: &Demand| {
        let pods = demand.peak();
        let rolls = matches!(demand.strategy, Strategy::RollingUpdate { .. } | Strategy::DaemonSet { .. });
        let kept =
            u128::from(demand.strategy.slots(pods, terms.surge).get()).saturating_sub(pods.get().into());
        if rolls { kept * bill(demand) } else { 0 }
    };
    let enough = |saved: u128| saved > 0 && needed.saturating_sub(saved) <= u128::from(terms.usable.get());
    demands.iter().enumerate().filter(|(_, demand)| enough(saved(demand))).map(|(place, _)| place).collect()
}

/// What a demand needs at the minimum size if `pods` of it are planned for.
fn need(terms: Terms, demand: &Demand, pods: Pods) -> u128 {
    u128::from(demand.strategy.slots(pods, terms.surge).get()) * bill(demand)
}

/// What one of its pods holds at the minimum size. In 128 bits, where its product with slots always fits.
fn bill(demand: &Demand) -> u128 {
    u128::from(demand.floor().get()) * u128::from(demand.instances().get())
}

fn line(terms: Terms, demand: &Demand, needed: u128, hopeless: bool) -> Line {
    let pods = demand.peak();
    let own = need(terms, demand, pods);
    let others = needed.saturating_sub(own);
    let larger = Demand { min: demand.floor().plus(Connections::ONE), ..demand.clone() };
    let most = |demand: &Demand| if hopeless { Pods::ZERO } else { most_replicas(terms, demand, others) };
    Line {
        name: demand.name.clone(),
        pods,
        surge: demand.strategy.surge_reserve(pods, terms.surge),
        processes: demand.processes.max(1),
        engines: demand.engines.max(1),
        size: demand.floor(),
        needed_by: demand.needed_by.clone(),
        connections: connections(own),
        current: demand.replicas,
        safe_replicas: most(demand),
        roomier_replicas: most(&larger),
        hopeless,
    }
}

/// The most replicas that fit at the minimum size beside others that need `taken`.
fn most_replicas(terms: Terms, demand: &Demand, taken: u128) -> Pods {
    let room = u128::from(terms.usable.get()).saturating_sub(taken);
    // A bill is at least 1.
    let slots = u32::try_from(room / bill(demand).max(1)).unwrap_or(u32::MAX);
    demand.strategy.most_replicas_within(Pods::new(slots), terms.surge)
}

/// How far each workload could be scaled while the others keep the current replicas. Their ceilings do not count: what
/// they might want one day must not forbid what fits today.
#[must_use]
pub(super) fn largest_replicas(terms: Terms, demands: &[Demand]) -> Vec<Pods> {
    let fits_alone = |d: &Demand| bill(d) <= u128::from(terms.available.get());
    let need = |d| if fits_alone(d) { need(terms, d, d.replicas) } else { 0 };
    let needs: Vec<u128> = demands.iter().map(need).collect();
    let needed = needs.iter().copied().fold(0, u128::saturating_add);
    demands.iter().zip(needs).map(|(d, own)| most_replicas(terms, d, needed - own)).collect()
}

fn connections(n: u128) -> Connections {
    Connections::new(u64::try_from(n).unwrap_or(u64::MAX))
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hopeless().next().is_some() {
            self.fmt_hopeless(f)?;
            if self.needed <= self.usable {
                return write!(f, "The other workloads need at least {} of them and fit", self.needed);
            }
        }
        // A workload scaled to zero needs nothing, and its numbers would tell the reader nothing.
        let counted = |line: &&Line| !line.hopeless && line.connections > Connections::ZERO;
        let lines: Vec<&Line> = self.lines.iter().filter(counted).collect();
        if let [only] = lines.as_slice() {
            let Line { name, safe_replicas, .. } = only;
            write!(f, "{name}: {only}, {} usable; largest safe replicas: {safe_replicas}", self.usable)?;
        } else {
            self.fmt_several(f, lines)?;
        }
        self.fmt_ways_out(f)
    }
}

impl Shortfall {
    /// Names the workloads that do not fit even alone.
    fn fmt_hopeless(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pod =
            |line: &Line| u128::from(line.size.get()) * u128::from(line.processes) * u128::from(line.engines);
        let mut lines: Vec<&Line> = self.hopeless().collect();
        lines.sort_unstable_by(|a, b| pod(b).cmp(&pod(a)).then_with(|| a.name.cmp(&b.name)));
        for line in lines.iter().take(NAMED) {
            let (name, needed) = (&line.name, count(connections(pod(line)).get(), "connection"));
            write!(
                f,
                "{name}: one pod alone needs {needed}{}, {} usable: it can never be granted and takes nothing from the others. ",
                line.why(),
                self.usable
            )?;
        }
        match lines.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "And {} like it. ", count(u64::try_from(more).unwrap_or(u64::MAX), "workload")),
        }
    }

    fn fmt_several(&self, f: &mut fmt::Formatter<'_>, mut lines: Vec<&Line>) -> fmt::Result {
        lines.sort_unstable_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.name.cmp(&b.name)));
        for line in lines.iter().take(NAMED) {
            write!(f, "{}: {line}; largest safe replicas: {}. ", line.name, line.safe_replicas)?;
        }
        match lines.len().saturating_sub(NAMED) {
            0 => {}
            1 => f.write_str("And 1 workload more. ")?,
            more => write!(f, "And {more} workloads more. ")?,
        }
        write!(f, "Together {}, {} usable", count(self.needed.get(), "connection"), self.usable)
    }

    fn fmt_ways_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, way) in self.ways_out.iter().enumerate() {
            if i == 0 {
                let needed = count(self.needed_now.get(), "connection");
                write!(f, ". The current replicas need {needed} and fit: ")?;
            } else {
                f.write_str(", or ")?;
            }
            match (way, self.lower()) {
                (WayOut::LowerMaxReplicas, Some(line)) => self.fmt_lower(f, line)?,
                _ => write!(f, "{way}")?,
            }
        }
        match self.without_surge.iter().filter_map(|place| Some(&self.lines.get(*place)?.name)).min() {
            None => Ok(()),
            Some(first) => write!(f, ". With maxSurge: 0 and maxUnavailable: 1 of {first} it fits"),
        }
    }

    /// The workload for which a lower ceiling alone is enough; of several, the one that needs most.
    #[must_use]
    fn lower(&self) -> Option<&Line> {
        let enough =
            |line: &&Line| line.pods > line.current && line.safe_replicas >= line.current.max(Pods::new(1));
        self.lines.iter().filter(enough).max_by_key(|line| (line.connections, Reverse(&line.name)))
    }

    fn fmt_lower(&self, f: &mut fmt::Formatter<'_>, line: &Line) -> fmt::Result {
        let Line { name, safe_replicas, roomier_replicas, size, .. } = line;
        let whose = if self.lines.len() > 1 { format!(" of {name}") } else { String::new() };
        write!(f, "lower maxReplicas{whose} to {safe_replicas}, for {size} each")?;
        if *roomier_replicas >= line.current.max(Pods::new(1)) && roomier_replicas < safe_replicas {
            write!(f, ", or to {roomier_replicas}, for {} each", size.plus(Connections::ONE))?;
        }
        Ok(())
    }
}

impl Line {
    /// What requires the smallest size, for a sentence that names it.
    fn why(&self) -> String {
        let needs = |who| format!(" ({who} needs at least {})", count(self.size.get(), "connection"));
        self.needed_by.as_ref().map_or_else(String::new, needs)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pods = count(self.pods.get().into(), "pod");
        if self.surge > Pods::ZERO {
            write!(f, "({pods} + {} surge)", self.surge)?;
        } else {
            f.write_str(&pods)?;
        }
        if self.processes > 1 {
            write!(f, " × {} processes", self.processes)?;
        }
        if self.engines > 1 {
            write!(f, " × {} engines", self.engines)?;
        }
        write!(f, " × {}{} = {}", self.size, self.why(), count(self.connections.get(), "connection"))
    }
}

impl fmt::Display for WayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LowerMaxReplicas => "lower maxReplicas",
            Self::Ladder => "set sizing.basis to Ladder",
            Self::Current => "set sizing.basis to Current",
        })
    }
}

/// A number with its noun in the right form.
fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::plan::{Feasibility, Plan};
    use crate::budget::rollout::{IntOrPercent, Strategy, Surge};

    fn demand(name: &str, replicas: u32, pods: u32) -> Demand {
        Demand {
            name: name.to_owned(),
            replicas: Pods::new(replicas),
            pods: Pods::new(pods),
            baseline: Pods::new(replicas),
            strategy: Strategy::default(),
            processes: 1,
            engines: 1,
            min: Connections::ONE,
            needed_by: None,
            max: None,
            weight: 1,
        }
    }

    fn shortfall(basis: Basis, surge: Surge, demands: &[Demand]) -> Shortfall {
        let terms = Terms { usable: Connections::new(13), available: Connections::new(13), surge, basis };
        match Plan::of(terms, demands).outlook.feasibility {
            Feasibility::Infeasible(shortfall) => shortfall,
            Feasibility::Feasible { .. } => panic!("this fits"),
        }
    }

    fn message(basis: Basis, surge: Surge, demands: &[Demand]) -> String {
        shortfall(basis, surge, demands).to_string()
    }

    #[test]
    fn one_workload_is_told_with_its_whole_arithmetic() {
        let api = Demand { processes: 4, ..demand("Deployment/api", 6, 6) };
        assert_eq!(
            message(Basis::Ceiling, Surge::Full, &[api]),
            "Deployment/api: (6 pods + 2 surge) × 4 processes × 1 = 32 connections, 13 usable; largest safe replicas: 2"
        );
    }

    #[test]
    fn factors_of_one_are_left_out_and_engines_are_named() {
        let api = Demand { engines: 2, min: Connections::new(7), ..demand("Deployment/api", 1, 1) };
        assert_eq!(
            message(Basis::Ceiling, Surge::Minimal, &[api]),
            "Deployment/api: (1 pod + 1 surge) × 2 engines × 7 = 28 connections, 13 usable; largest safe replicas: 0"
        );
        assert_eq!(
            message(Basis::Ceiling, Surge::Minimal, &[demand("Deployment/api", 20, 20)]),
            "Deployment/api: 20 pods × 1 = 20 connections, 13 usable; largest safe replicas: 13"
        );
    }

    #[test]
    fn several_workloads_are_told_apart_and_together() {
        let api = Demand { processes: 4, ..demand("Deployment/api", 4, 4) };
        let web = demand("Deployment/web", 2, 2);
        assert_eq!(
            message(Basis::Ceiling, Surge::Minimal, &[web, api]),
            "Deployment/api: 4 pods × 4 processes × 1 = 16 connections; largest safe replicas: 1. \
             Deployment/web: (2 pods + 1 surge) × 1 = 3 connections; largest safe replicas: 0. \
             Together 19 connections, 13 usable"
        );
    }

    #[test]
    fn what_is_scaled_to_zero_is_not_named() {
        let demands = [demand("Deployment/web", 0, 0), demand("Deployment/api", 20, 20)];
        assert_eq!(
            message(Basis::Current, Surge::Minimal, &demands),
            "Deployment/api: 20 pods × 1 = 20 connections, 13 usable; largest safe replicas: 13"
        );
    }

    #[test]
    fn of_many_workloads_those_that_need_most_are_named() {
        let demands: Vec<Demand> =
            (1..=7).map(|n| demand(&format!("Deployment/w{n}"), 4 * n, 4 * n)).collect();
        assert_eq!(
            message(Basis::Current, Surge::Minimal, &demands),
            "Deployment/w7: 28 pods × 1 = 28 connections; largest safe replicas: 0. \
             Deployment/w6: 24 pods × 1 = 24 connections; largest safe replicas: 0. \
             Deployment/w5: 20 pods × 1 = 20 connections; largest safe replicas: 0. \
             Deployment/w4: 16 pods × 1 = 16 connections; largest safe replicas: 0. \
             Deployment/w3: 12 pods × 1 = 12 connections; largest safe replicas: 0. \
             And 2 workloads more. Together 112 connections, 13 usable"
        );
    }

    #[test]
    fn when_only_the_ceiling_does_not_fit_the_ways_out_are_named() {
        assert_eq!(
            message(Basis::Ceiling, Surge::Minimal, &[demand("Deployment/api", 3, 20)]),
            "Deployment/api: 20 pods × 1 = 20 connections, 13 usable; largest safe replicas: 13. \
             The current replicas need 4 connections and fit: lower maxReplicas to 13, for 1 each, or to 6, for 2 each, \
             or set sizing.basis to Ladder"
        );
    }

    #[test]
    fn a_ladder_that_would_not_fit_is_no_way_out() {
        let demands = [demand("Deployment/api", 9, 20)];
        let ceiling = shortfall(Basis::Ceiling, Surge::Minimal, &demands);
        assert_eq!(ceiling.ways_out, [WayOut::LowerMaxReplicas, WayOut::Current]);
        assert!(ceiling.fits_now());
        let ladder = shortfall(Basis::Ladder, Surge::Minimal, &[demand("Deployment/api", 9, 16)]);
        assert_eq!(ladder.ways_out, [WayOut::Current]);
        assert_eq!(
            ladder.to_string(),
            "Deployment/api: 16 pods × 1 = 16 connections, 13 usable; largest safe replicas: 13. \
             The current replicas need 9 connections and fit: set sizing.basis to Current"
        );
    }

    #[test]
    fn when_not_even_the_replicas_of_now_fit_no_way_out_is_promised() {
        let shortfall = shortfall(Basis::Ceiling, Surge::Minimal, &[demand("Deployment/api", 14, 20)]);
        assert_eq!((shortfall.fits_now(), shortfall.ways_out), (false, Vec::new()));
    }

    #[test]
    fn what_fits_not_even_alone_fits_now_while_it_is_scaled_to_zero() {
        let huge = |replicas| Demand { min: Connections::new(14), ..demand("Deployment/huge", replicas, 1) };
        let beside = |replicas| [demand("Deployment/api", 3, 3), huge(replicas)];
        assert!(shortfall(Basis::Ceiling, Surge::Minimal, &beside(0)).fits_now());
        assert!(!shortfall(Basis::Ceiling, Surge::Minimal, &beside(1)).fits_now());
    }

    #[test]
    fn a_rollout_without_a_surge_pod_is_named_where_it_alone_is_enough() {
        let api = demand("Deployment/api", 11, 11);
        let web = demand("Deployment/web", 2, 2);
        let both = [api.clone(), web.clone()];
        assert_eq!(shortfall(Basis::Current, Surge::Minimal, &both).without_surge, [1]);
        assert!(
            message(Basis::Current, Surge::Minimal, &both)
                .ends_with(", 13 usable. With maxSurge: 0 and maxUnavailable: 1 of Deployment/web it fits")
        );
        let more = [Demand { replicas: Pods::new(12), pods: Pods::new(12), ..api }, web];
        assert_eq!(shortfall(Basis::Current, Surge::Minimal, &more).without_surge, [0; 0]);
        let twice = Demand { strategy: Strategy::Twice, ..demand("Rollout/api", 7, 7) };
        assert_eq!(shortfall(Basis::Current, Surge::Minimal, &[twice]).without_surge, [0; 0]);
    }

    #[test]
    fn the_largest_safe_replicas_leave_room_for_their_own_surge() {
        let strategy = Strategy::RollingUpdate {
            max_surge: IntOrPercent::Int(1),
            max_unavailable: IntOrPercent::Int(0),
        };
        let api = Demand { strategy, ..demand("Deployment/api", 20, 20) };
        let shortfall = shortfall(Basis::Ceiling, Surge::Minimal, &[api]);
        assert_eq!(shortfall.lines.iter().map(|l| l.safe_replicas.get()).collect::<Vec<_>>(), [12]);
    }

    #[test]
    fn the_largest_replicas_reckon_with_what_the_others_are_now_and_not_with_their_ceilings() {
        let terms = Terms {
            usable: Connections::new(13),
            available: Connections::new(13),
            surge: Surge::Minimal,
            basis: Basis::Ceiling,
        };
        let api = Demand { processes: 2, ..demand("Deployment/api", 2, 20) };
        let web = demand("Deployment/web", 3, 20);
        let largest = |demands: &[Demand]| -> Vec<u32> {
            largest_replicas(terms, demands).iter().map(|pods| pods.get()).collect()
        };
        // Beside three of web and its surge pod, 9 are left: four pods of two. Beside two of api and its surge pod: 7.
        assert_eq!(largest(&[api, web]), [4, 7]);
        assert_eq!(largest(&[demand("Deployment/api", 20, 20), demand("Deployment/web", 1, 1)]), [11, 0]);
    }

    #[test]
    fn sums_beyond_the_largest_number_leave_no_workload_safe() {
        let huge = |name: &str| Demand {
            processes: u32::MAX,
            min: Connections::MAX,
            ..demand(name, u32::MAX, u32::MAX)
        };
        let shortfall = shortfall(Basis::Ceiling, Surge::Full, &[huge("a"), huge("b")]);
        assert_eq!(shortfall.needed, Connections::MAX);
        assert_eq!(shortfall.lines.iter().map(|l| l.safe_replicas.get()).collect::<Vec<_>>(), [0, 0]);
    }
}
