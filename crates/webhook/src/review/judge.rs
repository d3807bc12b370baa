//! The answer to one review: a function of its body, and of what is known of its namespace.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use inject::{NamespaceFacts, Outcome, WorkloadKind};
use serde_json::Value;
use tracing::{debug, error, info};

use super::size;
use super::verdict::{Passed, Verdict};
use super::wire::{self, Malformed, Operation, Request};
use crate::namespaces::Namespaces;

/// Kubectl prints every warning, and an object can have thousands of faults.
const MOST_WARNINGS: usize = 16;

/// Decides about a workload in a namespace.
pub type Inject = dyn Fn(&Value, WorkloadKind, Option<&NamespaceFacts>) -> Outcome + Send + Sync;

/// Answers reviews.
pub struct Judge {
    inject: Box<Inject>,
    namespaces: Namespaces,
}

/// An answer and what became of the review.
pub(crate) struct Judgement {
    /// The body of the response.
    pub(crate) body: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// What there is to say about an object: nothing means that it is admitted as it is.
struct Opinion {
    verdict: Verdict,
    patch: Option<Vec<u8>>,
    warnings: Vec<String>,
}

impl Judge {
    /// Answers as `inject` decides; should it panic, the object is admitted unchanged. No namespace is known.
    pub fn new(inject: Box<Inject>) -> Self {
        Self { inject, namespaces: Namespaces::unknown() }
    }

    /// The same, with what is known of `namespaces`.
    #[must_use]
    pub fn knowing(self, namespaces: Namespaces) -> Self {
        Self { namespaces, ..self }
    }

    /// Injects, with the installation's defaults.
    pub fn with_defaults(defaults: BTreeMap<String, String>) -> Self {
        Self::new(Box::new(move |workload, kind, namespace| inject::inject(workload, kind, namespace, &defaults)))
    }

    /// Answers the review in `body`.
    pub(crate) async fn judge(&self, body: &[u8]) -> Result<Judgement, Malformed> {
        let request = Request::from_body(body)?;
        let found = workload(&request);
        let namespace = match (&found, request.namespace.as_deref()) {
            (Ok(_), Some(name)) => self.namespaces.facts(name).await,
            (Ok(_), None) | (Err(_), _) => None,
        };
        // Nothing in there outlives the call, so nothing half-done can be seen after a panic.
        let opinion = catch_unwind(AssertUnwindSafe(|| self.opinion(found, namespace.as_deref())))
            .unwrap_or_else(|_| Ok(Opinion::panicked()));
        let Opinion { verdict, patch, warnings } = opinion?;
        log(&request, verdict);
        Ok(Judgement { body: wire::admitted(request.uid, patch, warnings)?, verdict })
    }

    fn opinion(
        &self,
        found: Result<(Value, WorkloadKind), Passed>,
        namespace: Option<&NamespaceFacts>,
    ) -> Result<Opinion, serde_json::Error> {
        let (workload, kind) = match found {
            Ok(found) => found,
            Err(passed) => return Ok(Opinion { verdict: Verdict::Passed(passed), patch: None, warnings: Vec::new() }),
        };
        let outcome = (self.inject)(&workload, kind, namespace);
        Ok(Opinion {
            verdict: Verdict::Decided(outcome.decision(), outcome.skip_reason()),
            patch: outcome.patch().map(serde_json::to_vec).transpose()?,
            warnings: few(outcome.warnings()),
        })
    }
}

impl Opinion {
    fn panicked() -> Self {
        Self { verdict: Verdict::Panicked, patch: None, warnings: Vec::new() }
    }
}

/// The workload of a review that is about one.
fn workload(request: &Request<'_>) -> Result<(Value, WorkloadKind), Passed> {
    match request.operation {
        Operation::Create | Operation::Update => {}
        Operation::Other => return Err(Passed::Operation),
    }
    if request.sub_resource.as_ref().is_some_and(|name| !name.is_empty()) {
        return Err(Passed::Subresource);
    }
    let kind = WorkloadKind::of(&request.kind.api_version(), &request.kind.name).ok_or(Passed::Kind)?;
    if request.operation == Operation::Update && !kind.can_change() {
        return Err(Passed::Operation);
    }
    let object = request.object.ok_or(Passed::NoObject)?.get();
    if size::is_too_large(object) {
        return Err(Passed::Unparsable);
    }
    let workload = serde_json::from_str(object).map_err(|_| Passed::Unparsable)?;
    Ok((workload, kind))
}

fn few(mut warnings: Vec<String>) -> Vec<String> {
    if warnings.len() > MOST_WARNINGS {
        let more = warnings.len() - (MOST_WARNINGS - 1);
        warnings.truncate(MOST_WARNINGS - 1);
        warnings.push(format!("evenkeel: and {more} more"));
    }
    warnings
}

/// Names are as the sender wrote them: escaped, for a sender need not be an API server.
fn log(request: &Request<'_>, verdict: Verdict) {
    let Request { name, .. } = request;
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let (decision, reason) = (verdict.decision(), verdict.reason());
    match verdict {
        Verdict::Panicked => {
            error!(?namespace, ?name, "a defect: the review panicked, and the object was admitted unchanged");
        }
        Verdict::Decided(inject::Decision::NotAsked | inject::Decision::Unchanged, _) | Verdict::Passed(_) => {
            debug!(?namespace, ?name, decision, reason, "reviewed");
        }
        Verdict::Decided(..) | Verdict::Refused(_) => info!(?namespace, ?name, decision, reason, "reviewed"),
    }
}

#[cfg(test)]
mod tests {
    use inject::Decision;
    use serde_json::json;

    use super::*;

    fn review(request: &Value) -> Vec<u8> {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
            .to_string()
            .into_bytes()
    }

    fn request() -> Value {
        json!({
            "uid": "u",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "operation": "CREATE",
            "name": "web",
            "namespace": "shop",
            "object": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": [{"name": "app", "ports": [{"containerPort": 80}]}]}}},
            },
        })
    }

    fn answer(judge: &Judge, body: &[u8]) -> (Verdict, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let judgement = runtime.block_on(judge.judge(body)).unwrap();
        let review: Value = serde_json::from_slice(&judgement.body).unwrap();
        assert_eq!(review["response"]["uid"], "u");
        assert_eq!(review["response"]["allowed"], true);
        (judgement.verdict, review["response"].clone())
    }

    #[test]
    fn what_is_no_workload_is_not_looked_at() {
        let judge = Judge::new(Box::new(|_, _, _| panic!("not to be called")));
        for (change, passed) in [
            (json!({"operation": "DELETE", "object": null}), Passed::Operation),
            (json!({"operation": "CONNECT"}), Passed::Operation),
            (json!({"operation": "UPDATE", "kind": {"group": "", "version": "v1", "kind": "Pod"}}), Passed::Operation),
            (json!({"subResource": "scale"}), Passed::Subresource),
            (json!({"kind": {"group": "", "version": "v1", "kind": "ConfigMap"}}), Passed::Kind),
            (json!({"kind": {"group": "apps", "version": "v1beta1", "kind": "Deployment"}}), Passed::Kind),
            (json!({"object": null}), Passed::NoObject),
        ] {
            let mut request = request();
            for (key, value) in change.as_object().unwrap() {
                request[key] = value.clone();
            }
            let (verdict, response) = answer(&judge, &review(&request));
            assert_eq!(verdict, Verdict::Passed(passed), "{change}");
            assert_eq!(response, json!({"uid": "u", "allowed": true}), "{change}");
        }
    }

    #[test]
    fn nesting_without_end_is_admitted() {
        let judge = Judge::with_defaults(BTreeMap::new());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = String::from_utf8(review(&request())).unwrap().replace("80", &deep);
        assert!(body.len() > 200_000);
        assert_eq!(answer(&judge, body.as_bytes()).0, Verdict::Passed(Passed::Unparsable));
    }

    #[test]
    fn more_values_than_any_workload_has_are_admitted() {
        let judge = Judge::new(Box::new(|_, _, _| panic!("not to be called")));
        let many = format!("[{}0]", "[0],".repeat(500_000));
        let body = String::from_utf8(review(&request())).unwrap().replace("80", &many);
        assert_eq!(answer(&judge, body.as_bytes()).0, Verdict::Passed(Passed::Unparsable));
    }

    #[test]
    fn a_panic_admits_the_object_unchanged() {
        let judge = Judge::new(Box::new(|_, _, _| panic!("a defect, on purpose")));
        let (verdict, response) = answer(&judge, &review(&request()));
        assert_eq!(verdict, Verdict::Panicked);
        assert_eq!(response, json!({"uid": "u", "allowed": true}));
    }

    #[test]
    fn defaults_reach_the_decision() {
        let annotated = |annotations: Value| {
            let mut request = request();
            request["object"]["metadata"] = json!({"annotations": annotations});
            review(&request)
        };
        let judge = Judge::with_defaults(BTreeMap::from([("jitter".to_owned(), "99%".to_owned())]));
        let (verdict, response) = answer(&judge, &annotated(json!({"evenkeel.dev/max-requests": "10"})));
        assert_eq!(verdict, Verdict::Decided(Decision::Invalid, None));
        assert!(response["warnings"][0].as_str().unwrap().contains("jitter"), "{response}");
    }

    #[test]
    fn no_flood_of_warnings() {
        let warnings = few((0..1000).map(|n| n.to_string()).collect());
        assert_eq!(warnings.len(), MOST_WARNINGS);
        assert_eq!(warnings.last().unwrap(), "evenkeel: and 985 more");
        assert_eq!(few(vec!["one".into()]), ["one"]);
    }
}
