//! What Supabase says of the limit of a project, by its Management API, and of its clients.
//!
//! In: where Supabase is, a project, a token, a key of the project. Out: a [`Reading`]. Only what is needed is asked, one
//! request after another, and all together within the time and the bytes of one reading. What an answer says is in
//! `answers`, without the wire.
//! Forbidden here: guessing. What the API leaves open comes from the table of `budget::supabase`, and is called so.
//!
//! Paths, fields and scopes: `packages/api/src/generated/openapi.json` of `supabase/cli` at 1d1e7191, and the answers
//! that are recorded beside it.

mod activity;
mod answers;
mod key;
mod metrics;

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use self::answers::{Number, Pools, Size, Stated};
use self::metrics::Pooler;
use super::https::{Answer, NotAnOrigin, Origin, Token};
use super::{Activity, Class, Doubt, MAX_BYTES, PATIENCE, Reading};
use crate::budget::supabase::{Compute, Connection};

/// Where the API is.
pub const API: &str = "https://api.supabase.com";
/// Where its projects are.
pub const PROJECTS: &str = "https://{ref}.supabase.co";
/// Where tokens are made.
const TOKENS: &str = "https://supabase.com/dashboard/account/tokens";
/// The longest that the API can make poolbudget wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The pause when the API is asked too often and does not say for how long: its window is a minute.
const PAUSE: Duration = Duration::from_secs(60);
/// The characters of a project's reference.
const REFERENCE: usize = 20;

/// What stands for a project's reference in the address of its metrics.
const PLACEHOLDER: &str = "{ref}";
/// The user of a project's metrics.
const METRICS_USER: &str = "service_role";

/// Where Supabase answers.
#[derive(Clone, Debug)]
pub struct Supabase {
    /// The Management API.
    pub api: Origin,
    /// The projects themselves.
    pub projects: Projects,
}

/// The address of each project, in which `{ref}` stands for its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projects(String);

impl Projects {
    /// The addresses of this form.
    ///
    /// # Errors
    /// When it is no address with any reference in it.
    pub fn new(form: &str) -> Result<Self, NotAnOrigin> {
        let projects = Self(form.to_owned());
        projects.origin(&"a".repeat(REFERENCE))?;
        Ok(projects)
    }

    /// Where they are if nobody says otherwise.
    #[must_use]
    pub fn usual() -> Self {
        Self(PROJECTS.to_owned())
    }

    fn origin(&self, reference: &str) -> Result<Origin, NotAnOrigin> {
        Origin::new(&self.0.replace(PLACEHOLDER, reference), None)
    }
}

/// With what a project is asked.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// A token for the Management API.
    pub token: &'a str,
    /// A secret key of the project, for its metrics; or why there is none, if there should be one.
    pub key: Option<Result<&'a str, &'a Doubt>>,
}

/// A project, and the path on which its apps connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    reference: String,
    connection: Connection,
}

/// A text that is no project's reference.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the reference of a Supabase project is {REFERENCE} letters from a to z, as in its dashboard's address"
)]
pub struct NotAReference;

impl Project {
    /// The project of this reference.
    ///
    /// # Errors
    /// When the text is no reference.
    pub fn new(reference: &str, connection: Connection) -> Result<Self, NotAReference> {
        if reference.len() != REFERENCE || !reference.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(NotAReference);
        }
        Ok(Self { reference: reference.to_owned(), connection })
    }
}

/// Something that the API can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// The shared pooler, Supavisor.
    Pooler,
    /// The project's own `PgBouncer`.
    PgBouncer,
    /// The settings of Postgres that were changed.
    Postgres,
    /// What the project bought, its compute size among it.
    AddOns,
}

impl Question {
    /// Its path below the project.
    const fn path(self) -> &'static str {
        match self {
            Self::Pooler => "config/database/pooler",
            Self::PgBouncer => "config/database/pgbouncer",
            Self::Postgres => "config/database/postgres",
            Self::AddOns => "billing/addons",
        }
    }

    /// The permission that a token needs for it.
    const fn scope(self) -> &'static str {
        match self {
            Self::Pooler => "database_pooling_config_read",
            Self::PgBouncer => "database_read",
            Self::Postgres => "database_config_read",
            Self::AddOns => "infra_add_ons_read",
        }
    }
}

/// What a path's limit is asked with, before the compute size.
const fn first(connection: Connection) -> Question {
    match connection {
        Connection::Session | Connection::Transaction => Question::Pooler,
        Connection::Dedicated => Question::PgBouncer,
        Connection::Direct => Question::Postgres,
    }
}

/// Asks what a project allows on its path, and which connections are open there.
///
/// Clients of a pooler are no backends of Postgres, and `pg_stat_activity` does not show them: they are in the metrics of
/// the project, which another key opens. Without that key nobody asks. A question about them that has no answer is no
/// doubt about the limit.
///
/// # Errors
/// When the API gives no number that can be believed.
pub async fn read(
    supabase: &Supabase,
    project: &Project,
    credentials: Credentials<'_>,
) -> Result<Reading, Doubt> {
    read_within(supabase, project, credentials, PATIENCE).await
}

async fn read_within(
    supabase: &Supabase,
    project: &Project,
    credentials: Credentials<'_>,
    patience: Duration,
) -> Result<Reading, Doubt> {
    let deadline = Instant::now() + patience;
    let origin = &supabase.api;
    let token = key::token(credentials.token)?;
    let mut asks = Asks { origin, project, token, left: MAX_BYTES, size: None };
    let allowed = timeout_at(deadline, asks.allowed()).await;
    let allowed = allowed.unwrap_or_else(|_| Err(origin.late().into()));
    let allowed = allowed.map_err(|open| open.doubt)?.allowed();
    let pooler = match project.connection {
        Connection::Direct => None,
        Connection::Session => Some(Pooler::Shared("session")),
        Connection::Transaction => Some(Pooler::Shared("transaction")),
        Connection::Dedicated => Some(Pooler::Dedicated),
    };
    let activity = match (pooler, credentials.key) {
        (None, _) => Some(timeout_at(deadline, asks.activity()).await),
        (Some(_), None) => None,
        (Some(_), Some(Err(doubt))) => Some(Ok(Err(doubt.clone()))),
        (Some(pooler), Some(Ok(key))) => {
            Some(timeout_at(deadline, clients(&supabase.projects, project, key, pooler, asks.left)).await)
        }
    };
    let late = || Doubt::new(Class::Unreachable, "there was no answer in time");
    let activity = activity.map(|asked| asked.unwrap_or_else(|_| Err(late())));
    Ok(Reading { allowed, activity })
}

/// The clients of a pooler, by the metrics of the project.
async fn clients(
    projects: &Projects,
    project: &Project,
    key: &str,
    pooler: Pooler,
    most: u64,
) -> Result<Activity, Doubt> {
    let key = key::secret(key, &project.reference)?;
    let origin = projects.origin(&project.reference).map_err(|why| {
        Doubt::new(Class::NotUnderstood, format!("the metrics of the project cannot be asked: {why}"))
    })?;
    let answer = origin.get(metrics::PATH, Token::Basic(METRICS_USER, key), most).await?;
    if answer.status != StatusCode::OK {
        let status = answer.status.as_u16();
        let sentence = match status {
            401 | 403 => format!(
                "the project {} refused the key for its metrics: put a secret key of this project into the Secret",
                project.reference
            ),
            _ => format!("the project {} answered {status} when asked for its metrics", project.reference),
        };
        return Err(Doubt::new(Class::Refused, sentence));
    }
    let page = String::from_utf8_lossy(&answer.body);
    metrics::read(&page, pooler).ok_or_else(|| {
        Doubt::new(Class::NotUnderstood, "the metrics of the project do not count the clients of this pooler")
    })
}

/// A question that stays open.
#[derive(Debug)]
struct Open {
    doubt: Doubt,
    /// Whether it stays so until somebody changes the token or the project. What is only compared is then left out;
    /// otherwise it is a doubt, for a limit that rises whenever the API is slow is none.
    lasting: bool,
}

impl From<Doubt> for Open {
    fn from(doubt: Doubt) -> Self {
        Self { doubt, lasting: false }
    }
}

/// What a question that may stay open says: nothing, if it lastingly does.
fn if_open<T>(answered: Result<Option<T>, Open>) -> Result<Option<T>, Open> {
    answered.or_else(|open| if open.lasting { Ok(None) } else { Err(open) })
}

/// The questions of one reading.
struct Asks<'a> {
    origin: &'a Origin,
    project: &'a Project,
    token: &'a str,
    /// How many bytes may still come.
    left: u64,
    /// The compute size, once it was asked for.
    size: Option<Size>,
}

impl Asks<'_> {
    async fn allowed(&mut self) -> Result<Stated, Open> {
        match self.project.connection {
            Connection::Session => self.session().await,
            Connection::Transaction => {
                let pools = answers::pools(&self.get(Question::Pooler).await?, Number::Clients)?;
                self.pooled(Number::Clients, pools).await
            }
            Connection::Dedicated => {
                let clients = answers::pgbouncer(&self.get(Question::PgBouncer).await?)?;
                self.pooled(Number::Clients, Pools::one(clients)).await
            }
            Connection::Direct => {
                let most = match self.overridden().await? {
                    Some(most) => most,
                    None => self.size().await?.number(Number::Backends)?,
                };
                Ok(most.ordinary()?)
            }
        }
    }

    /// In session mode each client holds a backend, so that a pool never holds more than Postgres lets in.
    async fn session(&mut self) -> Result<Stated, Open> {
        let pools = answers::pools(&self.get(Question::Pooler).await?, Number::PoolSize)?;
        let pool = self.pooled(Number::PoolSize, pools).await?;
        // Every compute size lets in so many: most projects need no further request.
        if u64::from(pool.connections()) <= Compute::Nano.numbers().ordinary().get() {
            return Ok(pool);
        }
        let most = match if_open(self.overridden().await)? {
            Some(most) => Some(most),
            None => if_open(self.compared_size().await)?,
        };
        let Some(most) = most else { return Ok(pool) };
        Ok(most.ordinary()?.or_smaller(pool))
    }

    async fn compared_size(&mut self) -> Result<Option<Stated>, Open> {
        let most = self.size().await?.number(Number::Backends);
        // A size that nobody knows stays unknown.
        most.map(Some).map_err(|doubt| Open { doubt, lasting: true })
    }

    /// What the pools say, and for those that say nothing, what the compute size says.
    async fn pooled(&mut self, number: Number, pools: Pools) -> Result<Stated, Open> {
        let set = pools.set(number);
        if !pools.has_default() {
            return set.ok_or_else(|| answers::no_pool().into());
        }
        let default = self.size().await?.number(number)?;
        Ok(match set {
            Some(set) if set.connections() <= default.connections() => set,
            _ => default,
        })
    }

    /// `max_connections`, if it was set for this project.
    async fn overridden(&mut self) -> Result<Option<Stated>, Open> {
        Ok(answers::postgres(&self.get(Question::Postgres).await?)?)
    }

    async fn size(&mut self) -> Result<Size, Open> {
        if let Some(size) = &self.size {
            return Ok(size.clone());
        }
        let size = answers::size(&self.get(Question::AddOns).await?)?;
        Ok(self.size.insert(size).clone())
    }

    async fn get(&mut self, question: Question) -> Result<Bytes, Open> {
        let path = self.path(question.path());
        let answer = self.origin.get(&path, Token::Bearer(self.token), self.left).await?;
        self.spent(&answer);
        if answer.status == StatusCode::OK {
            return Ok(answer.body);
        }
        let lasting = answer.status == StatusCode::FORBIDDEN;
        Err(Open { doubt: refused(&answer, question, self.project), lasting })
    }

    /// The clients of Postgres, read as a role that can write nothing.
    async fn activity(&mut self) -> Result<Activity, Doubt> {
        let path = self.path("database/query/read-only");
        let token = Token::Bearer(self.token);
        let answer = self.origin.post_json(&path, token, activity::query(), self.left).await?;
        self.spent(&answer);
        if !answer.status.is_success() {
            let cure = match answer.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    "the token needs the permission database_read for it"
                }
                _ => "poolbudget asks again with the next reading",
            };
            let status = answer.status.as_u16();
            let sentence = format!("Supabase answered {status} to the query of who is connected: {cure}");
            return Err(Doubt::new(Class::Refused, sentence));
        }
        activity::read(&answer.body).ok_or_else(|| {
            Doubt::new(
                Class::NotUnderstood,
                "the answer of Supabase about who is connected is not understood",
            )
        })
    }

    fn path(&self, of: &str) -> String {
        format!("/v1/projects/{}/{of}", self.project.reference)
    }

    fn spent(&mut self, answer: &Answer) {
        self.left = self.left.saturating_sub(u64::try_from(answer.body.len()).unwrap_or(u64::MAX));
    }
}

/// What a status other than success means.
fn refused(answer: &Answer, question: Question, project: &Project) -> Doubt {
    let status = answer.status.as_u16();
    let (class, sentence) = match status {
        401 | 403 | 404 => (Class::Refused, forbidden(status, question, project)),
        429 => (
            Class::Refused,
            "Supabase was asked too often with tokens of this account: poolbudget asks again later; what else uses \
             the account should ask less"
                .to_owned(),
        ),
        500.. => (
            Class::Unreachable,
            format!(
                "Supabase answered with an error of its own, {status}: if that lasts, see https://status.supabase.com"
            ),
        ),
        300..=399 => (
            Class::NotUnderstood,
            format!(
                "the API answered with a redirect, {status}, which is not followed: set --supabase-api of the operator to \
                 the address that it leads to"
            ),
        ),
        _ => (
            Class::NotUnderstood,
            format!(
                "the API answered {status} to {}: check its address, or state limit.connections",
                question.path()
            ),
        ),
    };
    let pause = match status {
        429 => Some(pause(answer).unwrap_or(PAUSE)),
        500.. => pause(answer),
        _ => None,
    };
    Doubt { class, sentence, pause }
}

/// What the token, or the project, lacks.
fn forbidden(status: u16, question: Question, project: &Project) -> String {
    let reference = &project.reference;
    match status {
        401 => format!(
            "Supabase refused the token: make one with the permissions {} and {} at {TOKENS}, and put it into the \
             Secret",
            first(project.connection).scope(),
            Question::AddOns.scope()
        ),
        403 => format!(
            "Supabase does not answer this token: it lacks the permission {}, or has no access to the project \
             {reference}: make one that has both at {TOKENS}, and put it into the Secret",
            question.scope()
        ),
        _ => format!(
            "Supabase knows no project {reference}, or the token has no access to it: check the reference, and the \
             token's projects"
        ),
    }
}

/// How long not to ask, as far as the answer says so.
fn pause(answer: &Answer) -> Option<Duration> {
    let seconds = answer.retry_after.or(answer.reset)?;
    Some(Duration::from_secs(seconds.max(1)).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests;
