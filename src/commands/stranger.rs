//! Whether the policies of the cluster know this process as the operator.
//!
//! In: a client. Out: a sentence for a process that would take the Lease but could not open any gate. Forbidden here: a
//! right that the operator does not need. Its ServiceAccount may not read policies, so it is not asked; a person who
//! runs it by hand mostly may.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube::{Client, Error};

use crate::admission::guard;

/// How long to wait for a cluster that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The prefix of ServiceAccount names.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Why this process could grant nothing; none if that is not known.
pub(super) async fn refused(client: &Client) -> Option<String> {
    match tokio::time::timeout(PATIENCE, stranger(client)).await {
        Ok(Ok(user)) => user.map(|user| {
            format!(
                "{user} is not the operator: the policy {} of this cluster lets only the operator's ServiceAccount open gates, so \
                 this process could grant nothing and would block the replicas that can; use a kubeconfig with the token of that \
                 ServiceAccount (kubectl create token poolbudget -n poolbudget-system)",
                guard::NAME
            )
        }),
        Ok(Err(error)) => {
            tracing::debug!(%error, "not known whether the policies let this user open gates");
            None
        }
        Err(_) => None,
    }
}

/// The name of this user, if the policy exists and does not let the user open gates.
async fn stranger(client: &Client) -> Result<Option<String>, Error> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    let Some(user) = user.filter(|user| !user.starts_with(SERVICE_ACCOUNT)) else { return Ok(None) };
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let policy = policies.get_opt(guard::NAME).await?;
    Ok(policy.filter(|policy| !guard::lets(policy, &user)).map(|_| user))
}

#[cfg(test)]
mod tests {
    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower_test::mock::pair;

    use super::*;
    use crate::admission::{Settings, objects};

    fn policy() -> Value {
        let settings = Settings::for_service_account("poolbudget-system", "poolbudget");
        let objects =
            objects(&settings).into_iter().map(|object| serde_json::to_value(object).expect("JSON"));
        let mut policies = objects.filter(|object| {
            object["metadata"]["name"] == guard::NAME && object["kind"] == "ValidatingAdmissionPolicy"
        });
        policies.next().expect("the guard")
    }

    /// What is said to a user, if the server answers so to a request for the policy; and what was requested.
    async fn said(user: &str, code: u16, policy: Value) -> (Option<String>, Vec<String>) {
        let (service, mut server) = pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let user = user.to_owned();
        let answers = tokio::spawn(async move {
            let mut asked = Vec::new();
            while let Some((request, send)) = server.next_request().await {
                asked.push(request.uri().path().to_owned());
                let (code, body) = if request.uri().path().ends_with("selfsubjectreviews") {
                    (201, json!({"metadata": {}, "status": {"userInfo": {"username": user}}}))
                } else {
                    (code, policy.clone())
                };
                let body = Body::from(serde_json::to_vec(&body).expect("JSON"));
                let code = StatusCode::from_u16(code).expect("a code");
                send.send_response(Response::builder().status(code).body(body).expect("a response"));
            }
            asked
        });
        let told = refused(&client).await;
        drop(client);
        (told, answers.await.expect("what was asked"))
    }

    #[tokio::test]
    async fn a_user_whom_the_policy_does_not_name_is_told_before_anything_is_done() {
        let (told, _) = said("admin", 200, policy()).await;
        let told = told.expect("a sentence");
        assert!(told.starts_with("admin is not the operator: the policy guard.poolbudget.dev"), "{told}");
    }

    #[tokio::test]
    async fn where_it_is_not_known_nobody_is_kept_away() {
        let failure = |code: u16| json!({"kind": "Status", "status": "Failure", "code": code, "reason": "r", "message": "m"});
        for (user, code, answer) in
            [("admin", 404, failure(404)), ("admin", 403, failure(403)), ("admin", 500, failure(500))]
        {
            assert_eq!(said(user, code, answer).await.0, None, "{code}");
        }
        let named =
            policy().to_string().replace("system:serviceaccount:poolbudget-system:poolbudget", "admin");
        assert_eq!(said("admin", 200, serde_json::from_str(&named).expect("JSON")).await.0, None);
    }

    #[tokio::test]
    async fn a_service_account_asks_for_no_policy() {
        let (told, asked) = said("system:serviceaccount:poolbudget-system:poolbudget", 200, policy()).await;
        assert_eq!((told, asked.len()), (None, 1));
    }
}
