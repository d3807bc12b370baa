//! The response to one review: a function of its body and of what is known of its namespace.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use inject::{NamespaceFacts, Outcome, Service, ServiceNote, WorkloadKind};
use serde_json::Value;
use tracing::{debug, error, info, warn};

use super::wire::{self, Malformed, Operation, Request};
use crate::installation::CurrentInstallation;
use crate::namespaces::Namespaces;
use crate::object::ObjectText;
use crate::parse_budget::{ParseBudget, ParseError};
use crate::services::Services;
use crate::verdict::{Passed, Verdict};

/// kubectl prints every warning, and an object can have thousands of faults.
const MOST_WARNINGS: usize = 16;
/// The most memory, in bytes, that a parsed object may take. A Deployment of 1 MiB that consists of variables takes as
/// much.
const LARGEST_OBJECT: usize = 24 << 20;
/// The longest name that an object can have. Senders other than API servers may send a longer one.
const LONGEST_NAME: usize = 253;

/// Decides what happens to a workload in a namespace.
pub type Inject = dyn Fn(&Value, WorkloadKind, Option<&NamespaceFacts>) -> Outcome + Send + Sync;

/// Handles reviews.
pub struct Handler {
    inject: Box<Inject>,
    namespaces: Namespaces,
    services: Services,
    budget: ParseBudget,
}

/// The response to a review, and its verdict.
pub(crate) struct Reviewed {
    /// The body of the response.
    pub(crate) body: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// How an object is admitted: with a patch, or unchanged.
struct Admission {
    verdict: Verdict,
    patch: Option<Vec<u8>>,
    warnings: Vec<String>,
}

impl Handler {
    /// Returns a handler that decides by `inject`. If `inject` panics, the object is admitted unchanged. Nothing is
    /// known of namespaces.
    pub fn new(inject: Box<Inject>) -> Self {
        Self {
            inject,
            namespaces: Namespaces::unknown(),
            services: Services::default(),
            budget: ParseBudget::new(LARGEST_OBJECT),
        }
    }

    /// Returns the same handler, which looks namespaces up in `namespaces`.
    #[must_use]
    pub fn with_namespaces(self, namespaces: Namespaces) -> Self {
        Self { namespaces, ..self }
    }

    /// Returns the same handler, which warns of `services` that bypass the proxy.
    #[must_use]
    pub(crate) fn with_services(self, services: Services) -> Self {
        Self { services, ..self }
    }

    /// Returns a handler that injects by what `installation` has at the time of a review.
    pub fn injecting(installation: CurrentInstallation) -> Self {
        Self::new(Box::new(move |workload, kind, namespace| {
            inject::inject(workload, kind, namespace, &installation.now())
        }))
    }

    /// Returns a handler that injects with these defaults of an installation.
    pub fn with_defaults(defaults: BTreeMap<String, String>) -> Self {
        Self::injecting(CurrentInstallation::new(defaults))
    }

    /// Returns the response to the review in `body`.
    pub(crate) async fn handle(&self, body: &[u8]) -> Result<Reviewed, Malformed> {
        let request = Request::from_body(body)?;
        let Admission { verdict, patch, warnings } = match workload(&request) {
            Ok((text, kind)) => self.admission(text, kind, request.namespace.as_deref()).await?,
            Err(passed) => Admission::passed(passed),
        };
        log(&request, verdict);
        Ok(Reviewed { body: wire::admitted(request.uid, patch, warnings)?, verdict })
    }

    async fn admission(
        &self,
        object: &str,
        kind: WorkloadKind,
        namespace: Option<&str>,
    ) -> Result<Admission, serde_json::Error> {
        let services = namespace.map(|name| self.services.of(name)).unwrap_or_default();
        // The namespace is read before the object is parsed, so that no parsed object waits for it.
        let namespace = match namespace {
            Some(name) => self.namespaces.get(name).await,
            None => None,
        };
        let namespace = namespace.as_deref().map(|known| &known.facts);
        let object = ObjectText::of(object.as_bytes());
        // No state outlives the call, so a panic leaves nothing half-changed.
        let decide = |workload: &Value| {
            catch_unwind(AssertUnwindSafe(|| self.decide(workload, kind, namespace, &services)))
                .unwrap_or_else(|_| Ok(Admission::panicked()))
        };
        self.budget.with_parsed(&object, decide).await.unwrap_or_else(|error| Ok(Admission::passed(error.into())))
    }

    fn decide(
        &self,
        workload: &Value,
        kind: WorkloadKind,
        namespace: Option<&NamespaceFacts>,
        services: &[Arc<Service>],
    ) -> Result<Admission, serde_json::Error> {
        let outcome = (self.inject)(workload, kind, namespace);
        let mut warnings = outcome.warnings();
        if let Outcome::Inject { report, .. } = &outcome {
            warnings.extend(report.service_notes(services.iter().map(Arc::as_ref)).iter().map(ServiceNote::warning));
        }
        Ok(Admission {
            verdict: Verdict::Decided(outcome.decision(), outcome.skip_reason()),
            patch: outcome.patch().map(serde_json::to_vec).transpose()?,
            warnings: truncated(warnings),
        })
    }
}

impl Admission {
    fn panicked() -> Self {
        Self { verdict: Verdict::Panicked, patch: None, warnings: Vec::new() }
    }

    fn passed(passed: Passed) -> Self {
        let warnings = passed.warning().map(|warning| format!("evenkeel: {warning}")).into_iter().collect();
        Self { verdict: Verdict::Passed(passed), patch: None, warnings }
    }
}

impl From<ParseError> for Passed {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::TooLarge(_) | ParseError::TooDeep => Self::Unparsable,
            ParseError::Busy => Self::Busy,
        }
    }
}

/// Returns the workload of a review, or why the review has none.
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

fn truncated(mut warnings: Vec<String>) -> Vec<String> {
    if warnings.len() > MOST_WARNINGS {
        let more = warnings.len() - (MOST_WARNINGS - 1);
        warnings.truncate(MOST_WARNINGS - 1);
        warnings.push(format!("evenkeel: and {more} more"));
    }
    warnings
}

/// Logs the verdict. Names are escaped and cut, because the sender need not be an API server.
fn log(request: &Request<'_>, verdict: Verdict) {
    let name = cut(&request.name);
    let namespace = cut(request.namespace.as_deref().unwrap_or_default());
    let (decision, reason) = (verdict.decision(), verdict.reason());
    match verdict {
        Verdict::Panicked => {
            error!(?namespace, ?name, "the webhook panicked (a bug); the object was admitted unchanged");
        }
        Verdict::Passed(passed) if passed.warning().is_some() => {
            warn!(?namespace, ?name, reason, "admitted unchanged, without looking at the object");
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

    fn answer(handler: &Handler, body: &[u8]) -> (Verdict, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let reviewed = runtime.block_on(handler.handle(body)).unwrap();
        let review: Value = serde_json::from_slice(&reviewed.body).unwrap();
        assert_eq!(review["response"]["uid"], "u");
        assert_eq!(review["response"]["allowed"], true);
        (reviewed.verdict, review["response"].clone())
    }

    #[test]
    fn objects_other_than_workloads_are_admitted() {
        let handler = Handler::new(Box::new(|_, _, _| panic!("not to be called")));
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
            let (verdict, response) = answer(&handler, &review(&request));
            assert_eq!(verdict, Verdict::Passed(passed), "{change}");
            assert_eq!(response, json!({"uid": "u", "allowed": true}), "{change}");
        }
    }

    #[test]
    fn an_object_that_is_nested_too_deep_is_admitted() {
        let handler = Handler::with_defaults(BTreeMap::new());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = String::from_utf8(review(&request())).unwrap().replace("80", &deep);
        assert!(body.len() > 200_000);
        assert_eq!(answer(&handler, body.as_bytes()).0, Verdict::Passed(Passed::Unparsable));
    }

    #[test]
    fn an_object_admitted_for_lack_of_resources_gets_a_warning() {
        for passed in Passed::ALL {
            let admission = Admission::passed(*passed);
            let is_asked_for = matches!(passed, Passed::Unparsable | Passed::Busy);
            assert_eq!(admission.warnings.len(), usize::from(is_asked_for), "{passed:?}");
            assert!(
                admission.warnings.iter().all(|warning| warning.chars().count() <= 120),
                "{:?}",
                admission.warnings
            );
        }
    }

    #[test]
    fn names_are_truncated_for_the_log() {
        assert_eq!((cut("web"), cut(&"é".repeat(1000)).chars().count()), ("web", LONGEST_NAME));
    }

    #[test]
    fn a_hundred_thousand_values_are_parsed() {
        let handler = Handler::with_defaults(BTreeMap::new());
        let many = format!("80}}], \"args\": [{}\"\"], \"x\": [{{\"a\":0", "\"\",".repeat(99_000));
        let body = String::from_utf8(review(&request())).unwrap().replace("80", &many);
        assert_eq!(answer(&handler, body.as_bytes()).0, Verdict::Decided(Decision::NotAsked, None));
    }

    #[test]
    fn an_object_with_too_many_values_is_admitted() {
        let handler = Handler::new(Box::new(|_, _, _| panic!("not to be called")));
        let many = format!("[{}0]", "[0],".repeat(500_000));
        let body = String::from_utf8(review(&request())).unwrap().replace("80", &many);
        assert_eq!(answer(&handler, body.as_bytes()).0, Verdict::Passed(Passed::Unparsable));
    }

    #[test]
    fn a_panic_admits_the_object_unchanged() {
        let handler = Handler::new(Box::new(|_, _, _| panic!("a bug, on purpose")));
        let (verdict, response) = answer(&handler, &review(&request()));
        assert_eq!(verdict, Verdict::Panicked);
        assert_eq!(response, json!({"uid": "u", "allowed": true}));
    }

    #[test]
    fn defaults_of_the_installation_apply_to_the_decision() {
        let annotated = |annotations: Value| {
            let mut request = request();
            request["object"]["metadata"] = json!({"annotations": annotations});
            review(&request)
        };
        let handler = Handler::with_defaults(BTreeMap::from([("jitter".to_owned(), "99%".to_owned())]));
        let (verdict, response) = answer(&handler, &annotated(json!({"evenkeel.dev/max-requests": "10"})));
        assert_eq!(verdict, Verdict::Decided(Decision::Invalid, None));
        assert!(response["warnings"][0].as_str().unwrap().contains("jitter"), "{response}");
    }

    #[test]
    fn the_number_of_warnings_is_bounded() {
        let warnings = truncated((0..1000).map(|n| n.to_string()).collect());
        assert_eq!(warnings.len(), MOST_WARNINGS);
        assert_eq!(warnings.last().unwrap(), "evenkeel: and 985 more");
        assert_eq!(truncated(vec!["one".into()]), ["one"]);
    }
}
