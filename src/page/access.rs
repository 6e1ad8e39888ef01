//! Whose budgets a viewer is shown, if the page is told to ask: those of the namespaces where he may get budgets.
//!
//! In: a bearer token. Out: namespaces. The API server says whose token it is and what that user may do; its answers
//! are kept for [`KEPT`]. Forbidden here: any rule of its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::api::names;

/// How long an answer of the API server is believed.
const KEPT: Duration = Duration::from_secs(60);
/// The most tokens whose answers are kept.
const TOKENS: usize = 32;
/// Questions to the API server at a time, for one viewer.
const AT_ONCE: usize = 8;
/// Tokens that are reviewed at a time.
const REVIEWS: usize = 4;

/// Who answers.
pub trait Judge: Send + Sync + 'static {
    /// Whose token this is; none if nobody's.
    fn who(&self, token: String) -> BoxFuture<'_, Result<Option<UserInfo>, String>>;
    /// Whether this user may get budgets in this namespace; in all of them if none is named.
    fn may(&self, user: UserInfo, namespace: Option<String>) -> BoxFuture<'_, Result<bool, String>>;
}

/// The API server.
pub struct Cluster(pub Client);

impl Judge for Cluster {
    fn who(&self, token: String) -> BoxFuture<'_, Result<Option<UserInfo>, String>> {
        async move {
            let api: Api<TokenReview> = Api::all(self.0.clone());
            let spec = TokenReviewSpec { token, ..TokenReviewSpec::default() };
            let review = TokenReview { spec, ..TokenReview::default() };
            let answer = api.create(&PostParams::default(), &review).await;
            let status = answer.map_err(|error| format!("cannot review the token: {error}"))?.status;
            Ok(status.filter(|status| status.authenticated == Some(true)).and_then(|status| status.user))
        }
        .boxed()
    }

    fn may(&self, user: UserInfo, namespace: Option<String>) -> BoxFuture<'_, Result<bool, String>> {
        async move {
            let api: Api<SubjectAccessReview> = Api::all(self.0.clone());
            let review =
                SubjectAccessReview { spec: question(user, namespace), ..SubjectAccessReview::default() };
            let answer = api.create(&PostParams::default(), &review).await;
            let status = answer.map_err(|error| format!("cannot ask what the token may do: {error}"))?.status;
            Ok(status.is_some_and(|status| status.allowed && status.denied != Some(true)))
        }
        .boxed()
    }
}

fn question(user: UserInfo, namespace: Option<String>) -> SubjectAccessReviewSpec {
    let resource = ResourceAttributes {
        group: Some(names::GROUP.to_owned()),
        resource: Some("dbconnectionbudgets".to_owned()),
        verb: Some("get".to_owned()),
        namespace,
        ..ResourceAttributes::default()
    };
    SubjectAccessReviewSpec {
        extra: user.extra,
        groups: user.groups,
        resource_attributes: Some(resource),
        uid: user.uid,
        user: user.username,
        ..SubjectAccessReviewSpec::default()
    }
}

/// What a viewer is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Every namespace.
    All,
    /// These.
    Only(HashSet<String>),
}

impl Visible {
    /// Whether this namespace is.
    #[must_use]
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(some) => some.contains(namespace),
        }
    }
}

/// Why a viewer is shown nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no token, or it is nobody's.
    Stranger,
    /// The API server does not say.
    Unknown(String),
}

#[derive(Debug)]
struct Known {
    asked: Instant,
    user: Option<UserInfo>,
    everywhere: Option<bool>,
    rights: HashMap<String, bool>,
}

/// What was asked, and is still believed.
pub struct Access {
    judge: Box<dyn Judge>,
    known: Mutex<HashMap<String, Known>>,
    reviews: Semaphore,
}

impl Access {
    /// Asks this judge.
    #[must_use]
    pub fn new(judge: Box<dyn Judge>) -> Self {
        Self { judge, known: Mutex::default(), reviews: Semaphore::new(REVIEWS) }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, answer| answer.asked.elapsed() < KEPT);
        known
    }

    /// Which of these namespaces a viewer is shown.
    ///
    /// # Errors
    /// When it is nobody's token, or the API server does not say.
    pub async fn visible(&self, token: Option<&str>, namespaces: &[String]) -> Result<Visible, Refused> {
        let token = token.filter(|token| !token.is_empty()).ok_or(Refused::Stranger)?;
        let user = self.user(token).await?.ok_or(Refused::Stranger)?;
        if self.everywhere(token, &user).await? {
            return Ok(Visible::All);
        }
        let answers = stream::iter(namespaces.iter().cloned())
            .map(|namespace| self.one(token, &user, namespace))
            .buffer_unordered(AT_ONCE);
        let answers: Vec<Result<(String, bool), Refused>> = answers.collect().await;
        let mut some = HashSet::new();
        for answer in answers {
            let (namespace, may) = answer?;
            if may {
                some.insert(namespace);
            }
        }
        Ok(Visible::Only(some))
    }

    async fn user(&self, token: &str) -> Result<Option<UserInfo>, Refused> {
        if let Some(known) = self.known().get(token) {
            return Ok(known.user.clone());
        }
        let _turn = self.reviews.acquire().await;
        let user = self.judge.who(token.to_owned()).await.map_err(Refused::Unknown)?;
        let mut known = self.known();
        if known.len() >= TOKENS {
            let oldest = known.iter().min_by_key(|(_, answer)| answer.asked).map(|(token, _)| token.clone());
            oldest.map(|token| known.remove(&token));
        }
        let (asked, answer) = (Instant::now(), user.clone());
        known.insert(token.to_owned(), Known { asked, user, everywhere: None, rights: HashMap::new() });
        Ok(answer)
    }

    async fn everywhere(&self, token: &str, user: &UserInfo) -> Result<bool, Refused> {
        if let Some(answer) = self.known().get(token).and_then(|known| known.everywhere) {
            return Ok(answer);
        }
        let answer = self.judge.may(user.clone(), None).await.map_err(Refused::Unknown)?;
        if let Some(known) = self.known().get_mut(token) {
            known.everywhere = Some(answer);
        }
        Ok(answer)
    }

    async fn one(&self, token: &str, user: &UserInfo, namespace: String) -> Result<(String, bool), Refused> {
        if let Some(answer) = self.known().get(token).and_then(|known| known.rights.get(&namespace)) {
            return Ok((namespace, *answer));
        }
        let answer = self.judge.may(user.clone(), Some(namespace.clone())).await.map_err(Refused::Unknown)?;
        if let Some(known) = self.known().get_mut(token) {
            known.rights.insert(namespace.clone(), answer);
        }
        Ok((namespace, answer))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// `all` may everything; `shop` may one namespace; nobody else is known. Counts what it is asked.
    struct Fixed(Arc<AtomicUsize>);

    impl Judge for Fixed {
        fn who(&self, token: String) -> BoxFuture<'_, Result<Option<UserInfo>, String>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let user = || UserInfo { username: Some(token.clone()), ..UserInfo::default() };
            let user = ["all", "shop"].contains(&token.as_str()).then(user);
            let answer = if token == "down" { Err("no answer".to_owned()) } else { Ok(user) };
            async move { answer }.boxed()
        }

        fn may(&self, user: UserInfo, namespace: Option<String>) -> BoxFuture<'_, Result<bool, String>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            async move { Ok(user.username.as_deref() == Some("all") || user.username == namespace) }.boxed()
        }
    }

    fn access() -> (Access, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        (Access::new(Box::new(Fixed(Arc::clone(&asked)))), asked)
    }

    fn namespaces() -> Vec<String> {
        ["bank", "shop"].map(ToOwned::to_owned).to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_is_shown_the_namespaces_where_he_may_get_budgets() {
        let (access, _) = access();
        let only = Visible::Only(HashSet::from(["shop".to_owned()]));
        assert_eq!(access.visible(Some("shop"), &namespaces()).await, Ok(only));
        assert_eq!(access.visible(Some("all"), &namespaces()).await, Ok(Visible::All));
        for token in [None, Some(""), Some("nobody")] {
            assert_eq!(access.visible(token, &namespaces()).await, Err(Refused::Stranger), "{token:?}");
        }
        let unknown = Refused::Unknown("no answer".to_owned());
        assert_eq!(access.visible(Some("down"), &namespaces()).await, Err(unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_for_a_minute() {
        let (access, asked) = access();
        for _ in 0..5 {
            access.visible(Some("shop"), &namespaces()).await.expect("a user");
            access.visible(Some("nobody"), &namespaces()).await.expect_err("nobody");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1 + 1 + 2 + 1);
        tokio::time::advance(KEPT).await;
        access.visible(Some("shop"), &namespaces()).await.expect("a user");
        assert_eq!(asked.load(Ordering::Relaxed), 5 + 4);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_tokens_some_are_kept() {
        let (access, _) = access();
        for n in 0..100 {
            access.visible(Some(&format!("t{n}")), &[]).await.expect_err("nobody");
        }
        assert_eq!(access.known().len(), TOKENS);
    }
}
