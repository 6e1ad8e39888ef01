//! What users, kubelets and accidents do to one Deployment, step by step.
//!
//! In: a seed, or steps by hand. Out: a [`Script`] that runs on real controllers. A step that finds nothing to act
//! on does nothing. Templates are numbers; the script begins with template 0.

use testkit::model::IntOrPercent;
use testkit::model::deployment::Strategy;

use testkit::random::Random;

/// A Deployment and what happens to it; after each step everything comes to rest.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) replicas: u32,
    pub(crate) strategy: Strategy,
    pub(crate) steps: Vec<Step>,
}

/// Pods of one set that the controllers cannot tell apart, as far as sizes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Without a node.
    Waiting,
    /// Running, and not ready.
    Sick,
    Ready,
    /// Deleted, and not gone.
    Leaving,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// One write of the Deployment.
    Edit(Edit),
    /// So many waiting pods of a template, or else sick ones, become ready. More than one only of the newest
    /// template: nobody deletes those meanwhile.
    Ready(u32, u32),
    /// A ready pod becomes sick.
    Fail(u32),
    /// A pod is deleted.
    Delete(u32, Class),
    /// All pods that are leaving are gone.
    Release,
    /// Somebody resizes a ReplicaSet.
    Resize(u32, i64),
    /// Somebody changes the annotation `desired-replicas` of a ReplicaSet.
    Note(u32, i64),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Edit {
    pub(crate) replicas: Option<u32>,
    pub(crate) template: Option<u32>,
    pub(crate) strategy: Option<Strategy>,
    pub(crate) paused: Option<bool>,
}

pub(crate) fn edit() -> Edit {
    Edit::default()
}

impl Edit {
    pub(crate) fn replicas(self, replicas: u32) -> Self {
        Self { replicas: Some(replicas), ..self }
    }

    pub(crate) fn template(self, template: u32) -> Self {
        Self { template: Some(template), ..self }
    }

    pub(crate) fn strategy(self, strategy: Strategy) -> Self {
        Self { strategy: Some(strategy), ..self }
    }

    pub(crate) fn paused(self, paused: bool) -> Self {
        Self { paused: Some(paused), ..self }
    }
}

impl From<Edit> for Step {
    fn from(edit: Edit) -> Self {
        Self::Edit(edit)
    }
}

pub(crate) fn scale(replicas: u32) -> Step {
    edit().replicas(replicas).into()
}

pub(crate) fn roll_out(template: u32) -> Step {
    edit().template(template).into()
}

/// `RollingUpdate` with pods.
pub(crate) const fn pods(surge: u32, unavailable: u32) -> Strategy {
    let (max_surge, max_unavailable) = (IntOrPercent::Int(surge), IntOrPercent::Int(unavailable));
    Strategy::RollingUpdate { max_surge, max_unavailable }
}

/// `RollingUpdate` with percentages.
pub(crate) const fn percent(surge: u32, unavailable: u32) -> Strategy {
    let (max_surge, max_unavailable) = (IntOrPercent::Percent(surge), IntOrPercent::Percent(unavailable));
    Strategy::RollingUpdate { max_surge, max_unavailable }
}

const STRATEGIES: [Strategy; 11] = [
    percent(25, 25),
    percent(25, 25),
    percent(30, 0),
    percent(0, 40),
    percent(0, 10),
    percent(100, 100),
    pods(1, 0),
    pods(0, 1),
    pods(2, 1),
    pods(3, 5),
    Strategy::Recreate,
];

/// A script of random steps.
pub(crate) fn random(seed: u64, steps: usize) -> Script {
    let mut random = Random::new(seed);
    let (replicas, strategy) = (random.between(0, 9), random.pick(&STRATEGIES));
    let mut past = Past { templates: 1, newest: 0, paused: false };
    let mut list = vec![Step::Ready(0, replicas)];
    list.extend((1..steps).map(|_| past.step(&mut random)));
    Script { name: format!("seed {seed}"), replicas, strategy, steps: list }
}

/// What the steps so far have made of the Deployment.
struct Past {
    templates: u32,
    newest: u32,
    paused: bool,
}

impl Past {
    fn step(&mut self, random: &mut Random) -> Step {
        let any = random.between(0, self.templates - 1);
        let replicas = random.between(0, 9);
        match random.between(0, 23) {
            0..=6 => Step::Ready(self.newest, random.between(1, 4)),
            7 => Step::Ready(any, 1),
            8 => Step::Fail(any),
            9 => Step::Delete(any, random.pick(&[Class::Waiting, Class::Sick, Class::Ready])),
            10 => Step::Release,
            11..=13 => self.take_template(random).into(),
            14 => self.take_template(random).replicas(replicas).into(),
            15 => self.take_template(random).strategy(random.pick(&STRATEGIES)).into(),
            16 => edit().strategy(random.pick(&STRATEGIES)).replicas(replicas).into(),
            17 => edit().strategy(random.pick(&STRATEGIES)).into(),
            18 => self.toggle().into(),
            19 => self.toggle().replicas(replicas).into(),
            _ => scale(replicas),
        }
    }

    fn toggle(&mut self) -> Edit {
        self.paused = !self.paused;
        edit().paused(self.paused)
    }

    /// A new one, or one of before.
    fn take_template(&mut self, random: &mut Random) -> Edit {
        self.newest = random.between(0, self.templates.min(5));
        self.templates = self.templates.max(self.newest + 1);
        edit().template(self.newest)
    }
}
