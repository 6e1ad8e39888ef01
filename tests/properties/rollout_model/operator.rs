//! The operator: looks at the cluster, decides, and acts as its controller does.
//!
//! In: the cluster. Out: grants on their way, at most one pod ended, settled counts carried on. The decision is
//! the core's own; a [`Rules`] other than all of them takes one of its rules away, to see that it is needed.

use std::collections::HashMap;

use poolbudget::budget::amount::{Connections, Instances, Pods};
use poolbudget::budget::basis::Basis;
use poolbudget::budget::decide::{Decision, Situation, Workload, decide};
use poolbudget::budget::grant::{Allotment, Grants, Refusal, grants};
use poolbudget::budget::ledger::{Hold, Ledger, Pod, Unadopted};
use poolbudget::budget::plan::{Demand, Feasibility, Plan, Terms};
use poolbudget::budget::rollout::Strategy;
use poolbudget::budget::room::{Cause, Scene, room};
use poolbudget::budget::settle::settled;

use super::cluster::{App, Cluster, LITERAL};
use super::random::Random;

/// Which rules are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    All,
    /// No slot for the surge pod without which a rollout cannot move.
    WithoutR1,
    /// Shares are counted in connections instead of pods.
    WithoutR2,
    /// No room is kept for the replacement of a lost pod.
    WithoutR3,
    /// Too few ready pods keep an oversize pod for ever, even when they can never become more.
    WithoutLastResort,
    /// Neither of the two.
    WithoutR3AndLastResort,
    /// Draining pods are taken for gone.
    WithoutDraining,
}

/// What the operator sees.
pub(crate) struct View {
    pub(crate) situation: Situation,
    /// The app behind each workload.
    apps: Vec<usize>,
    /// The place in the cluster of each pod.
    pods: Vec<usize>,
}

impl View {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let governed = |app: &usize| cluster.apps[*app].deployment.template.labelled;
        let apps: Vec<usize> = (0..cluster.apps.len()).filter(governed).collect();
        let place: HashMap<usize, usize> = apps.iter().enumerate().map(|(w, app)| (*app, w)).collect();
        let seen = |i: &usize| cluster.pods[*i].template.labelled;
        let pods: Vec<usize> = (0..cluster.pods.len()).filter(seen).collect();
        let situation = Situation {
            available: Connections::new(cluster.available),
            surge: cluster.surge,
            basis: cluster.basis,
            eviction: true,
            workloads: apps.iter().map(|app| workload(*app, cluster)).collect(),
            pods: pods.iter().map(|i| pod(&cluster.pods[*i], cluster, &place)).collect(),
            quarantine: cluster.quarantine.iter().map(|(bill, _)| *bill).collect(),
        };
        Self { situation, apps, pods }
    }
}

fn workload(index: usize, cluster: &Cluster) -> Workload {
    let App { deployment, ceiling, weight, min, max, carried } = &cluster.apps[index];
    let replicas = Pods::new(deployment.replicas);
    let (pods, _) = cluster.basis.pods(replicas, ceiling.map(Pods::new), None, 0);
    let (own, before): (Vec<_>, Vec<_>) = deployment.sets.iter().partition(|set| set.template.labelled);
    let active = own.iter().filter(|set| set.replicas > 0).map(|set| set.template.processes);
    let count = |pods: i64| Pods::new(u32::try_from(pods).unwrap());
    let standing: Pods = before.iter().map(|set| count(set.pods)).sum();
    Workload {
        demand: Demand {
            name: format!("Deployment/w{index}"),
            replicas,
            pods,
            settled: carried.unwrap_or(replicas),
            strategy: deployment.strategy,
            processes: active.chain([deployment.template.processes]).max().unwrap(),
            engines: 1,
            min: Connections::new(*min),
            max: max.map(Connections::new),
            weight: *weight,
        },
        carried: *carried,
        observed: deployment.observed,
        unadopted: Unadopted {
            pods: standing,
            ready: before.iter().map(|set| count(set.available)).sum(),
            connections: LITERAL.times(standing),
        },
    }
}

fn pod(pod: &super::cluster::Pod, cluster: &Cluster, place: &HashMap<usize, usize>) -> Pod {
    let sets = &cluster.apps[pod.app].deployment.sets;
    let newest = sets.iter().max_by_key(|set| set.revision);
    Pod {
        uid: format!("{:05}", pod.uid),
        name: format!("w{}-{:05}", pod.app, pod.uid),
        workload: place.get(&pod.app).copied(),
        created: pod.created,
        age: u64::try_from(cluster.now - pod.created).unwrap(),
        hold: pod.hold,
        ready: pod.ready,
        terminating: pod.terminating,
        current: newest.is_some_and(|set| set.template.id == pod.template.id),
        instances: Instances::of(pod.template.processes, 1),
    }
}

/// Decides and acts once. `refusals` in a hundred evictions are refused by the cluster, which makes the operator
/// try the next candidate.
pub(crate) fn act(cluster: &mut Cluster, rules: Rules, random: &mut Random, refusals: u32) {
    let mut view = View::of(cluster);
    if rules == Rules::WithoutDraining {
        let staying = |i: &usize| !cluster.pods[*i].terminating;
        view.situation.pods.retain(|pod| !pod.terminating);
        view.pods.retain(staying);
    }
    let decision = match rules {
        Rules::All | Rules::WithoutDraining => decide(&view.situation),
        _ => decide_without(rules, &view.situation),
    };
    for (app, settled) in view.apps.iter().zip(&decision.settled) {
        cluster.apps[*app].carried = Some(*settled);
    }
    for grant in &decision.grants.granted {
        let pod = &mut cluster.pods[view.pods[grant.pod]];
        assert_eq!(pod.hold, Hold::Waiting, "a grant for a pod that has one");
        pod.hold = Hold::InFlight(grant.size.per_pod(Instances::of(pod.template.processes, 1)));
    }
    if let Some(candidate) = decision.room.candidates.iter().find(|_| !random.percent(refusals)) {
        cluster.end(view.pods[candidate.pod]);
    }
}

/// The steps of the core's own `decide`, one rule short.
fn decide_without(rules: Rules, situation: &Situation) -> Decision {
    let unadopted: Vec<Unadopted> = situation.workloads.iter().map(|w| w.unadopted).collect();
    let ledger = Ledger::of(&situation.pods, &unadopted, &situation.quarantine);
    let usable = situation.available.minus(ledger.escaped);
    let both = situation.workloads.iter().zip(&ledger.workloads);
    let settled: Vec<Pods> =
        both.map(|(w, standing)| settled(w.carried, w.demand.replicas, standing, w.observed)).collect();
    let plan = plan_without(rules, situation, usable, &settled);
    let allot = |w: usize, settled: Pods| Allotment { share: plan.shares[w], settled };
    let r3 = !matches!(rules, Rules::WithoutR3 | Rules::WithoutR3AndLastResort);
    let kept = |b: &Pods| if r3 { *b } else { Pods::ZERO };
    let for_grants: Vec<Allotment> = settled.iter().enumerate().map(|(w, b)| allot(w, kept(b))).collect();
    let for_room: Vec<Allotment> = settled.iter().enumerate().map(|(w, b)| allot(w, *b)).collect();
    let mut grants = grants(usable, &ledger, &for_grants, &situation.pods);
    if rules == Rules::WithoutR2 {
        grants = within_shares_in_connections(grants, situation, &ledger, &plan);
    }
    let scene = Scene {
        usable,
        ledger: &ledger,
        allotments: &for_room,
        pods: &situation.pods,
        feasible: matches!(plan.feasibility, Feasibility::Feasible { .. }),
        eviction: situation.eviction,
    };
    let mut room = room(&scene, &grants);
    if matches!(rules, Rules::WithoutLastResort | Rules::WithoutR3AndLastResort) {
        room.candidates.retain(|candidate| {
            let w = situation.pods[candidate.pod].workload.unwrap();
            let at_once = plan.shares[w].unavailable.max(Pods::ONE);
            candidate.cause != Cause::Oversize || ledger.workloads[w].ready.plus(at_once) > settled[w]
        });
    }
    Decision { usable, ledger, plan, settled, grants, room }
}

/// Refuses every pod with which its workload would hold more than slots × bill, however many pods that is.
fn within_shares_in_connections(
    grants: Grants,
    situation: &Situation,
    ledger: &Ledger,
    plan: &Plan,
) -> Grants {
    let mut held: Vec<Connections> = ledger.workloads.iter().map(|w| w.committed).collect();
    let mut fits = |pod: usize, bill: Option<Connections>| {
        let Some(w) = situation.pods[pod].workload else { return true };
        let share = plan.shares[w];
        let with = held[w].plus(bill.unwrap_or(share.bill));
        let fits = with <= share.bill.times(share.slots);
        if fits && bill.is_some() {
            held[w] = with;
        }
        fits
    };
    let mut kept = Grants::default();
    for grant in grants.granted {
        if fits(grant.pod, Some(grant.bill)) {
            kept.granted.push(grant);
        } else {
            kept.refused.push((grant.pod, Refusal::NoSlot));
        }
    }
    for (pod, why) in grants.refused {
        kept.refused.push((pod, if fits(pod, None) { why } else { Refusal::NoSlot }));
    }
    kept
}

fn plan_without(rules: Rules, situation: &Situation, usable: Connections, settled: &[Pods]) -> Plan {
    let mut demands: Vec<Demand> = Vec::new();
    for (w, settled) in situation.workloads.iter().zip(settled) {
        demands.push(Demand { settled: *settled, ..w.demand.clone() });
    }
    if rules != Rules::WithoutR1 {
        return Plan::of(Terms { usable, surge: situation.surge, basis: situation.basis }, &demands);
    }
    for demand in &mut demands {
        // A strategy without surge: no slot and no reserve for it.
        demand.strategy = Strategy::Recreate;
    }
    let mut plan = Plan::of(Terms { usable, surge: situation.surge, basis: Basis::Ceiling }, &demands);
    for (share, w) in plan.shares.iter_mut().zip(&situation.workloads) {
        share.unavailable = w.demand.strategy.unavailable(w.demand.replicas);
    }
    plan
}

/// Whether all that is wanted fits at this instant.
pub(crate) fn feasible(cluster: &Cluster) -> bool {
    let plan = decide(&View::of(cluster).situation).plan;
    matches!(plan.feasibility, Feasibility::Feasible { .. })
}
