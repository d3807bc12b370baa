//! The answer to one review: a function of its body, and of what is known of its namespace.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use inject::{NamespaceFacts, Outcome, Service, ServiceNote, WorkloadKind};
use serde_json::Value;
use tracing::{debug, error, info, warn};

use super::wire::{self, Malformed, Operation, Request};
use crate::desk::{Desk, Unseen};
use crate::installation::CurrentInstallation;
use crate::namespaces::Namespaces;
use crate::object::ObjectText;
use crate::services::Services;
use crate::verdict::{Passed, Verdict};

/// Kubectl prints every warning, and an object can have thousands of faults.
const MOST_WARNINGS: usize = 16;
/// What an object may take once it is parsed, in bytes. A Deployment of 1 MiB that is all variables takes this much.
const LARGEST: usize = 24 << 20;
/// The longest name that an object can have; the one in a review need not be one.
const LONGEST_NAME: usize = 253;

/// Decides about a workload in a namespace.
pub type Inject = dyn Fn(&Value, WorkloadKind, Option<&NamespaceFacts>) -> Outcome + Send + Sync;

/// Answers reviews.
pub struct Judge {
    inject: Box<Inject>,
    namespaces: Namespaces,
    services: Services,
    desk: Desk,
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
        Self { inject, namespaces: Namespaces::unknown(), services: Services::default(), desk: Desk::new(LARGEST) }
    }

    /// The same, with what is known of `namespaces`.
    #[must_use]
    pub fn knowing(self, namespaces: Namespaces) -> Self {
        Self { namespaces, ..self }
    }

    /// The same, with a warning of `services` that lead past the proxy.
    #[must_use]
    pub(crate) fn warning_of(self, services: Services) -> Self {
        Self { services, ..self }
    }

    /// Injects what the installation gives.
    pub fn of(installation: CurrentInstallation) -> Self {
        Self::new(Box::new(move |workload, kind, namespace| {
            inject::inject(workload, kind, namespace, &installation.now())
        }))
    }

    /// Injects, with the installation's defaults.
    pub fn with_defaults(defaults: BTreeMap<String, String>) -> Self {
        Self::of(CurrentInstallation::new(defaults))
    }

    /// Answers the review in `body`.
    pub(crate) async fn judge(&self, body: &[u8]) -> Result<Judgement, Malformed> {
        let request = Request::from_body(body)?;
        let Opinion { verdict, patch, warnings } = match workload(&request) {
            Ok((text, kind)) => self.opinion(text, kind, request.namespace.as_deref()).await?,
            Err(passed) => Opinion::passed(passed),
        };
        log(&request, verdict);
        Ok(Judgement { body: wire::admitted(request.uid, patch, warnings)?, verdict })
    }

    async fn opinion(
        &self,
        object: &str,
        kind: WorkloadKind,
        namespace: Option<&str>,
    ) -> Result<Opinion, serde_json::Error> {
        let services = namespace.map(|name| self.services.of(name)).unwrap_or_default();
        // Before the object is parsed, so that nothing large waits for it.
        let namespace = match namespace {
            Some(name) => self.namespaces.get(name).await,
            None => None,
        };
        let namespace = namespace.as_deref().map(|known| &known.facts);
        let object = ObjectText::of(object.as_bytes());
        // Nothing in there outlives the call, so nothing half-done can be seen after a panic.
        let look = |workload: &Value| {
            catch_unwind(AssertUnwindSafe(|| self.look(workload, kind, namespace, &services)))
                .unwrap_or_else(|_| Ok(Opinion::panicked()))
        };
        self.desk.look_at(&object, look).await.unwrap_or_else(|unseen| Ok(Opinion::passed(unseen.into())))
    }

    fn look(
        &self,
        workload: &Value,
        kind: WorkloadKind,
        namespace: Option<&NamespaceFacts>,
        services: &[Arc<Service>],
    ) -> Result<Opinion, serde_json::Error> {
        let outcome = (self.inject)(workload, kind, namespace);
        let mut warnings = outcome.warnings();
        if let Outcome::Inject { report, .. } = &outcome {
            warnings.extend(report.service_notes(services.iter().map(Arc::as_ref)).iter().map(ServiceNote::warning));
        }
        Ok(Opinion {
            verdict: Verdict::Decided(outcome.decision(), outcome.skip_reason()),
            patch: outcome.patch().map(serde_json::to_vec).transpose()?,
            warnings: few(warnings),
        })
    }
}

impl Opinion {
    fn panicked() -> Self {
        Self { verdict: Verdict::Panicked, patch: None, warnings: Vec::new() }
    }

    fn passed(passed: Passed) -> Self {
        let warnings = passed.warning().map(|warning| format!("evenkeel: {warning}")).into_iter().collect();
        Self { verdict: Verdict::Passed(passed), patch: None, warnings }
    }
}

impl From<Unseen> for Passed {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::TooLarge(_) | Unseen::TooDeep => Self::Unparsable,
            Unseen::Busy => Self::Busy,
        }
    }
}

/// The workload of a review that is about one.
fn workload<'a>(request: &Request<'a>) -> Result<(&'a str, WorkloadKind), Passed> {
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
    Ok((request.object.ok_or(Passed::NoObject)?.get(), kind))
}

fn few(mut warnings: Vec<String>) -> Vec<String> {
    if warnings.len() > MOST_WARNINGS {
        let more = warnings.len() - (MOST_WARNINGS - 1);
        warnings.truncate(MOST_WARNINGS - 1);
        warnings.push(format!("evenkeel: and {more} more"));
    }
    warnings
}

/// Names are as the sender wrote them: escaped and cut, for a sender need not be an API server.
fn log(request: &Request<'_>, verdict: Verdict) {
    let name = cut(&request.name);
    let namespace = cut(request.namespace.as_deref().unwrap_or_default());
    let (decision, reason) = (verdict.decision(), verdict.reason());
    match verdict {
        Verdict::Panicked => {
            error!(?namespace, ?name, "a defect: the review panicked, and the object was admitted unchanged");
        }
        Verdict::Passed(passed) if passed.warning().is_some() => {
            warn!(?namespace, ?name, reason, "not looked at, and admitted as it is");
        }
        Verdict::Decided(inject::Decision::NotAsked | inject::Decision::Unchanged, _) | Verdict::Passed(_) => {
            debug!(?namespace, ?name, decision, reason, "reviewed");
        }
        Verdict::Decided(..) | Verdict::Refused(_) => info!(?namespace, ?name, decision, reason, "reviewed"),
    }
}

fn cut(name: &str) -> &str {
    name.char_indices().nth(LONGEST_NAME).map_or(name, |(at, _)| &name[..at])
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
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
    fn what_is_not_looked_at_gets_a_warning() {
        for passed in Passed::ALL {
            let opinion = Opinion::passed(*passed);
            let is_asked_for = matches!(passed, Passed::Unparsable | Passed::Busy);
            assert_eq!(opinion.warnings.len(), usize::from(is_asked_for), "{passed:?}");
            assert!(opinion.warnings.iter().all(|warning| warning.chars().count() <= 120), "{:?}", opinion.warnings);
        }
    }

    #[test]
    fn names_are_cut_for_the_log() {
        assert_eq!((cut("web"), cut(&"é".repeat(1000)).chars().count()), ("web", LONGEST_NAME));
    }

    #[test]
    fn a_hundred_thousand_values_are_looked_at() {
        let judge = Judge::with_defaults(BTreeMap::new());
        let many = format!("80}}], \"args\": [{}\"\"], \"x\": [{{\"a\":0", "\"\",".repeat(99_000));
        let body = String::from_utf8(review(&request())).unwrap().replace("80", &many);
        assert_eq!(answer(&judge, body.as_bytes()).0, Verdict::Decided(Decision::NotAsked, None));
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
