//! Whether the model would have done what the real controllers did.
//!
//! In: a recording. Out: what was compared, or the first difference. The rules:
//! - every write of the real Deployment controller is the next one of a pass of the model over what the real one
//!   could have seen: the sets as they were at some instant since the last rest;
//! - at rest the sets report their pods as the model does;
//! - where the real controllers come to rest, the model of both can come to rest, with the same sizes,
//!   annotations, revisions and pods.

use std::collections::{BTreeSet, HashMap};

use testkit::model::deployment::{Deployment, ReplicaSet, Write};
use testkit::model::replica_set::Report;

use super::recording::{Act, Numbers, Recording, Rest, Seen};
use super::script::{Edit, Step};
use super::twin::{Outcome, Pass, Runs, World, numbers, template};

/// How much was compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rests: usize,
    pub(crate) writes: usize,
    /// Rests of the model that were possible, all steps together.
    pub(crate) possible: usize,
    /// States of the model that were visited.
    pub(crate) states: usize,
    /// The most versions by which a view had to be behind to explain a write.
    pub(crate) behind: usize,
}

struct Judge<'a> {
    pass: Pass,
    /// What is wanted now; its sets are not used.
    spec: Deployment,
    /// The order of creation by template.
    births: HashMap<u32, usize>,
    /// The sets at the last rest, which the controllers had seen, and after each version since then.
    views: Vec<Vec<ReplicaSet>>,
    /// The writes of the Deployment controller since then, by template.
    writes: Vec<(u32, Numbers)>,
    rest: World,
    recording: &'a Recording,
    tally: Tally,
}

/// Compares a recording with the model, whose Deployment controller is `pass`.
pub(crate) fn judge(recording: &Recording, pass: Pass) -> Result<Tally, String> {
    let script = &recording.script;
    let mut judge = Judge {
        pass,
        spec: Deployment::new(script.replicas, script.strategy, template(0)),
        births: births(recording),
        views: vec![Vec::new()],
        writes: Vec::new(),
        rest: World::default(),
        recording,
        tally: Tally::default(),
    };
    for (place, act) in recording.acts.iter().enumerate() {
        judge.compare(act).map_err(|why| format!("step {place} differs: {why}\n{}", judge.recording))?;
    }
    Ok(judge.tally)
}

fn births(recording: &Recording) -> HashMap<u32, usize> {
    let Some(last) = recording.acts.last() else { return HashMap::new() };
    let mut sets: Vec<&Seen> = last.rest.sets.iter().collect();
    sets.sort_by_key(|set| set.born.clone());
    sets.iter().enumerate().map(|(place, set)| (set.template, place)).collect()
}

impl Judge<'_> {
    fn compare(&mut self, act: &Act) -> Result<(), String> {
        self.views.drain(..self.views.len() - 1);
        self.writes.clear();
        if let Some(Step::Edit(edit)) = &act.step {
            self.edit(edit);
        }
        let mut by_hand = match &act.step {
            Some(Step::Resize(template, _) | Step::Note(template, _)) => Some(*template),
            _ => None,
        };
        for seen in &act.versions {
            let before = self.view().iter().find(|set| set.template.id == seen.template).map(numbers);
            let written = before != Some(seen.spec);
            if written && by_hand == Some(seen.template) {
                by_hand = None;
            } else if written {
                self.explain(seen)?;
            }
            self.see(seen);
        }
        self.compare_rest(act)
    }

    fn edit(&mut self, edit: &Edit) {
        let spec = &mut self.spec;
        spec.replicas = edit.replicas.unwrap_or(spec.replicas);
        spec.strategy = edit.strategy.unwrap_or(spec.strategy);
        spec.paused = edit.paused.unwrap_or(spec.paused);
        spec.template = edit.template.map_or(spec.template, template);
    }

    fn view(&self) -> &[ReplicaSet] {
        self.views.last().unwrap()
    }

    fn see(&mut self, seen: &Seen) {
        let set = replica_set(seen, &self.births);
        let mut view = self.view().to_vec();
        match view.iter().position(|other| other.template.id == seen.template) {
            Some(place) => view[place] = set,
            None => view.push(set),
        }
        self.views.push(view);
    }

    fn explain(&mut self, seen: &Seen) -> Result<(), String> {
        let write = (seen.template, seen.spec);
        let mut instead = Vec::new();
        for (behind, view) in self.views.iter().rev().enumerate() {
            // Whether old pods still run is not in the view; what follows from either answer is known at rest.
            for running in [true, false] {
                let pass = self.pass_over(view, running);
                if self.is_next_of(&pass, view, write) {
                    self.tally.behind = self.tally.behind.max(behind);
                    self.tally.writes += 1;
                    self.writes.push(write);
                    return Ok(());
                }
                if behind == 0 {
                    instead.push(pass);
                }
            }
        }
        instead.dedup();
        Err(format!("t{} was told {}, the model writes {instead:?}", seen.template, seen.spec))
    }

    fn pass_over(&self, view: &[ReplicaSet], running: bool) -> Vec<(u32, Numbers)> {
        let mut deployment = Deployment { sets: view.to_vec(), ..self.spec.clone() };
        let newest = self.spec.template.id;
        let writes = (self.pass)(&mut deployment, &|template| running && template != newest);
        let told = |write: &Write| {
            let Write { set, replicas, desired, most, revision } = *write;
            (deployment.sets[set].template.id, Numbers { replicas, desired, most, revision })
        };
        writes.iter().map(told).collect()
    }

    /// Whether the pass has the write, has made the ones before it, and nobody else wrote the set since.
    fn is_next_of(&self, pass: &[(u32, Numbers)], view: &[ReplicaSet], write: (u32, Numbers)) -> bool {
        let find = |sets: &[ReplicaSet]| sets.iter().find(|set| set.template.id == write.0).cloned();
        let mut places = (0..pass.len()).filter(|place| pass[*place] == write);
        places.any(|place| {
            let made = &pass[..place];
            let mut expected = find(view);
            if let (Some(set), Some((_, own))) =
                (&mut expected, made.iter().rfind(|(template, _)| *template == write.0))
            {
                (set.replicas, set.desired, set.most) = (own.replicas, own.desired, own.most);
                set.revision = own.revision;
            }
            self.writes.ends_with(made) && expected == find(self.view())
        })
    }

    fn compare_rest(&mut self, act: &Act) -> Result<(), String> {
        let rest = self.world(&act.rest);
        let mut world = std::mem::replace(&mut self.rest, rest);
        if let Some(step) = &act.step {
            world.take(step);
        }
        let runs = Runs::explore(&self.spec, world, &self.births, self.pass);
        let possible: BTreeSet<Outcome> = runs.rests().map(World::outcome).collect();
        self.tally.rests += 1;
        self.tally.possible += possible.len();
        self.tally.states += runs.states();
        self.compare_reports(&act.rest)?;
        let real = self.rest.outcome();
        if possible.contains(&real) {
            return Ok(());
        }
        let histories = runs.histories();
        Err(format!(
            "it rests at {real:#?}\nand the model at one of {possible:#?}\nby the sizes {histories:?}"
        ))
    }

    /// A set at rest reports the pods that it has.
    fn compare_reports(&self, rest: &Rest) -> Result<(), String> {
        for seen in &rest.sets {
            let Seen { template, pods: replicas, ready, available, terminating, .. } = *seen;
            let (told, truth) =
                (Report { replicas, ready, available, terminating }, self.rest.truth(self.rest.of(template)));
            if told != truth {
                return Err(format!("t{template} reports {told:?} and not {truth:?}"));
            }
        }
        Ok(())
    }

    fn world(&self, rest: &Rest) -> World {
        // In the order in which they appeared, as in every view.
        let place = |seen: &Seen| self.view().iter().position(|set| set.template.id == seen.template);
        let mut seen: Vec<&Seen> = rest.sets.iter().collect();
        seen.sort_by_key(|seen| place(seen));
        World {
            sets: seen.iter().map(|seen| replica_set(seen, &self.births)).collect(),
            pods: seen
                .iter()
                .map(|seen| rest.pods.get(&seen.template).cloned().unwrap_or_default())
                .collect(),
        }
    }
}

fn replica_set(seen: &Seen, births: &HashMap<u32, usize>) -> ReplicaSet {
    let Numbers { replicas, desired, most, revision } = seen.spec;
    ReplicaSet {
        template: template(seen.template),
        revision,
        replicas,
        pods: seen.pods,
        available: seen.available,
        born: births[&seen.template],
        desired,
        most,
    }
}
