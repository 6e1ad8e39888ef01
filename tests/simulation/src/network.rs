//! The network between a process and the API server: which request arrives when, or never, and who gets an answer.
//!
//! In: requests that a look has sent. Out: writes that are executed and judged, answers that wake their look, timeouts,
//! processes that die after sending.

use poolbudget::controller::gateway::GatewayError;
use testkit::answer::refusal;

use super::api::{Answer, Request};
use super::clock;
use super::cluster::BUDGETS;
use super::process::{Known, Process};
use super::sim::{Happening, Sim};
use super::weather::Moment;

/// The client gives up on a request after this many milliseconds.
const TIMEOUT: i64 = 20_000;

/// A request that was sent.
pub(super) struct Flight {
    process: usize,
    term: u32,
    number: u64,
    request: Request,
    /// What its process knew when it was sent.
    known: Known,
    outcome: Option<Result<Answer, GatewayError>>,
    /// How long after its arrival it is answered; none if the answer is lost.
    answered: Option<i64>,
    dies: bool,
}

impl Sim {
    /// Decides what happens to a request.
    pub(super) fn send(&mut self, process: usize, term: u32, number: u64, request: Request) {
        let now = clock::now();
        let stormy = self.weather.storm.0 > now && self.network.between(0, 999) < self.weather.storm.1;
        let (arrives, answers) = (self.network.between(1, 8).into(), self.network.between(1, 8).into());
        let known = match &self.processes[process] {
            Process::Leading(term) => term.known(&self.cluster),
            _ => Known { since: now, unbroken: now, horizon: now },
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
            // Executed, but the answer is lost.
            3 => flight.answered = None,
            // Slow; perhaps slower than the caller's timeout.
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
            // This flight never delivers its answer; another one delivers the timeout.
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

    /// The request is not executed: refused with a code, or lost on the way.
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

    pub(super) fn arrive(&mut self, id: u64) {
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

    /// The judge checks the effect of a write.
    fn consider(&mut self, flight: &Flight, done: bool) {
        if !done {
            return;
        }
        self.judge.watch(&self.cluster);
        match &flight.request {
            Request::Status(budget, object) => {
                if let Some(status) = &object.status {
                    if status.observed_generation.is_none() {
                        self.cluster.forget_before(*budget, flight.known.since);
                    }
                    self.cluster.note_named(status);
                    self.judge.status_written(&self.cluster, *budget, status, flight.known);
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

    pub(super) fn answer(&mut self, id: u64) {
        let Some(flight) = self.flights.remove(&id) else { return };
        let Some(outcome) = flight.outcome else { return };
        let (process, number) = (flight.process, flight.term);
        let Some(term) = self.term(process, number) else { return };
        term.door.answer(flight.number, outcome);
        // Twice, because a look may wait for another one that waited for this answer: nobody wakes it.
        for budget in (0..BUDGETS.len()).chain(0..BUDGETS.len()) {
            let running = self.term(process, number).is_some_and(|term| term.runs(budget));
            if running {
                self.look(process, number, budget);
            }
        }
    }
}
