//! Schedules: in which order things happen, and what must be true after each of them.
//!
//! First a random story of user actions and faults, with the controllers running at random in between; then
//! all inputs stand still, images are good, and everything must come to rest within a bounded number of rounds.

use std::fmt::Write;

use poolbudget::budget::basis::Basis;
use poolbudget::budget::rollout::{IntOrPercent, Strategy, Surge};

use super::cluster::{App, Cluster};
use super::operator::{Rules, act, feasible};
use super::random::Random;

/// Rounds within which everything must have settled.
const ROUNDS: u32 = 500;

/// What must never be seen, with the story that led there.
#[derive(Debug)]
pub(crate) enum Failure {
    /// More is held than is available.
    Over(String),
    /// Something waits for ever.
    Hang(String),
}

/// A cluster and an operator in time.
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) random: Random,
    pub(crate) rules: Rules,
    /// Of a hundred chances that it has, how often the operator acts.
    diligence: u32,
    /// Whether pods are born past the gate.
    pub(crate) gate_is_off: bool,
    /// What was held after the last step.
    held: u64,
    /// The first instant at which more was held than may be.
    over: Option<String>,
    story: String,
}

impl Run {
    pub(crate) fn new(cluster: Cluster, seed: u64) -> Self {
        let held = cluster.held();
        let random = Random::new(seed);
        let (rules, diligence, gate_is_off) = (Rules::All, 70, false);
        Self { cluster, random, rules, diligence, gate_is_off, held, over: None, story: String::new() }
    }

    /// Adds a line to the story that is told when something is wrong.
    pub(crate) fn tell(&mut self, line: &str) {
        let _ = writeln!(self.story, "{:>5} s  {line}", self.cluster.now);
    }

    /// The one rule: never more than is available. When the limit was lowered under what is held, it may only fall.
    fn check(&mut self) {
        let held = self.cluster.held();
        let most = self.cluster.available.max(self.held);
        if held > most && self.over.is_none() {
            self.over = Some(format!("{held} connections, {most} at most\n{}", self.describe()));
        }
        self.held = held;
    }

    fn describe(&self) -> String {
        let Cluster { now, available, basis, surge, apps, pods, .. } = &self.cluster;
        let mut text = format!("{}at {now} s: U = {available}, {basis:?}, {surge:?}\n", self.story);
        for app in apps {
            let _ = writeln!(text, "{app:?}");
        }
        for pod in pods {
            let _ = writeln!(text, "{pod:?}");
        }
        text
    }

    fn operate(&mut self, refusals: u32) {
        act(&mut self.cluster, self.rules, &mut self.random, refusals);
        self.check();
    }

    /// A few random steps of controllers and pods, with the operator in between.
    pub(crate) fn wait(&mut self, steps: u32) {
        for _ in 0..steps {
            let seconds = self.random.between(0, 4);
            self.cluster.pass(seconds);
            self.step();
            self.check();
            if self.random.percent(self.diligence) {
                self.operate(20);
            }
        }
    }

    fn step(&mut self) {
        let app = self.random.below(self.cluster.apps.len());
        let sets = self.cluster.apps[app].deployment.sets.len();
        match self.random.below(4) {
            0 => self.cluster.sync_deployment(app),
            1 if sets > 0 => {
                let set = self.random.below(sets);
                self.cluster.sync_set(app, set, &mut self.random, self.gate_is_off);
            }
            _ if !self.cluster.pods.is_empty() => {
                let pod = self.random.below(self.cluster.pods.len());
                self.cluster.advance(pod);
            }
            _ => {}
        }
    }

    /// Lets everything run, inputs standing still, until it rests. Returns the rounds that it took.
    pub(crate) fn settle(&mut self) -> Result<u32, Failure> {
        for round in 0..ROUNDS {
            if let Some(over) = self.over.take() {
                return Err(Failure::Over(over));
            }
            if self.cluster.settled() {
                return Ok(round);
            }
            self.round();
        }
        Err(Failure::Hang(format!("not settled after {ROUNDS} rounds\n{}", self.describe())))
    }

    pub(crate) fn rounds(&mut self, count: u32) {
        for _ in 0..count {
            self.round();
        }
    }

    /// Every controller passes once and every pod may take a step; the operator acts at random moments, at
    /// least once.
    fn round(&mut self) {
        let seconds = self.random.between(1, 6);
        self.cluster.pass(seconds);
        for app in 0..self.cluster.apps.len() {
            self.cluster.sync_deployment(app);
            for set in 0..self.cluster.apps[app].deployment.sets.len() {
                self.cluster.sync_set(app, set, &mut self.random, self.gate_is_off);
            }
            if self.random.percent(20) {
                self.operate(0);
            }
        }
        for pod in (0..self.cluster.pods.len()).rev() {
            if self.random.percent(50) {
                self.cluster.advance(pod);
            }
        }
        self.check();
        self.operate(0);
    }
}

fn strategy(random: &mut Random) -> Strategy {
    let rolling = |surge, unavailable| Strategy::RollingUpdate {
        max_surge: IntOrPercent::Int(surge),
        max_unavailable: IntOrPercent::Int(unavailable),
    };
    match random.below(6) {
        0 | 1 => Strategy::default(),
        2 => rolling(1, 0),
        3 => rolling(0, 1),
        4 => rolling(2, 1),
        _ => Strategy::Recreate,
    }
}

fn cluster(random: &mut Random) -> Cluster {
    let count = random.between(1, 4);
    let apps: Vec<App> = (0..count)
        .map(|_| {
            let mut app = App::new(random.between(0, 5), strategy(random));
            app.weight = random.between(1, 3);
            app.ceiling = random.percent(50).then(|| random.between(1, 6));
            app.min = random.pick(&[1, 1, 1, 2, 3]);
            app.max = random.percent(25).then(|| app.min + u64::from(random.between(0, 4)));
            app.deployment.template.processes = random.pick(&[1, 1, 1, 2]);
            // Some are there already when they are adopted.
            app.deployment.template.labelled = random.percent(70);
            app
        })
        .collect();
    let mut cluster = Cluster::new(u64::from(random.between(4, 30)), apps);
    cluster.basis = random.pick(&[Basis::Ceiling, Basis::Current, Basis::Current, Basis::Ladder]);
    cluster.surge = random.pick(&[Surge::Minimal, Surge::Minimal, Surge::Full]);
    cluster
}

/// How a story ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All images are good.
    Mended,
    /// The last rollout of one Deployment stands, because its image never becomes ready.
    OneBadImage,
    /// Pods were born past the gate for a while; afterwards everything is rolled out anew.
    GateRestored,
}

/// One random story from its seed, to its end at rest. Returns the rounds that the end took.
pub(crate) fn story(seed: u64, rules: Rules, end: End) -> Result<u32, Failure> {
    let mut random = Random::new(seed);
    let cluster = cluster(&mut random);
    let mut run = Run::new(cluster, random.between(0, u32::MAX - 1).into());
    run.rules = rules;
    run.tell(&format!("seed {seed}, {end:?}"));
    if run.random.percent(50) {
        make_feasible(&mut run);
        run.rounds(20);
    }
    for _ in 0..run.random.between(1, 8) {
        run.gate_is_off = end == End::GateRestored && run.random.percent(30);
        event(&mut run);
        run.check();
        let steps = run.random.pick(&[0, 2, 10, 30, 60]);
        run.wait(steps);
    }
    stand_still(&mut run, end);
    run.settle()
}

fn event(run: &mut Run) {
    let app = run.random.below(run.cluster.apps.len());
    let processes = run.cluster.apps[app].deployment.template.processes;
    match run.random.below(14) {
        0..4 => {
            let replicas = run.random.between(0, 7);
            run.tell(&format!("scale w{app} to {replicas}"));
            run.cluster.scale(app, replicas);
        }
        4 | 5 => {
            run.tell(&format!("roll out w{app}"));
            run.cluster.roll_out(app, true, processes);
        }
        6 => {
            run.tell(&format!("roll a bad image out to w{app}"));
            run.cluster.roll_out(app, false, processes);
        }
        7 => {
            let sets = &run.cluster.apps[app].deployment.sets;
            let earlier: Vec<_> = sets.iter().map(|set| set.template).filter(|t| t.labelled).collect();
            if !earlier.is_empty() {
                let template = run.random.pick(&earlier);
                run.tell(&format!("undo w{app} to template {}", template.id));
                run.cluster.take(app, template);
            }
        }
        8 => {
            let processes = run.random.pick(&[1, 2, 4]);
            run.tell(&format!("roll out w{app} with {processes} processes"));
            run.cluster.roll_out(app, true, processes);
        }
        9 => {
            run.tell(&format!("adopt w{app}"));
            run.cluster.adopt(app);
        }
        10 => {
            run.tell(&format!("change the entry of w{app}"));
            let (weight, min) = (run.random.between(1, 3), run.random.pick(&[1, 1, 2, 3]));
            let ceiling = run.random.percent(50).then(|| run.random.between(1, 6));
            let changed = &mut run.cluster.apps[app];
            (changed.weight, changed.min, changed.ceiling) = (weight, min, ceiling);
        }
        11 => {
            run.cluster.available = u64::from(run.random.between(4, 30));
            run.tell(&format!("set the limit to {}", run.cluster.available));
        }
        _ => fault(run),
    }
}

fn fault(run: &mut Run) {
    for _ in 0..run.random.between(1, 3) {
        if run.cluster.pods.is_empty() {
            return;
        }
        let pod = run.random.below(run.cluster.pods.len());
        run.tell(&format!("harm to pod {}", run.cluster.pods[pod].uid));
        match run.random.below(3) {
            0 => run.cluster.end(pod),
            1 => run.cluster.lose(pod),
            _ => run.cluster.pods[pod].ready = false,
        }
    }
}

/// The assumptions under which everything must settle: good images, all adopted, what is wanted fits.
fn stand_still(run: &mut Run, end: End) {
    run.gate_is_off = false;
    let bad = (end == End::OneBadImage).then(|| run.random.below(run.cluster.apps.len()));
    for app in 0..run.cluster.apps.len() {
        let template = run.cluster.apps[app].deployment.template;
        let spoiled = bad == Some(app);
        if spoiled || !template.good || !template.labelled || end == End::GateRestored {
            run.cluster.roll_out(app, !spoiled, template.processes);
        }
    }
    make_feasible(run);
    run.tell("from here on nothing changes");
}

fn make_feasible(run: &mut Run) {
    while !feasible(&run.cluster) {
        let app = run.random.below(run.cluster.apps.len());
        let changed = &mut run.cluster.apps[app];
        let replicas = changed.deployment.replicas.saturating_sub(1);
        changed.ceiling = None;
        run.cluster.scale(app, replicas);
    }
}
