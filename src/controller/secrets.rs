//! One value of one Secret, read when it is needed and let go at once.
//!
//! In: the name of a Secret and a key. Out: the bytes, or a doubt that says what to do. Nothing is cached or watched, and
//! what is held here is overwritten before it is freed; the buffers of the HTTP client are not. Forbidden here: what a
//! value means.

use std::collections::HashMap;
use std::time::Duration;

use http::Request;
use k8s_openapi::ByteString;
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::SecretKeyRef;
use crate::database::{Class, Doubt};

/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of a value: a connection string has hundreds, a bundle of many certificates a hundred thousand.
const MOST: usize = 256 << 10;

/// The namespace that `grant-secret` takes for that of the operator.
const USUAL_NAMESPACE: &str = "poolbudget-system";

/// Reads Secrets.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    /// What `grant-secret` has to be told of the operator.
    operator: String,
}

/// What is parsed of a Secret: its values stay as they were sent.
#[derive(Deserialize)]
struct View<'a> {
    #[serde(borrow, default)]
    data: Option<HashMap<&'a str, &'a RawValue>>,
}

impl Secrets {
    /// Reads as this client; the operator runs in this namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        let is_usual = namespace == USUAL_NAMESPACE;
        let operator = if is_usual { String::new() } else { format!(" --operator-namespace {namespace}") };
        Self { client, operator }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When it may not be read, is not there, or is too large.
    pub async fn value(&self, namespace: &str, of: &SecretKeyRef) -> Result<Zeroizing<Vec<u8>>, Doubt> {
        let SecretKeyRef { name, key } = of;
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let invalid = |why: &str| Doubt::new(Class::SecretInvalid, format!("Secret/{name} {why}"));
        let request = Request::get(path).body(Vec::new()).map_err(|_| invalid("has no valid name"))?;
        let asked = tokio::time::timeout(PATIENCE, self.client.request_text(request)).await;
        let text = match asked {
            Ok(Ok(text)) => Zeroizing::new(text),
            Ok(Err(error)) => return Err(self.refused(namespace, name, error)),
            Err(_) => return Err(unreachable("no answer in time")),
        };
        // The text of a parser's error may quote what it has read.
        let view: View<'_> =
            serde_json::from_str(&text).map_err(|_| unreachable("an answer that is no Secret"))?;
        let Some(value) = view.data.as_ref().and_then(|data| data.get(key.as_str())) else {
            return Err(invalid(&format!("has no key {key}")));
        };
        let value: ByteString =
            serde_json::from_str(value.get()).map_err(|_| invalid("cannot be decoded"))?;
        let value = Zeroizing::new(value.0);
        if value.len() > MOST {
            return Err(invalid(&format!("has {} bytes in {key}; at most {MOST} are read", value.len())));
        }
        Ok(value)
    }

    fn refused(&self, namespace: &str, name: &str, error: kube::Error) -> Doubt {
        match error {
            kube::Error::Api(status) if status.code == 403 => Doubt::new(
                Class::Forbidden,
                format!(
                    "poolbudget may not read Secret/{name}: run kubectl poolbudget grant-secret {name} -n {namespace}{}",
                    self.operator
                ),
            ),
            kube::Error::Api(status) if status.code == 404 => Doubt::new(
                Class::SecretInvalid,
                format!("there is no Secret/{name} in namespace {namespace}"),
            ),
            kube::Error::Api(status) => unreachable(&format!("HTTP status {}", status.code)),
            _ => unreachable("no answer"),
        }
    }
}

fn unreachable(why: &str) -> Doubt {
    Doubt::new(Class::Unreachable, format!("the API server gave {why} when the Secret was read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::client::Body;
    use serde_json::{Value, json};

    /// What is read of a Secret when the API server answers this.
    async fn read(code: u16, answer: &Value) -> Result<Vec<u8>, Doubt> {
        let (service, mut handle) = tower_test::mock::pair::<http::Request<Body>, http::Response<Body>>();
        let text = answer.to_string();
        let server = async move {
            let (request, send) = handle.next_request().await.expect("a request");
            assert_eq!(request.uri().path(), "/api/v1/namespaces/shop/secrets/db");
            send.send_response(
                http::Response::builder()
                    .status(code)
                    .body(Body::from(text.into_bytes()))
                    .expect("an answer"),
            );
        };
        let secrets = Secrets::new(Client::new(service, "shop"), "ops");
        let of = SecretKeyRef { name: "db".to_owned(), key: "url".to_owned() };
        let (value, ()) = tokio::join!(secrets.value("shop", &of), server);
        value.map(|value| value.to_vec())
    }

    fn status(code: u16) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "x", "message": "y"})
    }

    #[tokio::test]
    async fn one_value_is_read_and_the_others_are_left_alone() {
        // "postgres://app" and something that is no base64.
        let secret = json!({"data": {"url": "cG9zdGdyZXM6Ly9hcHA=", "other": "%%%"}});
        assert_eq!(read(200, &secret).await, Ok(b"postgres://app".to_vec()));
    }

    #[tokio::test]
    async fn every_fault_says_what_to_do_and_nothing_of_the_secret() {
        let large = "A".repeat(4 * MOST);
        for (code, answer, class, said) in [
            (
                403,
                status(403),
                Class::Forbidden,
                "run kubectl poolbudget grant-secret db -n shop --operator-namespace ops",
            ),
            (404, status(404), Class::SecretInvalid, "there is no Secret/db in namespace shop"),
            (500, status(500), Class::Unreachable, "HTTP status 500"),
            (200, json!({"data": {"other": "aHVudGVyMg=="}}), Class::SecretInvalid, "has no key url"),
            (200, json!({}), Class::SecretInvalid, "has no key url"),
            (200, json!({"data": null}), Class::SecretInvalid, "has no key url"),
            (200, json!({"data": {"url": "hunter2%"}}), Class::SecretInvalid, "cannot be decoded"),
            (200, json!({"data": {"url": 7}}), Class::SecretInvalid, "cannot be decoded"),
            (200, json!({"data": {"url": large}}), Class::SecretInvalid, "at most 262144 are read"),
            (200, json!(["hunter2"]), Class::Unreachable, "no Secret"),
        ] {
            let doubt = read(code, &answer).await.expect_err(said);
            assert_eq!(doubt.class, class, "{doubt}");
            assert!(doubt.sentence.contains(said) && !doubt.sentence.contains("hunter2"), "{doubt}");
        }
    }
}
