//! How much of a list is in memory at a time: tenants decide how large objects are, and how many there are.
//!
//! In: what the API server serves and answers. Out: the way to list a kind, whose turn it is, and answers that are cut
//! off when they are too large. Forbidden here: what an object means.
//!
//! If the API server streams lists, one object of each list is in memory. If it does not, one page of one list is, and
//! a page that turns out to be too large is asked for again in a smaller one.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response};
use http_body_util::{Either, LengthLimitError, Limited};
use kube::api::{Api, ListParams};
use kube::client::Body;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

/// The most bytes of an answer. An object takes at most 1.5 MiB in etcd, and its JSON at most six times that, where
/// every byte of it is escaped.
const LARGEST: usize = 12 * 1024 * 1024;
/// The most bytes of a page of more than one object. While it is read it is in memory several times.
const LARGEST_PAGE: usize = 4 * 1024 * 1024;
/// Objects per page: the first that fits. One object always does.
const PAGES: [u32; 3] = [100, 10, 1];
/// Streamed lists at the same time.
const STREAMS: u32 = 4;
/// A turn ends when nothing has arrived for this long.
pub(super) const TURN: Duration = Duration::from_secs(10);

/// How a kind is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Object by object, by the watch itself.
    Streamed,
    /// In pages of this many objects.
    Paged(u32),
}

impl Way {
    /// The watch that lists in this way, limited to objects with the label if one is named.
    #[must_use]
    pub fn config(self, label: Option<&str>) -> watcher::Config {
        let config =
            label.map_or_else(watcher::Config::default, |label| watcher::Config::default().labels(label));
        match self {
            Self::Streamed => config.streaming_lists(),
            Self::Paged(objects) => config.page_size(objects),
        }
    }

    /// The way to try after this error instead; none where the same way may succeed next time.
    #[must_use]
    pub fn instead(self, error: &watcher::Error) -> Option<Self> {
        match (self, error) {
            (Self::Streamed, watcher::Error::WatchStartFailed(kube::Error::Api(status)))
                if status.code == 422 =>
            {
                PAGES.first().copied().map(Self::Paged)
            }
            (Self::Paged(objects), watcher::Error::InitialListFailed(error)) => {
                smaller(objects, error).map(Self::Paged)
            }
            _ => None,
        }
    }
}

/// Whether the watch goes on after this error as usual and loses the event that could not be read.
pub(super) fn loses_an_event(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchFailed(kube::Error::SerdeError(_)))
}

/// The next smaller page, if the answer failed because of its size.
fn smaller(objects: u32, error: &kube::Error) -> Option<u32> {
    let kube::Error::Service(source) = error else { return None };
    source.downcast_ref::<LengthLimitError>()?;
    PAGES.into_iter().find(|fewer| *fewer < objects)
}

/// A list, page by page.
pub struct Pages {
    params: ListParams,
    ended: bool,
}

impl Pages {
    /// The list that these parameters choose, before its first page.
    pub fn of(params: ListParams) -> Self {
        let [first, ..] = PAGES;
        Self { params: params.limit(first), ended: false }
    }

    /// The next page; none after the last one. A page that is too large is asked for again in a smaller one.
    ///
    /// # Errors
    /// When the API server refuses, or a single object is larger than any may be.
    pub async fn next<K>(&mut self, api: &Api<K>) -> Result<Option<Vec<K>>, kube::Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        while !self.ended {
            match api.list(&self.params).await {
                Ok(page) => {
                    self.params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
                    self.ended = self.params.continue_token.is_none();
                    return Ok(Some(page.items));
                }
                Err(error) => match smaller(self.params.limit.unwrap_or(u32::MAX), &error) {
                    Some(fewer) => self.params.limit = Some(fewer),
                    None => return Err(error),
                },
            }
        }
        Ok(None)
    }
}

/// Whose turn it is to list: some streamed lists at a time, or one in pages.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(usize::try_from(STREAMS).unwrap_or(1))))
    }

    /// Waits for a turn, which lasts until it is dropped.
    pub(super) async fn take(&self, way: Way) -> Option<OwnedSemaphorePermit> {
        let seats = if way == Way::Streamed { 1 } else { STREAMS };
        Arc::clone(&self.0).acquire_many_owned(seats).await.ok()
    }
}

/// A client layer that fails on answers larger than any has to be; watches have no end and no bound.
#[derive(Clone, Copy, Debug)]
pub struct BoundedAnswers;

/// The service of [`BoundedAnswers`].
#[derive(Clone, Debug)]
pub struct Bounded<S>(S);

impl<S> Layer<S> for BoundedAnswers {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded(inner)
    }
}

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: hyper::body::Body + Send + 'static,
{
    type Response = Response<Either<Limited<B>, B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let bound = bound(request.uri().query().unwrap_or_default());
        if let Some(newest) = newest(request.uri()) {
            *request.uri_mut() = newest;
        }
        let answer = self.0.call(request);
        let limited = move |body| match bound {
            Some(bytes) => Either::Left(Limited::new(body, bytes)),
            None => Either::Right(body),
        };
        async move { Ok(answer.await?.map(limited)) }.boxed()
    }
}

/// The most bytes of the answer to a request with this query.
fn bound(query: &str) -> Option<usize> {
    let mut bound = Some(LARGEST);
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("watch", "true")) => return None,
            Some(("limit", objects)) if objects != "1" => bound = Some(LARGEST_PAGE),
            _ => {}
        }
    }
    bound
}

/// kube asks for streamed lists of any age, and an API server that lags behind answers those with old state. Without a
/// version, the request asks for the newest.
fn newest(uri: &Uri) -> Option<Uri> {
    let text = uri.path_and_query()?.as_str();
    let (rest, any_age) = text.rsplit_once('&')?;
    if any_age != "resourceVersion=0" || !rest.contains("&sendInitialEvents=true") {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_str(rest).ok()?);
    Uri::from_parts(parts).ok()
}
