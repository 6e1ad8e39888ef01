//! The simulation of one schedule: a queue of timed events, and the effects of each.
//!
//! Everything is drawn from the seed; nothing reads a real clock. One thread runs one schedule at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use testkit::random::Random;

use super::clock;
use super::cluster::{Cluster, Kind, NODES, Work};
use super::judge::Judge;
use super::kubelet::Step;
use super::mutation::Mutation;
use super::network::Flight;
use super::plan::Plan;
use super::pods::Role;
use super::process::{Process, Term};
use super::tally::Tally;
use super::weather::Weather;

/// How many milliseconds a dead leader's Lease still holds.
const LEASE: i64 = 15_000;

/// An event at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    Act(usize),
    Reverse(super::act::Reversal),
    Ramp(usize, u32, u32),
    SyncWorkload(usize),
    SyncPart(usize, u32),
    Pod(u32, Step),
    Node(usize, u32, u8),
    List(usize, u32, usize),
    Deliver(usize, u32, usize),
    Look(usize, u32, usize),
    Arrive(u64),
    Answer(u64),
    Boot(usize),
    Elect(usize),
    GiveUp(usize, u32),
    CheckRest,
}

pub(crate) struct Sim {
    pub(crate) plan: Plan,
    pub(crate) mutation: Mutation,
    pub(crate) cluster: Cluster,
    pub(crate) processes: [Process; 2],
    pub(crate) skew: [i64; 2],
    /// Who has the Lease, and until when it holds after its holder died.
    pub(crate) leader: Option<usize>,
    pub(crate) lease: i64,
    terms: u32,
    queue: BTreeMap<(i64, u64), Happening>,
    order: u64,
    /// What is already in the queue of a controller or a watch.
    pending: BTreeSet<Happening>,
    /// Requests and answers in flight, by number.
    pub(super) flights: HashMap<u64, Flight>,
    pub(super) flown: u64,
    pub(crate) network: Random,
    pub(crate) nodes: Random,
    pub(crate) controllers: Random,
    pub(crate) weather: Weather,
    pub(crate) nodes_down: [bool; NODES],
    pub(crate) node_losses: [u32; NODES],
    /// From when on nothing changes from outside.
    pub(crate) still: Option<i64>,
    pub(crate) judge: Judge,
    pub(crate) tally: Tally,
    pub(crate) trace: Option<Vec<String>>,
    pub(super) over: bool,
    /// When a user last followed an instruction.
    pub(super) obeyed: i64,
}

impl Sim {
    pub(crate) fn new(plan: Plan, mutation: Mutation, traced: bool) -> Self {
        clock::set(clock::START);
        clock::skew(0);
        let stream = |salt: u64| Random::new(plan.seed.wrapping_mul(0x9E37_79B9).wrapping_add(salt << 40));
        let (network, nodes, controllers) = (stream(1), stream(2), stream(3));
        let tally = Tally::of(&plan);
        let mut sim = Self {
            plan,
            mutation,
            cluster: Cluster::default(),
            processes: [Process::Standby, Process::Standby],
            skew: [0; 2],
            leader: None,
            lease: 0,
            terms: 0,
            queue: BTreeMap::new(),
            order: 0,
            pending: BTreeSet::new(),
            flights: HashMap::new(),
            flown: 0,
            network,
            nodes,
            controllers,
            weather: Weather::default(),
            nodes_down: [false; NODES],
            node_losses: [0; NODES],
            still: None,
            judge: Judge::new(mutation),
            tally,
            trace: traced.then(Vec::new),
            over: false,
            obeyed: 0,
        };
        sim.set_up();
        sim
    }

    /// A line for the trace.
    pub(crate) fn tell(&mut self, line: impl FnOnce(&Cluster) -> String) {
        if let Some(trace) = &mut self.trace {
            let at = clock::now() - clock::START;
            trace.push(format!("{:>6}.{:03} s  {}", at / 1000, at % 1000, line(&self.cluster)));
        }
    }

    /// Puts an event into the queue, this many milliseconds from now.
    pub(crate) fn after(&mut self, delay: i64, what: Happening) {
        self.order += 1;
        self.queue.insert((clock::now() + delay, self.order), what);
    }

    /// The same, unless it is in the queue already.
    fn once(&mut self, delay: i64, what: Happening) {
        if self.pending.insert(what) {
            self.after(delay, what);
        }
    }

    /// Runs to the end.
    pub(crate) fn run(&mut self) {
        while !self.over && self.judge.violation.is_none() {
            let Some(((at, _), what)) = self.queue.pop_first() else { break };
            clock::set(at);
            self.tally.steps += 1;
            self.pending.remove(&what);
            self.happen(what);
            self.cluster.ghosts.retain(|ghost| ghost.until > at);
            self.judge.watch(&self.cluster);
            self.spread();
        }
        self.tally.peak = self.judge.peak;
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Act(index) => self.act(index),
            Happening::Reverse(reversal) => self.reverse(reversal),
            Happening::Ramp(app, to, pace) => self.ramp(app, to, pace),
            Happening::SyncWorkload(app) => {
                if let Some(delay) = self.cluster.sync_workload(app, &mut self.controllers) {
                    self.once(delay, what);
                }
                self.tally.pods_changed(&self.cluster, app);
            }
            Happening::SyncPart(app, template) => {
                if let Some(delay) = self.cluster.sync_part(app, template, &mut self.controllers) {
                    self.once(delay, what);
                }
                self.tally.pods_changed(&self.cluster, app);
            }
            Happening::Pod(id, step) => self.live(id, step),
            Happening::Node(node, loss, stage) => self.node_is_away(node, loss, stage),
            Happening::List(process, term, kind) => self.list(process, term, Kind::ALL[kind]),
            Happening::Deliver(process, term, kind) => self.deliver(process, term, Kind::ALL[kind]),
            Happening::Look(process, term, budget) => self.look(process, term, budget),
            Happening::Arrive(flight) => self.arrive(flight),
            Happening::Answer(flight) => self.answer(flight),
            Happening::Boot(process) => {
                if matches!(self.processes[process], Process::Down) {
                    self.tell(|_| format!("process {process} starts"));
                    self.processes[process] = Process::Standby;
                    self.after(100, Happening::Elect(process));
                }
            }
            Happening::Elect(process) => self.elect(process),
            Happening::GiveUp(process, term) => self.give_up(process, term),
            Happening::CheckRest => self.check_rest(),
        }
    }

    /// Passes the work that a change has created to the parts that do it.
    fn spread(&mut self) {
        for work in std::mem::take(&mut self.cluster.work) {
            let slow = self.weather.slow > clock::now();
            match work {
                Work::Watches(kind) => {
                    for process in 0..self.processes.len() {
                        if let Process::Leading(term) = &self.processes[process]
                            && term.read[kind as usize].is_some()
                        {
                            let number = term.number;
                            let delay = self.lag();
                            self.once(delay, Happening::Deliver(process, number, kind as usize));
                        }
                    }
                }
                Work::Workload(app) => {
                    let delay = self.controllers.between(2, if slow { 4000 } else { 40 }).into();
                    self.once(delay, Happening::SyncWorkload(app));
                }
                Work::Part(app, template) => {
                    let delay = self.controllers.between(2, if slow { 4000 } else { 40 }).into();
                    self.once(delay, Happening::SyncPart(app, template));
                }
                Work::Scheduler(id) => self.step_after(id, Step::Bind, (5, 300)),
                Work::Kubelet(id) => {
                    // Most apps end soon, some use their whole grace period.
                    let drain = self.nodes.pick(&[200, 1_000, 5_000, 30_000]);
                    self.step_after(id, Step::Stop, (50, drain));
                }
            }
        }
    }

    fn lag(&mut self) -> i64 {
        let (until, most) = self.weather.lag;
        let most = if until > clock::now() { most } else { 40 };
        self.network.between(1, most).into()
    }

    fn step_after(&mut self, id: u32, step: Step, (low, high): (u32, u32)) {
        let delay = self.nodes.between(low, high);
        self.after(delay.into(), Happening::Pod(id, step));
    }

    fn live(&mut self, id: u32, step: Step) {
        let linger = match step {
            Step::Stop | Step::Finish | Step::Crash => self.linger(id),
            _ => 0,
        };
        let before = self.cluster.pods.get(&id).filter(|_| linger > 0).cloned();
        if step == Step::Ready && !self.finds_a_connection(id) {
            self.step_after(id, Step::Ready, (1_000, 4_000));
            return;
        }
        if !self.cluster.live(id, step, &self.nodes_down) {
            self.after(1_000, Happening::Pod(id, step));
            return;
        }
        if let Some(before) = before {
            self.cluster.leave_open(&before, linger);
        }
        let Some(pod) = self.cluster.pods.get(&id) else { return };
        let (good, is_task) = (pod.facts.good, pod.role == Role::Task);
        match step {
            Step::Bind => self.step_after(id, Step::Start, (100, 2_000)),
            Step::Start | Step::Restart => self.step_after(id, Step::TellRunning, (20, 1_200)),
            Step::TellRunning if good => self.step_after(id, Step::Ready, (300, 6_000)),
            Step::Ready if is_task => {
                let work = self.nodes.pick(&[500, 3_000, 20_000]);
                self.step_after(id, Step::Finish, (100, work));
            }
            Step::Finish => self.step_after(id, Step::TellFinished, (10, 800)),
            Step::Crash if is_task => self.step_after(id, Step::TellFinished, (10, 800)),
            Step::Crash => self.step_after(id, Step::Restart, (500, 10_000)),
            Step::Stop => self.step_after(id, Step::TellEnded, (10, 800)),
            Step::TellEnded => self.step_after(id, Step::Remove, (10, 300)),
            _ => {}
        }
    }

    // The operator's processes.

    fn elect(&mut self, process: usize) {
        if !matches!(self.processes[process], Process::Standby) || self.leader.is_some() {
            return;
        }
        if self.lease > clock::now() {
            let delay = self.lease - clock::now() + i64::from(self.network.between(0, 2_000));
            self.once(delay, Happening::Elect(process));
            return;
        }
        self.begin_term(process);
    }

    pub(crate) fn begin_term(&mut self, process: usize) {
        self.tell(|_| format!("process {process} leads"));
        self.terms += 1;
        self.leader = Some(process);
        self.processes[process] = Process::Leading(Box::new(Term::begin(self.terms, self.mutation)));
        for kind in Kind::ALL {
            let delay = self.network.between(2, 300);
            self.after(delay.into(), Happening::List(process, self.terms, kind as usize));
        }
    }

    /// A process is gone, with everything that it waited for.
    pub(crate) fn crash(&mut self, process: usize) {
        if matches!(self.processes[process], Process::Down) {
            return;
        }
        self.tell(|_| format!("process {process} dies"));
        self.tally.deaths += 1;
        self.processes[process] = Process::Down;
        self.release(process, LEASE);
        let delay = self.network.between(500, 12_000);
        self.after(delay.into(), Happening::Boot(process));
    }

    /// The Lease is free after this many milliseconds.
    fn release(&mut self, process: usize, after: i64) {
        if self.leader == Some(process) {
            self.leader = None;
            self.lease = clock::now() + after;
            for other in [1 - process, process] {
                self.after(after + 50, Happening::Elect(other));
            }
        }
    }

    /// A term ends: all looks have ended, or had enough time.
    fn give_up(&mut self, process: usize, number: u32) {
        let Some(term) = self.term(process, number) else { return };
        if term.resigns {
            self.tell(|_| format!("process {process} does not lead any more"));
            self.processes[process] = Process::Standby;
            self.release(process, 0);
            self.once(1_000, Happening::Elect(process));
        }
    }

    pub(super) fn term(&mut self, process: usize, number: u32) -> Option<&mut Term> {
        match &mut self.processes[process] {
            Process::Leading(term) if term.number == number => Some(term),
            _ => None,
        }
    }

    fn list(&mut self, process: usize, number: u32, kind: Kind) {
        clock::skew(self.skew[process]);
        if let Process::Leading(term) = &mut self.processes[process]
            && term.number == number
        {
            term.list(kind, &self.cluster);
            self.schedule_looks(process);
        }
    }

    fn deliver(&mut self, process: usize, number: u32, kind: Kind) {
        clock::skew(self.skew[process]);
        let end = self.cluster.log.len(kind);
        if let Process::Leading(term) = &mut self.processes[process]
            && term.number == number
        {
            let from = term.read[kind as usize].unwrap_or(end);
            let lags = self.weather.lag.0 > clock::now();
            // Under lag a part arrives now and the rest later.
            let part = if lags && end > from { from + 1 + self.network.below(end - from) } else { end };
            term.follow(kind, &self.cluster, part);
            if part < end {
                let delay = self.lag();
                self.once(delay, Happening::Deliver(process, number, kind as usize));
            }
            self.schedule_looks(process);
        }
    }

    fn schedule_looks(&mut self, process: usize) {
        let Process::Leading(term) = &self.processes[process] else { return };
        let number = term.number;
        let due: Vec<(usize, i64)> =
            term.places.iter().enumerate().filter_map(|(budget, place)| Some((budget, place.due?))).collect();
        for (budget, due) in due {
            let Process::Leading(term) = &mut self.processes[process] else { return };
            // A look begins a moment after it is due.
            let delay = (due - clock::now()).max(1);
            if term.wake(budget, clock::now() + delay) {
                self.after(delay, Happening::Look(process, number, budget));
            }
        }
    }

    pub(super) fn look(&mut self, process: usize, number: u32, budget: usize) {
        clock::skew(self.skew[process]);
        let Some(term) = self.term(process, number) else { return };
        if !term.is_due(budget) {
            return self.schedule_looks(process);
        }
        term.look(budget);
        self.tally.looks += 1;
        let Some(term) = self.term(process, number) else { return };
        let (sent, said) = (term.door.sent(), term.door.said());
        if term.resigns && !term.is_busy() {
            self.after(1, Happening::GiveUp(process, number));
        }
        for line in said {
            self.tell(|_| format!("process {process} says: {line}"));
        }
        for (id, request) in sent {
            self.send(process, number, id, request);
            if self.term(process, number).is_none() {
                return;
            }
        }
        self.schedule_looks(process);
    }
}
