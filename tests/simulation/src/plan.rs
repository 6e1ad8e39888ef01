//! A schedule before it runs: the initial cluster, and when users and faults do what.
//!
//! In: a seed. Out: plain values, so that a failing schedule can be shrunk and printed. Everything else (how long a pod
//! takes to start, which answer is slow) is drawn during the run.

use std::fmt;

use poolbudget::api::WorkloadKind;
use testkit::model::IntOrPercent;
use testkit::model::cron_job::Concurrency;
use testkit::model::deployment::Strategy;
use testkit::model::{daemon_set, stateful_set};
use testkit::random::Random;

use super::cluster::{BUDGETS, Disruption, Facts};
use super::weather::{Call, Moment};
use super::workload::{Form, Task};

/// What a budget says.
#[derive(Clone, Debug)]
pub struct Terms {
    pub limit: u32,
    pub reserved: u32,
    pub basis: &'static str,
    pub surge: &'static str,
    pub eviction: bool,
    /// For how many seconds connections may outlive their processes.
    pub linger: u32,
    /// Whether it begins in mode Observe.
    pub observes: bool,
    /// Weight, min, max and maxReplicas of each workload.
    pub entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub weight: u32,
    pub min: u32,
    pub max: Option<u32>,
    pub most: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Workload {
    pub replicas: u32,
    pub form: Form,
    pub facts: Facts,
}

/// A schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub budgets: Vec<Terms>,
    pub workloads: Vec<Workload>,
    /// Milliseconds before the first action.
    pub calm: u32,
    /// Seconds after the previous action, and the action.
    pub actions: Vec<(u32, Action)>,
    /// Whether the final limits are such that everything wanted fits.
    pub ends_feasible: bool,
    /// Whether images that never become ready stay as they are; all other workloads must still settle.
    pub stays_bad: bool,
    /// Whether pods become ready only when the database answers them, which has exactly as many connections as the
    /// limit. Then every workload is governed in the end.
    pub full: bool,
    /// Whether faults of the control plane and of the operator's processes occur.
    pub faults: bool,
}

/// What a user does, or what goes wrong. Indexes of pods and sets are taken modulo their number.
#[derive(Clone, Debug)]
pub enum Action {
    Scale(usize, u32),
    /// An autoscaler scales to this many replicas, one by one, every so many seconds.
    Ramp(usize, u32, u32),
    RollOut(usize, Facts),
    /// Back to an earlier template.
    Undo(usize, usize),
    /// It changes how it replaces its pods.
    Reform(usize, Form),
    Autoscaler(usize, Option<u32>),
    Disruption(usize, Option<Disruption>),
    Limit(usize, u32),
    Sizing(usize, &'static str, &'static str),
    Entry(usize, usize, Entry),
    Eviction(usize, bool),
    /// Whether the mode is Observe from now on, otherwise Gate.
    Observe(usize, bool),
    DeleteBudget(usize),
    /// Deleted, and recreated after this many seconds.
    RenewBudget(usize, u32),
    DeletePod(usize),
    /// Its processes live on for this many thousandths of its grace period.
    ForcePod(usize, u32),
    CrashPod(usize),
    /// A node is lost, and comes back after this many seconds.
    LoseNode(usize, u32),
    /// The policies are out of force for this many seconds.
    GateOff(u32),
    /// For this many seconds, this many of a thousand requests fail, each in its own way.
    Storm(u32, u32),
    /// For this many seconds no request of the operator is answered.
    Outage(u32),
    /// For this many seconds watches lag by up to this many milliseconds.
    Lag(u32, u32),
    /// One watch of a process, in the order of `Kind::ALL`, is cut, and lists again after this many seconds.
    CutWatch(usize, usize, u32),
    /// For this many seconds each request of a kind takes this many milliseconds to arrive.
    Delay(Call, u32, u32),
    /// A process dies.
    Crash(usize),
    /// The process that sends the operator's n-th write from now on dies of it. Several of these take turns: the next
    /// one counts from the previous death.
    KillAtWrite(u32, Moment),
    /// The leader gives up leadership in an orderly way.
    Resign,
    /// For this many seconds both processes lead.
    Split(u32),
    /// A process's clock jumps by this many seconds.
    ClockJump(usize, i32),
    /// For this many seconds the cluster's controllers are slow.
    Slow(u32),
}

fn strategy(random: &mut Random) -> Strategy {
    use IntOrPercent::{Int, Percent};
    let rolling = |max_surge, max_unavailable| Strategy::RollingUpdate { max_surge, max_unavailable };
    match random.below(9) {
        0..=2 => Strategy::default(),
        3 => rolling(Int(1), Int(0)),
        4 => rolling(Int(0), Int(1)),
        5 => rolling(Int(2), Int(1)),
        6 => rolling(Percent(50), Percent(0)),
        7 => rolling(Percent(100), Percent(50)),
        _ => Strategy::Recreate,
    }
}

/// How a workload of that kind may replace its pods.
fn form(random: &mut Random, kind: WorkloadKind) -> Form {
    use IntOrPercent::{Int, Percent};
    match kind {
        WorkloadKind::StatefulSet => Form::StatefulSet {
            parallel: random.percent(40),
            update: if random.percent(15) {
                stateful_set::Update::OnDelete
            } else {
                stateful_set::Update::Rolling {
                    partition: random.pick(&[0, 0, 0, 1, 3]),
                    max_unavailable: random.pick(&[None, None, Some(Int(2)), Some(Percent(50))]),
                }
            },
        },
        WorkloadKind::DaemonSet => {
            let rolling =
                |max_surge, max_unavailable| daemon_set::Update::Rolling { max_surge, max_unavailable };
            Form::DaemonSet(match random.below(6) {
                0 => daemon_set::Update::OnDelete,
                1 | 2 => rolling(Int(0), Int(1)),
                3 => rolling(Int(0), Percent(50)),
                4 => rolling(Int(1), Int(0)),
                _ => rolling(Percent(50), Int(0)),
            })
        }
        WorkloadKind::Job => Form::Job(task(random)),
        WorkloadKind::CronJob => {
            let concurrency = [Concurrency::Allow, Concurrency::Forbid, Concurrency::Replace];
            Form::CronJob(task(random), random.pick(&[10, 30, 60]), random.pick(&concurrency))
        }
        _ => Form::Deployment(strategy(random)),
    }
}

fn task(random: &mut Random) -> Task {
    let completions = random.percent(80).then(|| random.between(1, 4));
    Task { completions, replaces_terminating: random.percent(60) }
}

/// Half of the schedules have only Deployments.
fn kind(random: &mut Random, mixed: bool) -> WorkloadKind {
    use WorkloadKind::{CronJob, DaemonSet, Deployment, Job, StatefulSet};
    if mixed {
        random.pick(&[Deployment, Deployment, Deployment, StatefulSet, StatefulSet, DaemonSet, Job, CronJob])
    } else {
        Deployment
    }
}

fn entry(random: &mut Random) -> Entry {
    let min = random.pick(&[1, 1, 1, 2, 3]);
    Entry {
        weight: random.between(1, 3),
        min,
        max: random.percent(25).then(|| min + random.between(0, 4)),
        most: random.percent(40).then(|| random.between(1, 6)),
    }
}

fn terms(random: &mut Random, workloads: &[Workload], budget: usize) -> Terms {
    let entries: Vec<Entry> = workloads.iter().map(|_| entry(random)).collect();
    let least: u32 = workloads
        .iter()
        .zip(&entries)
        .filter(|(w, _)| w.facts.budget.unwrap_or(budget) == budget)
        .map(|(w, entry)| (w.replicas.max(entry.most.unwrap_or(0)) + 1) * entry.min * w.facts.processes)
        .sum();
    // From tight to roomy.
    let usable = least.max(3) * random.pick(&[100, 100, 110, 130, 170, 250]) / 100;
    let reserved = random.between(0, 2);
    Terms {
        limit: usable + reserved,
        reserved,
        basis: random.pick(&["Ceiling", "Ceiling", "Ladder", "Current"]),
        surge: random.pick(&["Minimal", "Minimal", "Full"]),
        eviction: !random.percent(5),
        linger: 0,
        observes: false,
        entries,
    }
}

impl Workload {
    /// Makes it a Deployment, if figures are to be compared or the test is about something else.
    pub fn only_a_deployment(&mut self) {
        if !matches!(self.form, Form::Deployment(_)) {
            self.form = Form::Deployment(Strategy::default());
        }
    }
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        let two = random.percent(15);
        let count = random.pick(&[1, 1, 2, 2, 2, 3, 3, 4, 5, 6]);
        let mixed = random.percent(50);
        let workloads: Vec<Workload> = (0..count)
            .map(|_| {
                let budget = if two { random.below(2) } else { 0 };
                let facts = Facts {
                    good: true,
                    processes: random.pick(&[1, 1, 1, 2, 4]),
                    // Some workloads exist already when they are adopted.
                    budget: random.percent(80).then_some(budget),
                };
                let kind = kind(random, mixed);
                let form = form(random, kind);
                let replicas = if form.is_task() { random.between(1, 3) } else { random.between(0, 5) };
                Workload { replicas, form, facts }
            })
            .collect();
        let budgets =
            (0..if two { BUDGETS.len() } else { 1 }).map(|b| terms(random, &workloads, b)).collect();
        let faults = random.percent(75);
        let mut plan = Self {
            seed,
            budgets,
            workloads,
            // Half of the schedules have some time to settle first.
            calm: if seed.is_multiple_of(2) { 30_000 } else { 500 },
            actions: Vec::new(),
            ends_feasible: !random.percent(10),
            stays_bad: false,
            full: false,
            faults,
        };
        for _ in 0..random.between(1, 8) {
            let wait = random.pick(&[0, 0, 1, 3, 10, 20, 45]);
            let action = plan.action(random);
            plan.actions.push((wait, action));
        }
        plan.stays_bad = random.percent(10);
        if plan.stays_bad {
            let app = random.below(count);
            let facts = plan.workloads[app].facts;
            let facts = Facts { good: false, budget: facts.budget.or(Some(0)), ..facts };
            plan.actions.push((random.pick(&[0, 10, 45]), Action::RollOut(app, facts)));
        }
        plan.set(&mut Random::new(seed ^ 0x11_46E5));
        plan
    }

    fn action(&self, random: &mut Random) -> Action {
        let app = random.below(self.workloads.len());
        let budget = random.below(self.budgets.len());
        let facts = self.workloads[app].facts;
        let own = facts.budget.unwrap_or(budget);
        let labelled = Facts { budget: Some(own), ..facts };
        if self.faults && random.percent(40) {
            return self.fault(random);
        }
        match random.below(28) {
            0..=5 => Action::Scale(app, random.between(0, 7)),
            6 | 7 => Action::Ramp(app, random.between(1, 7), random.pick(&[5, 15])),
            8..=10 => Action::RollOut(app, labelled),
            11 => Action::RollOut(app, Facts { good: false, ..labelled }),
            12 | 13 => Action::Undo(app, random.below(4)),
            14 => Action::RollOut(app, Facts { processes: random.pick(&[1, 2, 4]), ..labelled }),
            // Adopts it, releases it, or moves it to another budget.
            15 | 16 => Action::RollOut(app, Facts { budget: Some(budget), ..facts }),
            17 => Action::RollOut(app, Facts { budget: None, ..facts }),
            18 => Action::Reform(app, form(random, self.workloads[app].form.kind())),
            19 if self.workloads[app].form.is_scalable() => {
                Action::Autoscaler(app, random.percent(70).then(|| random.between(1, 8)))
            }
            19 | 20 if self.workloads[app].form.is_task() => Action::Scale(app, random.between(1, 4)),
            19 | 20 => {
                let disruption = match random.below(3) {
                    0 => None,
                    1 => Some(Disruption::MinAvailable(random.between(1, 4))),
                    _ => Some(Disruption::MaxUnavailable(random.between(0, 1))),
                };
                Action::Disruption(app, disruption)
            }
            21 | 22 => Action::Limit(budget, random.between(3, 40)),
            23 => Action::Sizing(
                budget,
                random.pick(&["Ceiling", "Ladder", "Current"]),
                random.pick(&["Minimal", "Full"]),
            ),
            24 | 25 => Action::Entry(budget, app, entry(random)),
            26 => Action::Eviction(budget, random.percent(50)),
            _ if random.percent(30) => Action::DeleteBudget(budget),
            _ => Action::RenewBudget(budget, random.pick(&[0, 1, 30])),
        }
    }

    fn fault(&self, random: &mut Random) -> Action {
        let process = random.below(2);
        let pod = random.below(40);
        match random.below(24) {
            0..=2 => Action::DeletePod(pod),
            3 | 4 => Action::ForcePod(pod, random.between(0, 1000)),
            5 | 6 => Action::CrashPod(pod),
            7 => Action::LoseNode(random.below(3), random.pick(&[5, 60, 400])),
            8 => Action::GateOff(random.pick(&[1, 10, 40])),
            9 | 10 => Action::Storm(random.pick(&[5, 30, 90]), random.pick(&[50, 200, 500])),
            11 => Action::Outage(random.pick(&[2, 25, 90])),
            12 | 13 => Action::Lag(random.pick(&[10, 60]), random.pick(&[500, 5_000, 20_000])),
            14 => Action::CutWatch(process, random.below(9), random.pick(&[1, 10, 60])),
            15..=17 => Action::Crash(process),
            18 => Action::Resign,
            19 | 20 => Action::Split(random.pick(&[5, 40])),
            21 => Action::ClockJump(process, random.pick(&[-600, -60, -5, 5, 60, 600])),
            _ => Action::Slow(random.pick(&[10, 60])),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (budget, terms) in self.budgets.iter().enumerate() {
            let Terms { limit, reserved, basis, surge, eviction, linger, observes, entries } = terms;
            let name = BUDGETS[budget];
            write!(f, "{name}: {limit} - {reserved}, {basis}, {surge}, ")?;
            writeln!(f, "eviction {eviction}, linger {linger}, observes {observes}")?;
            for (app, entry) in entries.iter().enumerate() {
                writeln!(f, "  w{app}: {entry:?}")?;
            }
        }
        for (app, workload) in self.workloads.iter().enumerate() {
            writeln!(f, "w{app}: {} replicas, {:?}, {:?}", workload.replicas, workload.form, workload.facts)?;
        }
        for (wait, action) in &self.actions {
            writeln!(f, "after {wait} s: {action:?}")?;
        }
        write!(f, "ends feasible: {}, full: {}", self.ends_feasible, self.full)
    }
}
