//! The model of both controllers on its own, in every order in which they may pass.
//!
//! In: sets and pods after a step. Out: every state in which nothing moves any more, and how one of them comes
//! about. A report may be behind while pods go one by one, and a write is refused when the set reported in between.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use testkit::model::deployment::{Deployment, ReplicaSet, Template, Write};
use testkit::model::replica_set::{Change, Phase, Pod, Report, change, report};

use super::recording::{Count, Numbers};
use super::script::{Class, Step};

/// One pass of the Deployment controller; `Deployment::sync`, or one that errs for a test.
pub(crate) type Pass = fn(&mut Deployment, &dyn Fn(u32) -> bool) -> Vec<Write>;

/// More states than a step of the scripts has by far.
const MOST_STATES: usize = 300_000;

/// The sets of a Deployment and their pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) sets: Vec<ReplicaSet>,
    pub(crate) pods: Vec<Count>,
}

/// What can be compared with reality, by template.
pub(crate) type Outcome = BTreeMap<u32, (Numbers, Count)>;

pub(crate) fn template(id: u32) -> Template {
    Template { id, good: true, processes: 1, labelled: true }
}

pub(crate) fn numbers(set: &ReplicaSet) -> Numbers {
    let ReplicaSet { replicas, desired, most, revision, .. } = *set;
    Numbers { replicas, desired, most, revision }
}

/// Whether a pod of that template exists.
pub(crate) fn runs(world: &World, template: u32) -> bool {
    let mut both = world.sets.iter().zip(&world.pods);
    both.any(|(set, count)| set.template.id == template && count.values().sum::<usize>() > 0)
}

impl World {
    pub(crate) fn outcome(&self) -> Outcome {
        let standing =
            |count: &Count| count.iter().filter(|(_, pods)| **pods > 0).map(|(c, p)| (*c, *p)).collect();
        let both = self.sets.iter().zip(&self.pods);
        both.map(|(set, count)| (set.template.id, (numbers(set), standing(count)))).collect()
    }

    /// The place of a template's set.
    pub(crate) fn of(&self, template: u32) -> usize {
        self.sets.iter().position(|set| set.template.id == template).unwrap()
    }

    /// What a step does to sets and pods. What it does to the Deployment is not in here.
    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Edit(_) => {}
            Step::Ready(template, pods) => {
                let set = self.of(*template);
                for _ in 0..*pods {
                    let waits = self.pods[set].get(&Class::Waiting).is_some_and(|pods| *pods > 0);
                    self.turn(set, if waits { Class::Waiting } else { Class::Sick }, Some(Class::Ready));
                }
            }
            Step::Fail(template) => self.turn(self.of(*template), Class::Ready, Some(Class::Sick)),
            Step::Delete(template, class) => self.delete(self.of(*template), *class),
            Step::Release => {
                for count in &mut self.pods {
                    count.remove(&Class::Leaving);
                }
            }
            Step::Resize(template, replicas) => {
                let set = self.of(*template);
                self.sets[set].replicas = *replicas;
            }
            Step::Note(template, desired) => {
                let set = self.of(*template);
                self.sets[set].desired = *desired;
            }
        }
    }

    fn turn(&mut self, set: usize, from: Class, to: Option<Class>) {
        let left = self.pods[set].get_mut(&from).unwrap();
        *left -= 1;
        if *left == 0 {
            self.pods[set].remove(&from);
        }
        if let Some(to) = to {
            *self.pods[set].entry(to).or_default() += 1;
        }
    }

    /// Nothing runs in a pod without a node: its deletion is its end.
    fn delete(&mut self, set: usize, class: Class) {
        self.turn(set, class, (class != Class::Waiting).then_some(Class::Leaving));
    }

    fn list(&self, set: usize) -> Vec<(Class, Pod)> {
        let classes = self.pods[set].iter().flat_map(|(class, pods)| std::iter::repeat_n(*class, *pods));
        classes.map(|class| (class, pod(class))).collect()
    }

    /// What the ReplicaSet controller reports when it sees everything.
    pub(crate) fn truth(&self, set: usize) -> Report {
        let pods: Vec<Pod> = self.list(set).into_iter().map(|(_, pod)| pod).collect();
        report(&pods, Duration::ZERO, Duration::from_secs(1))
    }

    /// A pass of that controller.
    fn sync_set(&mut self, set: usize) {
        let Report { replicas, available, .. } = self.truth(set);
        (self.sets[set].pods, self.sets[set].available) = (replicas, available);
        let (classes, pods): (Vec<Class>, Vec<Pod>) = self.list(set).into_iter().unzip();
        let related: Vec<Pod> = (0..self.sets.len()).flat_map(|i| self.list(i)).map(|(_, pod)| pod).collect();
        let wanted = usize::try_from(self.sets[set].replicas).unwrap();
        match change(wanted, &pods, &related, Duration::from_secs(1)) {
            Change::Create(0) => {}
            Change::Create(count) => *self.pods[set].entry(Class::Waiting).or_default() += count,
            Change::Delete(places) => {
                for place in places {
                    self.delete(set, classes[place]);
                }
            }
        }
    }

    /// Reports while not all that has happened to the pods is seen.
    fn partial_reports(&self, set: usize) -> impl Iterator<Item = Self> {
        let (told, truth) = (self.sets[set].available, self.truth(set));
        let (low, high) = (told.min(truth.available), told.max(truth.available));
        (low + 1..high).map(move |available| {
            let mut next = self.clone();
            next.sets[set].available = available;
            next.sets[set].pods = truth.replicas + (available - truth.available).max(0);
            next
        })
    }
}

/// A pod as the ReplicaSet controller sees one of that class. All have one node and one age.
fn pod(class: Class) -> Pod {
    let fresh = Pod::new(0, Duration::ZERO);
    let (node, phase) = (Some(0), Phase::Running);
    match class {
        Class::Waiting => fresh,
        Class::Sick => Pod { node, phase, ..fresh },
        Class::Ready => Pod { node, phase, ready: Some(Duration::ZERO), ..fresh },
        Class::Leaving => Pod { node, phase, terminating: true, ..fresh },
    }
}

/// The states that can be reached, each with the one that it was first reached from.
pub(crate) struct Runs {
    reached: Vec<(World, Option<usize>)>,
    /// Those in which nothing moves.
    resting: Vec<usize>,
}

impl Runs {
    /// `spec` says what is wanted; `births` is the order of creation by template.
    pub(crate) fn explore(spec: &Deployment, from: World, births: &HashMap<u32, usize>, pass: Pass) -> Self {
        let mut known = HashMap::from([(from.clone(), ())]);
        let mut runs = Self { reached: vec![(from, None)], resting: Vec::new() };
        let mut at = 0;
        while at < runs.reached.len() {
            assert!(at < MOST_STATES, "too many states");
            let mut next = moves(spec, &runs.reached[at].0, births, pass);
            next.retain(|world| *world != runs.reached[at].0);
            if next.is_empty() {
                runs.resting.push(at);
            }
            for world in next {
                if known.insert(world.clone(), ()).is_none() {
                    runs.reached.push((world, Some(at)));
                }
            }
            at += 1;
        }
        runs
    }

    pub(crate) fn states(&self) -> usize {
        self.reached.len()
    }

    pub(crate) fn rests(&self) -> impl Iterator<Item = &World> {
        self.resting.iter().map(|at| &self.reached[*at].0)
    }

    /// The sizes on the way to each rest.
    pub(crate) fn histories(&self) -> Vec<Vec<Vec<(u32, i64)>>> {
        self.resting.iter().map(|at| self.history(*at)).collect()
    }

    fn history(&self, rest: usize) -> Vec<Vec<(u32, i64)>> {
        let chain = std::iter::successors(Some(rest), |at| self.reached[*at].1);
        let sizes = |at: usize| {
            let sets = &self.reached[at].0.sets;
            sets.iter().map(|set| (set.template.id, set.replicas)).collect()
        };
        let mut history: Vec<_> = chain.map(sizes).collect();
        history.dedup();
        history.reverse();
        history
    }
}

fn moves(spec: &Deployment, world: &World, births: &HashMap<u32, usize>, pass: Pass) -> Vec<World> {
    let mut next = passes(spec, world, births, pass);
    for set in 0..world.sets.len() {
        next.extend(world.partial_reports(set));
        let mut synced = world.clone();
        synced.sync_set(set);
        next.push(synced);
    }
    next
}

fn passes(spec: &Deployment, world: &World, births: &HashMap<u32, usize>, pass: Pass) -> Vec<World> {
    let mut deployment = Deployment { sets: world.sets.clone(), ..spec.clone() };
    let writes = pass(&mut deployment, &|template| runs(world, template));
    let mut next = Vec::new();
    let mut partial = world.clone();
    for write in writes {
        // A report in between has it refused.
        if let Some(set) = world.sets.get(write.set)
            && (set.pods, set.available)
                != (world.truth(write.set).replicas, world.truth(write.set).available)
        {
            next.push(partial.clone());
        }
        if write.set == partial.sets.len() {
            let mut set = deployment.sets[write.set].clone();
            set.born = births.get(&set.template.id).copied().unwrap_or(usize::MAX);
            partial.sets.push(set);
            partial.pods.push(Count::new());
        }
        let set = &mut partial.sets[write.set];
        (set.replicas, set.desired, set.most) = (write.replicas, write.desired, write.most);
        set.revision = write.revision;
    }
    next.push(partial);
    next
}
