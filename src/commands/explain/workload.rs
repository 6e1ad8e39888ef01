//! A workload in words: its share, its slots, what a rollout of it does, and its pods.
//!
//! In: a workload, and a look at its budget. Out: an explanation.

use super::pod;
use super::share;
use super::sight::{Look, Sight};
use super::words::{Explanation, PodLine, State, count};
use crate::api::{Mode, names};
use crate::budget::amount::{Connections, Pods};
use crate::budget::assessment::Assessment;
use crate::budget::ledger::Hold;
use crate::budget::rollout::Nature;
use crate::cluster::workload::{WorkloadKey, WorkloadRecord};
use crate::controller::view::Assessed;

/// Explains a workload, once for each budget that it takes part in: more than one while it moves between budgets.
pub(super) fn explain(sight: &Sight, record: &WorkloadRecord) -> Vec<Explanation> {
    let budgets = sight.budgets_of(&record.key);
    if budgets.is_empty() {
        return vec![not_governed(record)];
    }
    let told = budgets.into_iter().map(|name| {
        let mut told = match sight.look(&name) {
            Ok(look) => with_budget(sight, &record.key, &look),
            Err(why) => told(sight, &record.key, State::Waiting, why),
        };
        told.budget = Some(name);
        told
    });
    told.collect()
}

fn told(sight: &Sight, key: &WorkloadKey, state: State, summary: String) -> Explanation {
    Explanation::new(&key.kind.to_string(), &key.name, &sight.namespace, state, summary)
}

fn not_governed(record: &WorkloadRecord) -> Explanation {
    let key = &record.key;
    let how = format!(
        "kubectl label {} {} {}=BUDGET",
        key.kind.to_string().to_lowercase(),
        key.name,
        names::BUDGET
    );
    let summary =
        format!("it has no label {}, so no budget limits it; to add it to one: {how}", names::BUDGET);
    Explanation::new(&key.kind.to_string(), &key.name, &record.namespace, State::NotGoverned, summary)
}

fn with_budget(sight: &Sight, key: &WorkloadKey, look: &Look) -> Explanation {
    let view = &look.view;
    let Some(workload) = view.workloads().find(|workload| workload.facts.key == *key) else {
        let summary = format!("budget {} counts no pod of it", view.key.name);
        return told(sight, key, State::NotGoverned, summary);
    };
    let Assessed { index: w, facts: labelled, of, assessment } = workload;
    let Assessment { share, standing, baseline, .. } = assessment;
    let summary = format!(
        "{}, {} {}, {} waiting; a pod of it gets {}",
        count(of.demand.replicas.get(), "replica"),
        standing.granted,
        if view.mode == Mode::Observe { "counted" } else { "with a grant" },
        standing.waiting,
        share::size(&look.budget, labelled.knobs, &of.demand, share)
    );
    let mut told = told(sight, key, State::Governed, summary);
    told.point("budget", share::budget(look));
    if let Some(profile) = share::profile(labelled.record.template.profile) {
        told.point("profile", profile);
    }
    if let Some(least) = share::least(&of.demand) {
        told.point("least", least);
    }
    let processes = of.demand.processes;
    told.point("processes", format!("{processes}, {}", labelled.processes_from(processes)));
    told.point("why", share::why(view, w));
    if let Some(slots) = share::slots(sight, look, w) {
        told.point("slots", slots);
    }
    told.point("rollout", share::rollout(&of.demand, share));
    if share.nature == Nature::Service {
        let stood = count(baseline.get(), "pod");
        let text = format!("it was last fully rolled out with {stood}; these are replaced first if lost");
        told.point("baseline", text);
    }
    for note in labelled.notes() {
        told.point("note", note);
    }
    if let Some(fault) = &labelled.fault {
        told.point("fault", format!("poolbudget cannot give its pods a size: {fault}"));
    }
    if let Some(why) = labelled.passes() {
        told.point("fault", format!("it {why}"));
    }
    if of.unadopted.pods > Pods::ZERO {
        told.point("foreign", before_the_label(of.unadopted.pods, of.unadopted.connections));
    }
    told.pods = pods(sight, look, w);
    told
}

fn before_the_label(pods: Pods, connections: Connections) -> String {
    format!(
        "{} created before the label may hold {} connections on top of the budget until its rollout replaces them",
        count(pods.get(), "pod"),
        connections.in_words()
    )
}

fn pods(sight: &Sight, look: &Look, workload: usize) -> Vec<PodLine> {
    let of =
        look.view.scene.situation.pods.iter().enumerate().filter(|(_, pod)| pod.workload == Some(workload));
    let lines = of.filter_map(|(index, core)| {
        let standing = pod::standing(sight, look, index)?;
        let holds = match core.hold {
            Hold::Waiting => "-".to_owned(),
            hold => hold.bill().in_words(),
        };
        Some(PodLine { name: core.name.clone(), state: standing.state, holds, note: standing.note })
    });
    lines.collect()
}
