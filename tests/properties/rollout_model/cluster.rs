//! A small cluster: Deployments, their pods, and what each pod may hold at this instant.
//!
//! Everything that happens is one call: a pass of a controller, a step in the life of a pod, a fault. Who calls
//! in which order is the schedule's business. What is over the limit is known here, not to the operator.

use poolbudget::budget::amount::{Connections, Pods};
use poolbudget::budget::basis::Basis;
use poolbudget::budget::ledger::Hold;
use poolbudget::budget::rollout::{Strategy, Surge};

use super::deployment::{Deployment, Template};
use super::random::Random;

/// What a pod that escapes the gate, or is from before the label, opens.
pub(crate) const LITERAL: Connections = Connections::new(15);
/// For how long the bill of a pod is kept that vanished from a lost node.
const QUARANTINE: i64 = 60;

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) uid: u32,
    pub(crate) app: usize,
    pub(crate) template: Template,
    pub(crate) created: i64,
    pub(crate) hold: Hold,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
}

/// A Deployment and what the budget says of it.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) deployment: Deployment,
    pub(crate) ceiling: Option<u32>,
    pub(crate) weight: u32,
    pub(crate) min: u64,
    pub(crate) max: Option<u64>,
    /// The settled count in the status of the budget.
    pub(crate) carried: Option<Pods>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now: i64,
    /// limit − reserved.
    pub(crate) available: u64,
    pub(crate) surge: Surge,
    pub(crate) basis: Basis,
    pub(crate) apps: Vec<App>,
    pub(crate) pods: Vec<Pod>,
    /// Bills of pods that vanished from lost nodes, each with the time at which it is given up.
    pub(crate) quarantine: Vec<(Connections, i64)>,
    uids: u32,
    templates: u32,
}

impl App {
    pub(crate) fn new(replicas: u32, strategy: Strategy) -> Self {
        let template = Template { id: 0, good: true, processes: 1, labelled: true };
        Self {
            deployment: Deployment::new(replicas, strategy, template),
            ceiling: None,
            weight: 1,
            min: 1,
            max: None,
            carried: None,
        }
    }
}

impl Cluster {
    pub(crate) fn new(available: u64, apps: Vec<App>) -> Self {
        let (surge, basis) = (Surge::Minimal, Basis::Ceiling);
        let (pods, quarantine) = (Vec::new(), Vec::new());
        Self { now: 0, available, surge, basis, apps, pods, quarantine, uids: 0, templates: 0 }
    }

    /// What the pods of the budget may open together at this instant, by what they were really given.
    pub(crate) fn held(&self) -> u64 {
        let governed = self.pods.iter().filter(|pod| pod.template.labelled && pod.hold.is_grant());
        let bills: u64 = governed.map(|pod| pod.hold.bill().get()).sum();
        bills + self.quarantine.iter().map(|(bill, _)| bill.get()).sum::<u64>()
    }

    pub(crate) fn pass(&mut self, seconds: u32) {
        self.now += i64::from(seconds);
        let now = self.now;
        self.quarantine.retain(|(_, until)| *until > now);
    }

    // What users do.

    pub(crate) fn scale(&mut self, app: usize, replicas: u32) {
        let deployment = &mut self.apps[app].deployment;
        deployment.replicas = replicas;
        deployment.observed = false;
    }

    /// A new template.
    pub(crate) fn roll_out(&mut self, app: usize, good: bool, processes: u32) {
        self.templates += 1;
        let template = Template { id: self.templates, good, processes, labelled: true };
        self.take(app, template);
    }

    /// Puts the label on, as it is.
    pub(crate) fn adopt(&mut self, app: usize) {
        let Template { good, processes, .. } = self.apps[app].deployment.template;
        self.roll_out(app, good, processes);
    }

    pub(crate) fn take(&mut self, app: usize, template: Template) {
        let deployment = &mut self.apps[app].deployment;
        deployment.template = template;
        deployment.observed = false;
    }

    // What the controllers do.

    pub(crate) fn sync_deployment(&mut self, app: usize) {
        let pods = &self.pods;
        let runs = |id: u32| pods.iter().any(|pod| pod.app == app && pod.template.id == id);
        self.apps[app].deployment.sync(runs);
    }

    /// One pass over a ReplicaSet: it reports what it has, then makes or deletes pods. `escape` lets a new pod
    /// pass the gate.
    pub(crate) fn sync_set(&mut self, app: usize, set: usize, random: &mut Random, escape: bool) {
        let template = self.apps[app].deployment.sets[set].template;
        let mut own: Vec<usize> = (0..self.pods.len())
            .filter(|i| {
                let pod = &self.pods[*i];
                pod.app == app && pod.template.id == template.id && !pod.terminating
            })
            .collect();
        let set = &mut self.apps[app].deployment.sets[set];
        set.pods = i64::try_from(own.len()).unwrap();
        set.available = i64::try_from(own.iter().filter(|i| self.pods[**i].ready).count()).unwrap();
        let (has, wants) = (set.pods, set.replicas);
        for _ in has..wants {
            self.create(app, template, escape);
        }
        // Not scheduled before scheduled, not ready before ready; among equals any.
        let gated = |pod: &Pod| matches!(pod.hold, Hold::Waiting | Hold::InFlight(_));
        own.sort_by_cached_key(|i| {
            let pod = &self.pods[*i];
            (!gated(pod), pod.ready, random.between(0, 999))
        });
        own.truncate(usize::try_from((has - wants).max(0)).unwrap());
        for pod in own {
            self.pods[pod].terminating = true;
        }
        // Nothing runs in a gated pod: its deletion is its end.
        self.pods.retain(|pod| !(pod.terminating && gated(pod)));
    }

    fn create(&mut self, app: usize, template: Template, escape: bool) {
        self.uids += 1;
        let escaped = escape || !template.labelled;
        self.pods.push(Pod {
            uid: self.uids,
            app,
            template,
            created: self.now,
            hold: if escaped { Hold::Escaped(LITERAL) } else { Hold::Waiting },
            ready: false,
            terminating: false,
        });
    }

    /// The next step in the life of a pod: its grant arrives, it becomes ready, it is gone.
    pub(crate) fn advance(&mut self, pod: usize) {
        let Pod { hold, terminating, template, .. } = self.pods[pod];
        match hold {
            _ if terminating => {
                self.pods.remove(pod);
            }
            Hold::Waiting => {}
            Hold::InFlight(bill) => self.pods[pod].hold = Hold::Granted(bill),
            Hold::Granted(_) | Hold::Escaped(_) => self.pods[pod].ready = template.good,
        }
    }

    // Faults.

    /// The pod is deleted or evicted.
    pub(crate) fn end(&mut self, pod: usize) {
        if matches!(self.pods[pod].hold, Hold::Waiting | Hold::InFlight(_)) {
            self.pods.remove(pod);
        } else {
            self.pods[pod].terminating = true;
        }
    }

    /// Its node is gone and its object was deleted by force: whether it still holds connections nobody knows.
    pub(crate) fn lose(&mut self, pod: usize) {
        let lost = self.pods.remove(pod);
        if let Hold::Granted(bill) = lost.hold
            && lost.template.labelled
        {
            self.quarantine.push((bill, self.now + QUARANTINE));
        }
    }

    /// Whether all is as wanted: of every Deployment with a good image all pods are of the newest template, ready and
    /// governed, and there is no other. Deployments that their controller has stuck by itself are not waited for.
    pub(crate) fn settled(&self) -> bool {
        let whole = |app: usize| {
            let deployment = &self.apps[app].deployment;
            let mut pods = self.pods.iter().filter(|pod| pod.app == app);
            let wanted = usize::try_from(deployment.replicas).unwrap();
            deployment.observed
                && pods.clone().count() == wanted
                && pods.all(|pod| {
                    pod.ready
                        && !pod.terminating
                        && pod.template.id == deployment.template.id
                        && matches!(pod.hold, Hold::Granted(_))
                })
        };
        let moves = |app: &usize| {
            let deployment = &self.apps[*app].deployment;
            deployment.template.good && !deployment.is_stuck()
        };
        (0..self.apps.len()).filter(moves).all(whole) && self.held() <= self.available
    }
}
