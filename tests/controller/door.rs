//! A leader's connection to the server, where a script decides the fate of every request.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::Status;
use kube::runtime::events::Event;
use poolbudget::api::BudgetKey;
use poolbudget::api::DbConnectionBudget;
use poolbudget::cluster::node::{NodeSight, Roll};
use poolbudget::cluster::pod::{PodRecord, PodView};
use poolbudget::cluster::workload::WorkloadKey;
use poolbudget::controller::gateway::{Gateway, GatewayError, Sizes, fence_patch, grant_patch};
use testkit::answer::refusal;

use super::server::{Answer, Request, Said, Server};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is executed and answered.
    Done,
    /// It is executed; the answer is lost.
    Lost,
    /// It is refused with this code and not executed.
    Refused(u16),
    /// It stays in flight for now; the caller waits in vain for an answer.
    Late,
    /// The leader dies before it is sent.
    DiesBefore,
    /// The leader dies after it was executed.
    DiesAfter,
}

/// A request, as a script sees it.
pub(crate) struct Call<'a> {
    /// How many requests of this kind (read or write) came before it.
    pub(crate) number: usize,
    /// None for reads.
    pub(crate) write: Option<&'a Request>,
}

/// Decides; none if the request has to wait.
pub(crate) type Script = Box<dyn FnMut(&mut Server, &Call<'_>) -> Option<Fate> + Send>;

struct State {
    script: Script,
    reads: usize,
    writes: usize,
    waiting: Vec<Waker>,
    dead: bool,
    pods: Option<Vec<PodView>>,
    forgets_grants: bool,
}

/// A leader's connection to the server.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) server: Arc<Mutex<Server>>,
    state: Arc<Mutex<State>>,
}

impl Call<'_> {
    /// Whether it is the `k`-th write.
    pub(crate) fn is_write(&self, k: usize) -> bool {
        self.write.is_some() && self.number == k
    }

    /// Whether it grants a pod whose name begins with `prefix`.
    pub(crate) fn grants(&self, prefix: &str) -> bool {
        matches!(self.write, Some(Request::Grant { pod, .. }) if pod.starts_with(prefix))
    }

    /// Whether it writes the status.
    pub(crate) fn is_status(&self) -> bool {
        matches!(self.write, Some(Request::Status(_)))
    }
}

impl Door {
    pub(crate) fn new(server: Arc<Mutex<Server>>) -> Self {
        let state = State {
            script: Box::new(|_, _| Some(Fate::Done)),
            reads: 0,
            writes: 0,
            waiting: Vec::new(),
            dead: false,
            pods: None,
            forgets_grants: false,
        };
        Self { server, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().expect("the server")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the door")
    }

    /// From now on `script` decides, also about requests that wait already.
    pub(crate) fn follow(&self, script: impl FnMut(&mut Server, &Call<'_>) -> Option<Fate> + Send + 'static) {
        self.state().script = Box::new(script);
        self.wake();
    }

    /// From now on all requests that `those` is true of meet this fate, and the others are executed.
    pub(crate) fn meet(&self, fate: Fate, those: impl Fn(&Call<'_>) -> bool + Send + 'static) {
        self.follow(move |_, call| Some(if those(call) { fate } else { Fate::Done }));
    }

    pub(crate) fn wake(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn writes(&self) -> usize {
        self.state().writes
    }

    /// The next list answers with the pods as they are now: a take-over in the wrong order. The sum in the status would
    /// make up for that, so it is left out too.
    pub(crate) fn list_ahead(&self) {
        let pods = self.server().pods.values().map(view).collect();
        self.state().pods = Some(pods);
    }

    /// Stops recording grants, and counting them in the sum of the status: a transaction without one of its steps.
    pub(crate) fn forget_grants(&self) {
        self.state().forgets_grants = true;
    }

    async fn fate(&self, write: Option<&Request>) -> Fate {
        let fate = poll_fn(|context| {
            let mut state = self.state();
            if state.dead {
                return Poll::Pending;
            }
            let number = if write.is_some() { state.writes } else { state.reads };
            match (state.script)(&mut self.server(), &Call { number, write }) {
                Some(fate) => {
                    state.dead = matches!(fate, Fate::DiesBefore | Fate::DiesAfter);
                    *(if write.is_some() { &mut state.writes } else { &mut state.reads }) += 1;
                    Poll::Ready(fate)
                }
                None => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        if fate == Fate::DiesBefore {
            return std::future::pending().await;
        }
        fate
    }

    async fn read<T>(&self, what: &str, read: impl FnOnce(&Server) -> T) -> Result<T, GatewayError> {
        match self.fate(None).await {
            Fate::Refused(code) => Err(error(what, refusal(code, "refused"))),
            Fate::Lost | Fate::Late => Err(GatewayError::Timeout { what: what.into() }),
            Fate::DiesAfter | Fate::DiesBefore => std::future::pending().await,
            Fate::Done => Ok(read(&self.server())),
        }
    }

    async fn write(&self, what: &str, request: Request) -> Result<Answer, GatewayError> {
        match self.fate(Some(&request)).await {
            Fate::Done => self.server().apply(&request).map_err(|status| error_of(&request, what, status)),
            Fate::Refused(code) => Err(error_of(&request, what, refusal(code, "refused"))),
            Fate::Late => {
                self.server().late.push(request);
                Err(GatewayError::Timeout { what: what.into() })
            }
            Fate::Lost => {
                let _ = self.server().apply(&request);
                Err(GatewayError::Timeout { what: what.into() })
            }
            Fate::DiesAfter | Fate::DiesBefore => {
                let _ = self.server().apply(&request);
                std::future::pending().await
            }
        }
    }
}

fn error_of(request: &Request, what: &str, status: Box<Status>) -> GatewayError {
    let of = match request {
        Request::Status(_) => GatewayError::of_whole_object,
        _ => GatewayError::of,
    };
    of(what.into(), kube::Error::Api(status))
}

fn error(what: &str, status: Box<Status>) -> GatewayError {
    GatewayError::of(what.into(), kube::Error::Api(status))
}

pub(crate) fn view(pod: &serde_json::Value) -> PodView {
    serde_json::from_value(pod.clone()).expect("a pod")
}

fn pod_of(answer: Answer) -> PodView {
    let Answer::Pod(pod) = answer else { panic!("a patch answers with the pod") };
    view(&pod)
}

impl Gateway for Door {
    async fn budget(&self, _: &BudgetKey) -> Result<Option<DbConnectionBudget>, GatewayError> {
        let mut budget = self.read("read budget", |server| server.budget.clone()).await?;
        if self.state().pods.is_some()
            && let Some(status) = budget.as_mut().and_then(|budget| budget.status.as_mut())
        {
            status.committed = 0;
            status.ledger.nodes.clear();
        }
        Ok(budget)
    }

    async fn replace_status(&self, budget: &DbConnectionBudget) -> Result<DbConnectionBudget, GatewayError> {
        let mut budget = budget.clone();
        if self.state().forgets_grants {
            let status = budget.status.get_or_insert_default();
            let grants = std::mem::take(&mut status.ledger.grants);
            status.committed -= grants.iter().map(|grant| grant.connections).sum::<i64>();
        }
        let Answer::Budget(new) = self.write("write status", Request::Status(Box::new(budget))).await? else {
            panic!("a status write answers with the budget")
        };
        Ok(*new)
    }

    async fn pods(&self, _: &BudgetKey) -> Result<Vec<PodRecord>, GatewayError> {
        let ahead = self.state().pods.take();
        let now = self.read("list pods", |server| server.pods.values().map(view).collect()).await?;
        Ok(ahead.unwrap_or(now).iter().filter_map(PodRecord::read).collect())
    }

    async fn pod(&self, _: &str, name: &str) -> Result<Option<PodView>, GatewayError> {
        self.read("read pod", |server| server.pods.get(name).map(view)).await
    }

    async fn node(&self, name: &str) -> Result<Option<NodeSight>, GatewayError> {
        self.server().asked.insert(name.to_owned());
        self.read("read node", |server| server.node(name)).await
    }

    async fn nodes(&self) -> Result<Roll, GatewayError> {
        self.server().listed += 1;
        self.read("list nodes", |server| server.nodes()).await
    }

    async fn fence(&self, pod: &PodRecord, budget_uid: &str) -> Result<PodView, GatewayError> {
        let request =
            Request::Fence { pod: pod.name.clone(), patch: serde_json::json!(fence_patch(pod, budget_uid)) };
        self.write("fence", request).await.map(pod_of)
    }

    async fn grant(&self, pod: &PodRecord, sizes: Sizes) -> Result<PodView, GatewayError> {
        let request =
            Request::Grant { pod: pod.name.clone(), patch: serde_json::json!(grant_patch(pod, sizes)) };
        self.write("grant", request).await.map(pod_of)
    }

    async fn evict(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        let request = Request::Evict { pod: pod.name.clone(), uid: pod.uid.clone() };
        self.write("evict", request).await.map(|_| ())
    }

    async fn delete(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        let request = Request::Delete { pod: pod.name.clone(), uid: pod.uid.clone() };
        self.write("delete", request).await.map(|_| ())
    }

    async fn retire(&self, _: &str, set: &WorkloadKey) -> Result<Option<String>, GatewayError> {
        self.write("retire", Request::Retire { set: set.name.clone() })
            .await
            .map(|_| Some(format!("{}-old", set.name)))
    }

    fn publish(&self, event: Event, about: ObjectReference) -> impl Future<Output = ()> + Send {
        let (kind, name) = (about.kind.unwrap_or_default(), about.name.unwrap_or_default());
        let said = Said {
            about: format!("{kind}/{name}"),
            reason: event.reason,
            note: event.note.unwrap_or_default(),
        };
        self.server().said.push(said);
        std::future::ready(())
    }
}
