//! Chooses the interception of a workload.

use settings::{Interception, WorkloadSettings};

use crate::namespace::NamespaceFacts;
use crate::outcome::report::Note;
use crate::outcome::skip::SkipReason;
use crate::pod::Pod;

/// Returns the interception for a workload, and a note if the workload did not choose it.
///
/// `namespace` is `None` if nothing is known about it. `is_named_port` says that the workload is already injected with
/// interception named-port. If the namespace is unknown, it keeps that, so that a rollout does not create pods that the
/// namespace refuses.
pub(crate) fn choose(
    settings: &WorkloadSettings,
    namespace: Option<&NamespaceFacts>,
    pod: &Pod,
    is_named_port: bool,
) -> Result<(Interception, Option<Note>), SkipReason> {
    // gVisor has no nftables: the init container would fail, and the pod would never start.
    if pod.is_sandboxed() {
        match (settings.interception, settings.default_interception) {
            (Some(Interception::Redirect), _) => return Err(SkipReason::Sandbox),
            (None, Interception::Redirect) => return Ok((Interception::NamedPort, Some(Note::NamedPortInSandbox))),
            (Some(Interception::NamedPort), _) | (None, Interception::NamedPort) => {}
        }
    }
    let enforced = namespace.map(|facts| facts.pod_security).filter(|security| security.refuses_redirect());
    match (settings.interception, enforced) {
        // The namespace would admit no pod with a redirect.
        (Some(Interception::Redirect), Some(_)) => Err(SkipReason::PodSecurity),
        (Some(chosen), _) => Ok((chosen, None)),
        (None, Some(level)) => {
            let is_news = settings.default_interception != Interception::NamedPort;
            Ok((Interception::NamedPort, is_news.then_some(Note::NamedPortChosen { level })))
        }
        (None, None) if namespace.is_some_and(|facts| facts.assigns_users) => {
            let is_news = settings.default_interception != Interception::NamedPort;
            Ok((Interception::NamedPort, is_news.then_some(Note::NamedPortOnOpenShift)))
        }
        (None, None) if namespace.is_none() && is_named_port => Ok((Interception::NamedPort, None)),
        (None, None) => Ok((settings.default_interception, None)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use settings::Layer;

    use super::*;
    use crate::additions::entry::Origin;
    use crate::json::node::Node;
    use crate::namespace::PodSecurity;
    use crate::proxy_ports::port_names::PortNames;

    fn pod(runtime_class: Option<&str>) -> Pod {
        let template = json!({"spec": {"runtimeClassName": runtime_class, "containers": [{"name": "web"}]}});
        Pod::read(&Node::root(&template), Origin::Guessed, &PortNames::default()).unwrap()
    }

    fn settings(interception: Option<&str>) -> WorkloadSettings {
        let mut own = BTreeMap::from([("evenkeel.dev/max-requests".to_owned(), "1".to_owned())]);
        own.extend(interception.map(|word| ("evenkeel.dev/interception".to_owned(), word.to_owned())));
        WorkloadSettings::resolve(&[Layer::Workload(&own)]).unwrap().unwrap()
    }

    #[test]
    fn a_sandbox_without_nftables_gets_named_ports() {
        let chosen = |setting, class| choose(&settings(setting), None, &pod(class), false);
        for class in ["gvisor", "runsc", "team-gVisor"] {
            let by_itself = Ok((Interception::NamedPort, Some(Note::NamedPortInSandbox)));
            assert_eq!(chosen(None, Some(class)), by_itself);
            assert_eq!(chosen(Some("named-port"), Some(class)), Ok((Interception::NamedPort, None)));
            assert_eq!(chosen(Some("redirect"), Some(class)), Err(SkipReason::Sandbox));
        }
        for class in [None, Some("kata"), Some("nvidia")] {
            assert_eq!(chosen(None, class), Ok((Interception::Redirect, None)));
        }
    }

    #[test]
    fn openshift_gets_named_ports_unless_redirect_is_chosen() {
        let facts = NamespaceFacts { assigns_users: true, ..NamespaceFacts::default() };
        let chosen = |setting| choose(&settings(setting), Some(&facts), &pod(None), false);
        assert_eq!(chosen(None), Ok((Interception::NamedPort, Some(Note::NamedPortOnOpenShift))));
        // Who chooses it has allowed it to the pods' service account.
        assert_eq!(chosen(Some("redirect")), Ok((Interception::Redirect, None)));
    }

    #[test]
    fn the_interception_follows_annotation_default_and_namespace() {
        use Interception::{NamedPort, Redirect};
        let privileged = Some(PodSecurity::Privileged);
        let restricted = Some(PodSecurity::Restricted);
        for (setting, installation, namespace, before, chosen) in [
            (None, None, privileged, false, Ok(Redirect)),
            (None, None, None, false, Ok(Redirect)),
            (None, None, restricted, false, Ok(NamedPort)),
            (None, None, Some(PodSecurity::Baseline), false, Ok(NamedPort)),
            // The default does not apply to namespaces that refuse it.
            (None, Some(Redirect), restricted, false, Ok(NamedPort)),
            (None, Some(NamedPort), privileged, false, Ok(NamedPort)),
            (Some(NamedPort), None, privileged, false, Ok(NamedPort)),
            (Some(Redirect), None, None, true, Ok(Redirect)),
            (Some(Redirect), None, restricted, false, Err(SkipReason::PodSecurity)),
            // Nothing is known about the namespace.
            (None, None, None, true, Ok(NamedPort)),
            (None, None, privileged, true, Ok(Redirect)),
        ] {
            let mut own = BTreeMap::from([("evenkeel.dev/max-requests".to_owned(), "1".to_owned())]);
            own.extend(setting.map(|word: Interception| ("evenkeel.dev/interception".to_owned(), word.to_string())));
            let defaults = installation
                .map(|word: Interception| ("interception".to_owned(), word.to_string()))
                .into_iter()
                .collect();
            let settings = WorkloadSettings::resolve(&[Layer::Installation(&defaults), Layer::Workload(&own)]);
            let facts = namespace.map(|pod_security| NamespaceFacts { pod_security, ..NamespaceFacts::default() });
            let found = choose(&settings.unwrap().unwrap(), facts.as_ref(), &pod(None), before);
            assert_eq!(
                found.clone().map(|(interception, _)| interception),
                chosen,
                "{setting:?} {namespace:?} {before}"
            );
            let by_itself = chosen == Ok(NamedPort) && namespace.is_some_and(PodSecurity::refuses_redirect);
            assert_eq!(found.is_ok_and(|(_, note)| note.is_some()), by_itself);
        }
    }
}
