//! Checks whether the proxy is, or would be, injected.

use inject::{Note, Outcome, Report, SkipReason};
use settings::{Annotation, Interception};

use super::super::finding::{Finding, FindingId};
use super::super::objects::Objects;
use super::super::scope::{OPT_OUT, Scope};
use super::super::workload::Workload;

/// Returns whether a workload has the proxy, or why not, and what its author should know.
pub(super) fn injection(workload: &Workload, objects: &Objects, scope: &Scope) -> Vec<Finding> {
    if !workload.has_proxy && workload.asks() {
        let unasked = opted_out(workload, objects, scope).or_else(|| kind(workload, scope));
        if unasked.is_some() {
            return unasked.into_iter().collect();
        }
    }
    match &workload.outcome {
        Outcome::Inject { report, .. } => stored(workload, scope)
            .map_or_else(|| vec![injected(workload, report, scope)], |finding| vec![finding])
            .into_iter()
            .chain(report.notes.iter().filter_map(|note| noted(note, scope)))
            .collect(),
        Outcome::Unchanged { report } => {
            let notes = report.notes.iter().filter_map(|note| noted(note, scope));
            [injected(workload, report, scope)].into_iter().chain(notes).collect()
        }
        Outcome::Skip { reason, .. } => vec![skipped(*reason)],
        Outcome::Invalid { faults, .. } => {
            let said = FindingId::InvalidAnnotations.says("annotations have faults, so nothing is injected or changed");
            vec![faults.iter().fold(said, |said, fault| said.detail(fault.to_string()))]
        }
        Outcome::Remove { .. } => vec![left_over(workload)],
        Outcome::NotAsked => no_opt_in(workload).into_iter().collect(),
        Outcome::Owned | Outcome::Unreadable(_) => Vec::new(),
    }
}

fn opted_out(workload: &Workload, objects: &Objects, scope: &Scope) -> Option<Finding> {
    let namespace = &workload.name.namespace;
    let why = scope.opted_out(namespace, objects.namespaces.get(namespace))?;
    let said = FindingId::NamespaceOptedOut
        .says(format!("the webhook does not review workloads of the namespace {namespace}: {why}"));
    Some(if why.contains(OPT_OUT.0) {
        said.fix("remove the label, and restart the workload")
            .command(format!("kubectl label namespace {namespace} {}-", OPT_OUT.0))
    } else {
        said.fix("change the chart's namespaces.matchLabels or namespaces.excluded, or the labels of the namespace")
    })
}

/// The kinds that the chart has reviewed by default are known without a cluster.
fn kind(workload: &Workload, scope: &Scope) -> Option<Finding> {
    let kind = workload.kind.name();
    let said = match &scope.kinds {
        Some(kinds) if !kinds.contains(&workload.kind) => {
            FindingId::KindNotReviewed.says(format!("the webhook does not review the kind {kind}"))
        }
        None if !scope.is_live && kind != "Deployment" => {
            let said = format!("the webhook reviews the kind {kind} only if webhook.kinds of the chart has it");
            FindingId::KindNotReviewed.says(said).lowered()
        }
        Some(_) | None => return None,
    };
    Some(said.fix(format!("--set 'webhook.kinds={{Deployment,{kind}}}' when the chart is installed")))
}

/// In a cluster, an injection that is still to be done has been missed.
fn stored(workload: &Workload, scope: &Scope) -> Option<Finding> {
    let restart = format!("kubectl rollout restart {} {}", workload.name, workload.in_namespace());
    if !scope.is_live {
        return None;
    }
    if !workload.has_proxy {
        let said = "the pod template has no proxy: its last change was not reviewed";
        let said = FindingId::NotReviewed.says(said).detail("scaling is not reviewed, so it does not inject");
        return Some(said.fix("change the workload once, or restart it").command(restart));
    }
    scope.installation_is_known.then(|| {
        let said = "the injected proxy does not match the annotations and the installation; the next change updates it";
        FindingId::InjectionOutdated.says(said).fix("restart the workload").command(restart)
    })
}

fn injected(workload: &Workload, report: &Report, scope: &Scope) -> Finding {
    let would = if workload.has_proxy || scope.is_live { "the proxy is" } else { "the proxy would be" };
    let ports: Vec<String> = report.ports.iter().map(|port| port_name(workload, *port)).collect();
    let how = match report.interception {
        Interception::Redirect => "redirect",
        Interception::NamedPort => "named-port",
    };
    let drain = report.drain_timeout;
    let said = format!("{would} injected: ports {} by {how}, drain up to {drain}", ports.join(" "));
    // Those that say why all is well are said here.
    let why = report.notes.iter().filter(|note| explains(note));
    why.fold(FindingId::Injected.says(said), |said, note| said.detail(note.to_string()))
}

fn port_name(workload: &Workload, number: u16) -> String {
    let mut names = workload.ports().filter(|port| port.container_port == i32::from(number));
    names.find_map(|port| port.name.as_ref()).map_or_else(|| number.to_string(), |name| format!("{name}({number})"))
}

/// Returns whether a note says how, and not that something is amiss.
const fn explains(note: &Note) -> bool {
    match note {
        Note::Fitted { .. } | Note::NamedPortChosen { .. } | Note::NamedPortInSandbox | Note::NamedPortOnOpenShift => {
            true
        }
        // The Services themselves are looked at.
        Note::ByNameAlone
        | Note::DrainCut { .. }
        | Note::OwnHook { .. }
        | Note::NotGuaranteed
        | Note::QuotaShort { .. }
        | Note::NoBalancer
        | Note::NoNameToBalance
        | Note::Unnamed { .. } => false,
    }
}

fn noted(note: &Note, scope: &Scope) -> Option<Finding> {
    let (id, fix) = match note {
        Note::DrainCut { .. } => {
            (FindingId::DrainCut, "a longer terminationGracePeriodSeconds, or a shorter drain-timeout")
        }
        Note::OwnHook { .. } => (FindingId::OwnHook, "remove the hook, or let it sleep for as long as the drain"),
        Note::NotGuaranteed => (FindingId::NotGuaranteed, "equal proxy-cpu-… and proxy-memory-… requests and limits"),
        Note::QuotaShort { .. } => (FindingId::QuotaShort, "make room in the quota before the rollout"),
        // Without a cluster it is unknown whether there is a balancer.
        Note::NoBalancer if !scope.installation_is_known => return None,
        Note::NoBalancer => (FindingId::NotBalanced, "install the balancer (balancer.enabled=true in the chart)"),
        Note::NoNameToBalance => (FindingId::NotBalanced, "give the workload a name"),
        Note::Unnamed { .. } => (FindingId::PortUnnamed, "name the container port, if it is to be recycled"),
        Note::Fitted { .. }
        | Note::NamedPortChosen { .. }
        | Note::NamedPortInSandbox
        | Note::NamedPortOnOpenShift
        | Note::ByNameAlone => return None,
    };
    Some(id.says(note.to_string()).fix(fix))
}

fn skipped(reason: SkipReason) -> Finding {
    if reason == SkipReason::MeshProxy {
        return FindingId::MeshBalances
            .says(format!("not injected: {}", reason.sentence()))
            .fix("remove the annotation, or opt the pods out of the mesh");
    }
    FindingId::NotInjected
        .says(format!("not injected: {}", reason.sentence()))
        .detail(format!("reason {}", reason.label()))
}

fn left_over(workload: &Workload) -> Finding {
    FindingId::ProxyLeftOver
        .says("the proxy is in the pod template, and no annotation asks for it")
        .fix("restart the workload, or remove the proxy")
        .command(format!("evenkeel uninject {} {}", workload.name, workload.in_namespace()))
}

/// Settings alone ask for nothing; `inject: disabled` beside them is meant.
fn no_opt_in(workload: &Workload) -> Option<Finding> {
    let switched_off = workload.annotations.contains_key(Annotation::Inject.key());
    let keys: Vec<&str> = workload.annotations.keys().map(String::as_str).collect();
    let no_balance = !workload.annotations.contains_key(Annotation::Balance.key());
    (!keys.is_empty() && !switched_off && no_balance).then(|| {
        FindingId::NoOptIn
            .says(format!(
                "{} {} set, and nothing asks for the proxy",
                keys.join(", "),
                if keys.len() == 1 { "is" } else { "are" }
            ))
            .fix(format!("add {}", Annotation::MaxRequests))
            .command(format!(
                "kubectl annotate {} {}=1000 {}",
                workload.name,
                Annotation::MaxRequests,
                workload.in_namespace()
            ))
    })
}

#[cfg(test)]
mod tests {
    use inject::WorkloadKind;
    use serde_json::{Value, json};

    use super::super::tests_support::{deployment, found, found_in, object};
    use super::*;

    fn namespace(labels: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}})
    }

    fn annotated(key: &str, value: &str) -> Value {
        deployment(|object| object["metadata"]["annotations"][format!("evenkeel.dev/{key}")] = json!(value))
    }

    fn live() -> Scope {
        Scope {
            is_live: true,
            kinds: Some(vec![WorkloadKind::Deployment]),
            installation_is_known: true,
            ..Scope::default()
        }
    }

    fn injected(object: Value) -> Value {
        let outcome = inject::inject(&object, WorkloadKind::Deployment, None, &inject::Installation::default());
        let mut object = object;
        crate::manifests::apply(&mut object, outcome.patch().unwrap()).unwrap();
        object
    }

    #[test]
    fn a_sound_workload_has_no_finding() {
        assert_eq!(found(deployment(|_| {}), []), []);
        assert_eq!(found_in(&live(), injected(deployment(|_| {})), []), []);
    }

    #[test]
    fn invalid_annotations_and_reasons_to_skip_have_findings() {
        assert_eq!(found(annotated("jiter", "1%"), []), [FindingId::InvalidAnnotations]);
        let no_port = deployment(|object| object["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([]));
        assert_eq!(found(no_port, []), [FindingId::NotInjected]);
        let mesh = namespace(&json!({"istio-injection": "enabled"}));
        assert_eq!(found(deployment(|_| {}), [mesh]), [FindingId::MeshBalances]);
        let quota = object("v1", "ResourceQuota", &json!({"hard": {"limits.memory": "1Mi"}}));
        assert_eq!(found(deployment(|_| {}), [quota]), [FindingId::NotInjected]);
    }

    #[test]
    fn workloads_that_the_webhook_does_not_review_have_a_finding() {
        let out = namespace(&json!({"evenkeel.dev/inject": "disabled"}));
        assert_eq!(found(deployment(|_| {}), [out.clone()]), [FindingId::NamespaceOptedOut]);
        assert_eq!(found(injected(deployment(|_| {})), [out]), []);
        let set = || deployment(|object| object["kind"] = json!("StatefulSet"));
        assert_eq!(found(set(), []), [FindingId::KindNotReviewed]);
        assert_eq!(found_in(&live(), set(), []), [FindingId::KindNotReviewed]);
    }

    #[test]
    fn a_stored_workload_without_the_proxy_has_a_finding() {
        assert_eq!(found_in(&live(), deployment(|_| {}), []), [FindingId::NotReviewed]);
        let not_installed = Scope { is_live: true, ..Scope::default() };
        assert_eq!(found_in(&not_installed, deployment(|_| {}), []), [FindingId::NotReviewed]);
        let mut changed = injected(deployment(|_| {}));
        changed["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("7");
        assert_eq!(found_in(&live(), changed.clone(), []), [FindingId::InjectionOutdated]);
        changed["metadata"]["annotations"] = json!({});
        assert_eq!(found_in(&live(), changed, []), [FindingId::ProxyLeftOver]);
    }

    #[test]
    fn settings_without_an_opt_in_have_a_finding() {
        let only = |annotations: Value| deployment(|object| object["metadata"]["annotations"] = annotations);
        assert_eq!(found(only(json!({"evenkeel.dev/jitter": "1%"})), []), [FindingId::NoOptIn]);
        assert_eq!(found(only(json!({"evenkeel.dev/jitter": "1%", "evenkeel.dev/inject": "disabled"})), []), []);
        assert_eq!(found(only(json!({})), []), []);
    }

    #[test]
    fn each_note_of_the_injection_is_a_finding() {
        let spec =
            |key: &'static str, value: Value| deployment(|object| object["spec"]["template"]["spec"][key] = value);
        assert_eq!(found(spec("terminationGracePeriodSeconds", json!(9)), []), [FindingId::DrainCut]);
        let hook = deployment(|object| {
            object["spec"]["template"]["spec"]["containers"][0]["lifecycle"] =
                json!({"preStop": {"sleep": {"seconds": 5}}});
        });
        assert_eq!(found(hook, []), [FindingId::OwnHook]);
        assert_eq!(found(annotated("balance", "on"), []), [], "nobody knows of a balancer");
        let balanced = injected(annotated("balance", "on"));
        assert_eq!(found_in(&live(), balanced, []), [FindingId::NotBalanced]);
    }
}
