//! The simulation of one schedule: a queue of what happens when, and what each of it leads to.
//!
//! Everything is drawn from the seed; nothing reads a real clock. One thread runs one schedule at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use poolbudget::controller::gateway::GatewayError;

use super::api::{Answer, Request, refusal};
use super::clock;
use super::cluster::{BUDGETS, Cluster, Ghost, Kind, Work};
use super::judge::{Fault, Judge};
use super::kubelet::Step;
use super::model::random::Random;
use super::mutation::Mutation;
use super::plan::Plan;
use super::process::{Process, Term};
use super::tally::Tally;
use super::weather::{Moment, Weather};

/// Nodes of the cluster.
pub(crate) const NODES: usize = 3;
/// The client gives a request up after so many milliseconds.
const TIMEOUT: i64 = 20_000;
/// A dead leader's Lease holds for so many milliseconds.
const LEASE: i64 = 15_000;
/// After the last action everything must have settled within so many milliseconds.
const PATIENCE: i64 = 3_600_000;

/// Something that happens at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Happening {
    Act(usize),
    Reverse(super::act::Reversal),
    Ramp(usize, u32, u32),
    SyncDeployment(usize),
    SyncSet(usize, u32),
    Pod(u32, u8),
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

/// A request that was sent.
struct Flight {
    process: usize,
    term: u32,
    number: u64,
    request: Request,
    /// What its process knew when it was sent: since when it watches pods, and up to when it had seen them.
    known: (i64, i64),
    outcome: Option<Result<Answer, GatewayError>>,
    /// When it is answered after its arrival; none when the answer is lost.
    answered: Option<i64>,
    dies: bool,
}

pub(crate) struct Sim {
    pub(crate) plan: Plan,
    pub(crate) mutation: Mutation,
    pub(crate) cluster: Cluster,
    pub(crate) processes: [Process; 2],
    pub(crate) skew: [i64; 2],
    /// Who has the Lease, and until when it holds when he is dead.
    pub(crate) leader: Option<usize>,
    pub(crate) lease: i64,
    terms: u32,
    queue: BTreeMap<(i64, u64), Happening>,
    order: u64,
    /// What is in the queue of a controller or a watch already.
    pending: BTreeSet<Happening>,
    flights: HashMap<u64, Flight>,
    flown: u64,
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
    over: bool,
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

    /// Puts something on the queue, so many milliseconds from now.
    pub(crate) fn after(&mut self, delay: i64, what: Happening) {
        self.order += 1;
        self.queue.insert((clock::now() + delay, self.order), what);
    }

    /// The same, unless it is there already.
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
            Happening::SyncDeployment(app) => self.cluster.sync_deployment(app),
            Happening::SyncSet(app, template) => {
                self.cluster.sync_set(app, template, &mut self.controllers);
                self.tally.pods_changed(&self.cluster, app);
            }
            Happening::Pod(id, step) => self.live(id, step_of(step)),
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

    /// Hands the work that a change has left to those who do it.
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
                Work::Deployment(app) => {
                    let delay = self.controllers.between(2, if slow { 4000 } else { 40 }).into();
                    self.once(delay, Happening::SyncDeployment(app));
                }
                Work::ReplicaSet(app, template) => {
                    let delay = self.controllers.between(2, if slow { 4000 } else { 40 }).into();
                    self.once(delay, Happening::SyncSet(app, template));
                }
                Work::Scheduler(id) => self.step_after(id, Step::Bind, (5, 300)),
                Work::Kubelet(id) => {
                    // Most apps end soon, some take all the time that they get.
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
        self.after(delay.into(), Happening::Pod(id, step as u8));
    }

    fn live(&mut self, id: u32, step: Step) {
        if !self.cluster.live(id, step, &self.nodes_down) {
            self.after(1_000, Happening::Pod(id, step as u8));
            return;
        }
        let Some(pod) = self.cluster.pods.get(&id) else { return };
        let good = pod.facts.good;
        match step {
            Step::Bind => self.step_after(id, Step::Start, (100, 2_000)),
            Step::Start | Step::Restart => self.step_after(id, Step::TellRunning, (20, 1_200)),
            Step::TellRunning if good => self.step_after(id, Step::Ready, (300, 6_000)),
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

    /// A process is gone, with all that it waited for.
    pub(crate) fn crash(&mut self, process: usize) {
        if matches!(self.processes[process], Process::Down) {
            return;
        }
        self.tell(|_| format!("process {process} dies"));
        self.processes[process] = Process::Down;
        self.release(process, LEASE);
        let delay = self.network.between(500, 12_000);
        self.after(delay.into(), Happening::Boot(process));
    }

    /// The Lease is free after so many milliseconds.
    fn release(&mut self, process: usize, after: i64) {
        if self.leader == Some(process) {
            self.leader = None;
            self.lease = clock::now() + after;
            for other in [1 - process, process] {
                self.after(after + 50, Happening::Elect(other));
            }
        }
    }

    /// A term ends: all looks have ended, or had their time.
    fn give_up(&mut self, process: usize, number: u32) {
        let Some(term) = self.term(process, number) else { return };
        if term.resigns {
            self.tell(|_| format!("process {process} does not lead any more"));
            self.processes[process] = Process::Standby;
            self.release(process, 0);
            self.once(1_000, Happening::Elect(process));
        }
    }

    fn term(&mut self, process: usize, number: u32) -> Option<&mut Term> {
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
            // Under lag a part comes now and the rest later.
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

    fn look(&mut self, process: usize, number: u32, budget: usize) {
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

    /// Decides what becomes of a request.
    fn send(&mut self, process: usize, term: u32, number: u64, request: Request) {
        let now = clock::now();
        let stormy = self.weather.storm.0 > now && self.network.between(0, 999) < self.weather.storm.1;
        let (arrives, answers) = (self.network.between(1, 8).into(), self.network.between(1, 8).into());
        let known = match &self.processes[process] {
            Process::Leading(term) => (term.since, term.horizon(&self.cluster)),
            _ => (now, now),
        };
        let (outcome, answered) = (None, Some(answers));
        let mut flight = Flight { process, term, number, request, known, outcome, answered, dies: false };
        self.flown += 1;
        let id = self.flown;
        if self.weather.outage > now {
            let code = if self.network.percent(50) { None } else { Some(500) };
            return self.fail(id, flight, code);
        }
        let fate = self.weather.fate(&flight.request);
        if fate == Some(Moment::Before) {
            return self.crash(process);
        }
        flight.dies = fate == Some(Moment::After);
        let mut delay: i64 = self.weather.delay(&flight.request).unwrap_or(arrives);
        match if stormy { self.network.below(8) } else { 8 } {
            0 | 1 => {
                let code = self.network.pick(&[409, 410, 422, 429, 500, 503]);
                return self.fail(id, flight, Some(code));
            }
            2 => return self.fail(id, flight, None),
            // Carried out, but the answer is lost.
            3 => flight.answered = None,
            // Slow; perhaps slower than the caller's patience.
            4 | 5 => delay = self.network.between(200, 45_000).into(),
            6 => {
                self.crash(process);
                return;
            }
            7 => flight.dies = true,
            _ => {}
        }
        if delay >= TIMEOUT {
            flight.answered = None;
        }
        let dies = flight.dies;
        let waits = flight.answered.is_none();
        self.flights.insert(id, flight);
        self.after(delay, Happening::Arrive(id));
        if waits {
            // The answer is never read by its flight; another one brings the timeout.
            let flight = &self.flights[&id];
            let request = flight.request.clone();
            let outcome = Some(Err(GatewayError::Timeout { what: request.words() }));
            let timeout =
                Flight { process, term, number, request, known, outcome, answered: None, dies: false };
            self.flown += 1;
            self.flights.insert(self.flown, timeout);
            self.after(TIMEOUT, Happening::Answer(self.flown));
        }
        if dies {
            self.crash(process);
        }
    }

    /// The request is not carried out: refused with a code, or lost on its way.
    fn fail(&mut self, id: u64, mut flight: Flight, code: Option<u16>) {
        let what = flight.request.words();
        self.tell(|_| match code {
            Some(code) => format!("{what}: refused with {code}"),
            None => format!("{what}: lost on its way"),
        });
        flight.outcome = Some(Err(match code {
            Some(code) => GatewayError::of(what, kube::Error::Api(refusal(code, "refused"))),
            None => GatewayError::Timeout { what },
        }));
        self.flights.insert(id, flight);
        let delay = if code.is_some() { self.network.between(1, 50).into() } else { TIMEOUT };
        self.after(delay, Happening::Answer(id));
    }

    fn arrive(&mut self, id: u64) {
        let Some(mut flight) = self.flights.remove(&id) else { return };
        let outcome = self.cluster.apply(&flight.request);
        self.consider(&flight, outcome.is_ok());
        let (process, request) = (flight.process, flight.request.clone());
        if request.writes() {
            let result = outcome.as_ref().map(|_| ()).map_err(|status| (status.code, status.message.clone()));
            self.tell(|_| match result {
                Ok(()) => format!("process {process}: {}", request.words()),
                Err((code, why)) => format!("process {process}: {}: {code} {why}", request.words()),
            });
        }
        if let Some(delay) = flight.answered {
            flight.outcome =
                Some(outcome.map_err(|status| GatewayError::of(request.words(), kube::Error::Api(status))));
            self.flights.insert(id, flight);
            self.after(delay, Happening::Answer(id));
        }
    }

    /// The judge looks at what a write has done.
    fn consider(&mut self, flight: &Flight, done: bool) {
        if !done {
            return;
        }
        self.judge.watch(&self.cluster);
        match &flight.request {
            Request::Status(budget, object) => {
                let (since, horizon) = flight.known;
                if let Some(status) = &object.status {
                    if status.observed_generation.is_none() {
                        // Its predecessor's status went with it: of what vanished before this process looked nobody knows.
                        let known = |ghost: &Ghost| ghost.budget != *budget || ghost.since >= since;
                        self.cluster.ghosts.retain(known);
                    }
                    self.judge.status_written(&self.cluster, *budget, status, horizon);
                }
            }
            Request::Grant { pod, .. } => {
                if let Some(id) = self.cluster.pod(pod).map(|pod| pod.id) {
                    self.judge.granted(&self.cluster, id);
                    self.tally.grants += 1;
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, id: u64) {
        let Some(flight) = self.flights.remove(&id) else { return };
        let Some(outcome) = flight.outcome else { return };
        let (process, number) = (flight.process, flight.term);
        let Some(term) = self.term(process, number) else { return };
        term.door.answer(flight.number, outcome);
        for budget in 0..BUDGETS.len() {
            let running = self.term(process, number).is_some_and(|term| term.runs(budget));
            if running {
                self.look(process, number, budget);
            }
        }
    }

    fn check_rest(&mut self) {
        let Some(still) = self.still else { return };
        let waited = clock::now() - still;
        if !self.plan.ends_feasible {
            // Nothing is promised but that nobody goes over.
            self.over = waited > 60_000;
        } else if self.at_rest() {
            self.tally.settle(&self.cluster, waited);
            self.over = true;
        } else if waited > PATIENCE {
            let picture = self.picture();
            self.judge.complain(Fault::Stuck, format!("not settled after {} s\n{picture}", PATIENCE / 1000));
        }
        if !self.over {
            self.after(1_000, Happening::CheckRest);
        }
    }
}

fn step_of(number: u8) -> Step {
    const ALL: [Step; 9] = [
        Step::Bind,
        Step::Start,
        Step::TellRunning,
        Step::Ready,
        Step::Crash,
        Step::Restart,
        Step::Stop,
        Step::TellEnded,
        Step::Remove,
    ];
    ALL[usize::from(number)]
}
