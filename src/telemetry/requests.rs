//! Counts what this process asks of the API server, by verb and answer, and how much it is answered to lists.
//!
//! In: requests on their way, and their answers. Out: the same, counted. Forbidden here: changing one.

use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::MapFrame;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use kube::client::Body;
use tower::{Layer, Service};

use super::metrics::Metrics;

/// A client layer that counts requests.
#[derive(Clone)]
pub struct CountedRequests(pub Metrics);

/// The service of [`CountedRequests`].
#[derive(Clone)]
pub struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Layer<S> for CountedRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, metrics: self.0.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    type Response = Response<Measured<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Measured<B>>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let verb = verb(request.method(), request.uri().query().unwrap_or_default());
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            metrics.requested(verb, answer.as_ref().map_or("error", |answer| code(answer.status())));
            let measure: Measure = if verb == "list" {
                Box::new(move |part| {
                    metrics.listed(part.data_ref().map_or(0, Bytes::len));
                    part
                })
            } else {
                Box::new(|part| part)
            };
            answer.map(|answer| answer.map(|body| body.map_frame(measure)))
        }
        .boxed()
    }
}

type Measure = Box<dyn FnMut(Frame<Bytes>) -> Frame<Bytes> + Send>;

/// The body of an answer, part for part as it comes.
pub type Measured<B> = MapFrame<B, Measure>;

/// The verbs of Kubernetes that a request may have here.
pub const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

/// What an answer counts as; error: there was none.
pub const CODES: [&str; 9] = ["2xx", "3xx", "403", "404", "409", "422", "429", "4xx", "5xx"];

fn verb(method: &Method, query: &str) -> &'static str {
    let asks = |wanted: &str| query.split('&').any(|part| part.starts_with(wanted));
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ if asks("watch=true") => "watch",
        // Every list of this client is in pages.
        _ if asks("limit=") => "list",
        _ => "get",
    }
}

fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "403",
        404 => "404",
        409 => "409",
        422 => "422",
        429 => "429",
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_of_lists_alone() {
        let metrics = Metrics::default();
        let answer = tower::service_fn(async |_: Request<Body>| {
            Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(Bytes::from_static(
                b"12345",
            ))))
        });
        let mut service = CountedRequests(metrics.clone()).layer(answer);
        for path in [
            "/api/v1/pods?limit=500",
            "/api/v1/pods?limit=500&continue=x",
            "/api/v1/pods?watch=true",
            "/readyz",
        ] {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            let body = service.call(request).await.expect("an answer").into_body();
            assert_eq!(body.collect().await.expect("a body").to_bytes(), "12345", "{path}");
        }
        assert!(metrics.render().contains("\npoolbudget_list_bytes_total 10\n"), "{}", metrics.render());
    }

    #[test]
    fn requests_are_counted_by_verb_and_answer() {
        let cases = [
            (Method::GET, "", "get"),
            (Method::GET, "limit=100&continue=x", "list"),
            (Method::GET, "labelSelector=a&watch=true&limit=1", "watch"),
            (Method::POST, "dryRun=All", "create"),
            (Method::PUT, "", "update"),
            (Method::PATCH, "", "patch"),
            (Method::DELETE, "", "delete"),
        ];
        for (method, query, expected) in cases {
            assert_eq!(verb(&method, query), expected);
            assert!(VERBS.contains(&expected));
        }
        let codes = [200, 201, 301, 400, 401, 403, 404, 409, 422, 429, 500, 503].map(|status| {
            let code = code(StatusCode::from_u16(status).expect("a status"));
            assert!(CODES.contains(&code));
            code
        });
        assert_eq!(
            codes,
            ["2xx", "2xx", "3xx", "4xx", "4xx", "403", "404", "409", "422", "429", "5xx", "5xx"]
        );
    }
}
