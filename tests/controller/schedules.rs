//! Random schedules: two processes, lost and late requests, watches that lag, scaling, edits, recreated budgets.

use proptest::prelude::*;

use super::cluster::{Cluster, part};
use super::door::Fate;
use super::server::terminating;
use super::term::{Term, pass};

#[derive(Clone, Debug)]
enum Event {
    /// A request of one of the processes meets its fate.
    Request(usize, Fate),
    /// The watch of one of the processes brings some changes.
    Watch(usize, usize),
    /// One of the processes restarts.
    Restart(usize),
    /// A write that was in flight arrives.
    Arrive(usize),
    Scale(&'static str, u32),
    /// The controllers and kubelets act.
    Step,
    Pass(i64),
    /// A user deletes a pod.
    Delete(usize),
    /// A user edits the budget: the minimum of a workload.
    Edit(u32),
    /// The budget is deleted and recreated.
    Renew,
    /// PodDisruptionBudgets protect everything, or nothing.
    Protect(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let process = 0..2_usize;
    let fate = prop_oneof![
        12 => Just(Fate::Done),
        2 => Just(Fate::Late),
        1 => Just(Fate::Lost),
        1 => prop_oneof![Just(409), Just(410), Just(422), Just(429), Just(500)].prop_map(Fate::Refused),
    ];
    prop_oneof![
        24 => (process.clone(), fate).prop_map(|(process, fate)| Event::Request(process, fate)),
        6 => (process.clone(), 1..12_usize).prop_map(|(process, count)| Event::Watch(process, count)),
        1 => process.prop_map(Event::Restart),
        3 => any::<usize>().prop_map(Event::Arrive),
        2 => (prop_oneof![Just("api"), Just("web")], 0..6_u32).prop_map(|(name, replicas)| Event::Scale(name, replicas)),
        6 => Just(Event::Step),
        1 => (1..40_i64).prop_map(Event::Pass),
        1 => any::<usize>().prop_map(Event::Delete),
        1 => (1..4_u32).prop_map(Event::Edit),
        1 => Just(Event::Renew),
        1 => any::<bool>().prop_map(Event::Protect),
    ]
}

fn happen(event: &Event, cluster: &mut Cluster, processes: &mut [Term; 2]) {
    match *event {
        Event::Request(process, fate) => drop(processes[process].step(fate).map(|_| ())),
        Event::Watch(process, count) => processes[process].watch(count),
        Event::Restart(process) => processes[process] = Term::begin(cluster),
        Event::Arrive(which) => {
            let mut server = cluster.server();
            if !server.late.is_empty() {
                let at = which % server.late.len();
                let request = server.late.remove(at);
                let _ = server.apply(&request);
            }
        }
        Event::Scale(name, replicas) => cluster.scale(name, replicas),
        Event::Step => cluster.step(),
        Event::Pass(seconds) => pass(seconds),
        Event::Delete(which) => {
            let mut server = cluster.server();
            let names: Vec<String> = server.pods.keys().cloned().collect();
            if let Some(name) = names.get(which % names.len().max(1)) {
                server.begin_deletion(name);
            }
        }
        Event::Edit(least) => {
            let bounds = serde_json::json!([{"name": "api", "kind": "Deployment", "connectionsPerProcess": {"min": least}}]);
            cluster.server().edit_budget(|spec| spec.workloads = part(bounds));
        }
        Event::Renew => {
            let mut server = cluster.server();
            let spec = server.budget.clone().expect("a budget").spec;
            server.delete_budget();
            server.make_budget(spec);
        }
        Event::Protect(all) => {
            let mut server = cluster.server();
            server.protected.clear();
            if all {
                server.protected.push((String::new(), "calm".into()));
            }
        }
    }
}

fn survive(basis: &str, events: &[Event]) {
    let mut cluster = Cluster::new(14, basis);
    cluster.scale("api", 2);
    cluster.scale("web", 1);
    cluster.step();
    let mut processes = [Term::begin(&cluster), Term::begin(&cluster)];
    for event in events {
        happen(event, &mut cluster, &mut processes);
        cluster.server().acquit();
    }
    // In the end everything late arrives, one process is left, and what is wanted fits.
    while !cluster.server().late.is_empty() {
        happen(&Event::Arrive(0), &mut cluster, &mut processes);
    }
    happen(&Event::Protect(false), &mut cluster, &mut processes);
    happen(&Event::Edit(1), &mut cluster, &mut processes);
    let [mut last, _] = processes;
    last.heal();
    last.look();
    assert!(cluster.run(&mut last));
    let server = cluster.server();
    server.acquit();
    assert!(server.pods.values().all(|pod| !terminating(pod)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_goes_over_and_every_one_comes_to_rest(
        basis in prop_oneof![Just("Current"), Just("Ceiling"), Just("Ladder")],
        events in prop::collection::vec(event(), 1..200),
    ) {
        survive(basis, &events);
    }
}
