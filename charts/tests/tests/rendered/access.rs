//! Roles name the objects that they may write, and none may list Secrets. Namespaces can be read one by one.

use chart_tests::parts::PARTS;
use chart_tests::render::{Rendered, rendered};
use serde_json::Value;

fn words<'a>(rule: &'a Value, key: &str) -> Vec<&'a str> {
    rule[key].as_array().map(|words| words.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Returns every rule, with the object that it is of.
fn rules(rendered: &Rendered) -> Vec<(&Value, &Value)> {
    let roles = rendered.all("Role").into_iter().chain(rendered.all("ClusterRole"));
    roles.flat_map(|role| role["rules"].as_array().unwrap().iter().map(move |rule| (role, rule))).collect()
}

#[test]
fn no_role_has_a_wildcard_or_lists_secrets() {
    for part in PARTS {
        let rendered = rendered(part);
        for (role, rule) in rules(&rendered) {
            for key in ["apiGroups", "resources", "verbs"] {
                assert!(!words(rule, key).iter().any(|word| word.contains('*')), "{key} of {role} with {part:?}");
            }
            assert!(rule.get("nonResourceURLs").is_none(), "{role}");
            if words(rule, "resources").iter().any(|resource| resource.starts_with("secrets")) {
                assert_eq!(role["kind"], "Role", "Secrets of one namespace alone");
                let named = words(rule, "resourceNames");
                let own = ["webhook-ca", "balancer-key"].map(|name| format!("{}-{name}", prefix(part)));
                assert!(named.len() == 1 && own.contains(&named[0].to_owned()), "{rule}");
                assert!(words(rule, "verbs").iter().all(|verb| ["get", "patch", "create"].contains(verb)), "{rule}");
            }
            for verb in ["escalate", "bind", "impersonate", "delete", "deletecollection"] {
                assert!(!words(rule, "verbs").contains(&verb), "{role}");
            }
        }
    }
}

fn prefix(part: &[&str]) -> &'static str {
    if part.contains(&"--set=fullnameOverride=other") { "other" } else { "evenkeel" }
}

#[test]
fn roles_that_write_name_their_objects() {
    let rendered = rendered(&[]);
    for (role, rule) in rules(&rendered) {
        let writes = ["create", "update", "patch"].iter().any(|verb| words(rule, "verbs").contains(verb));
        // Events have names that nobody knows before.
        let events = words(rule, "resources") == ["events"];
        assert!(!writes || events || !words(rule, "resourceNames").is_empty(), "{role}");
    }
}

#[test]
fn secrets_are_read_only_for_self_managed_certificates() {
    for part in &PARTS[1..4] {
        let rendered = rendered(&[*part, &["--set=balancer.enabled=false"]].concat());
        assert!(rendered.all("Secret").is_empty(), "{part:?}");
        let secrets = rules(&rendered).iter().any(|(_, rule)| words(rule, "resources").contains(&"secrets"));
        assert!(!secrets, "{part:?}");
        let rights: Vec<_> =
            rules(&rendered).iter().map(|(_, rule)| (words(rule, "resources"), words(rule, "verbs"))).collect();
        let expected = [
            (vec!["namespaces"], vec!["get"]),
            (vec!["limitranges", "resourcequotas"], vec!["list"]),
            (vec!["deployments"], vec!["get", "list", "watch"]),
            (vec!["services"], vec!["list", "watch"]),
            (vec!["events"], vec!["create"]),
        ];
        assert_eq!(rights, expected, "{part:?}");
    }
}

#[test]
fn workloads_are_watched_only_for_events_and_only_of_injected_kinds() {
    let watched = |flags: &[&str]| -> Vec<String> {
        let rendered = rendered(flags);
        let rules = rules(&rendered);
        // By name is the ConfigMap of the balancer's public keys.
        let by_name = |rule: &Value| !words(rule, "resourceNames").is_empty();
        let watches =
            rules.iter().filter(|(_, rule)| words(rule, "verbs") == ["get", "list", "watch"] && !by_name(rule));
        watches.flat_map(|(_, rule)| words(rule, "resources").into_iter().map(str::to_owned)).collect()
    };
    assert_eq!(watched(&["--set=webhook.kinds={StatefulSet,Pod,Rollout}"]), ["statefulsets", "rollouts"]);
    for none in [&["--set=events.enabled=false"][..], &["--set=webhook.kinds={Pod}"]] {
        let rendered = rendered(none);
        let events = rules(&rendered).iter().any(|(_, rule)| words(rule, "resources") == ["events"]);
        assert!(watched(none).is_empty() && !events, "{none:?}");
        let arguments = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        assert!(!arguments.contains("--events"), "{arguments}");
    }
}

#[test]
fn events_cover_the_namespaces_of_the_webhook_configuration() {
    let rendered = rendered(&["--set-string=namespaces.matchLabels.team=x"]);
    let arguments = &rendered.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    let mut arguments = arguments.as_array().unwrap().iter().filter_map(Value::as_str);
    let selector = arguments.find_map(|argument| argument.strip_prefix("--namespace-selector=")).unwrap();
    let selector: Value = serde_json::from_str(selector).unwrap();
    let webhook = &rendered.one("MutatingWebhookConfiguration")["webhooks"][0];
    assert_eq!(selector, webhook["namespaceSelector"]);
}

#[test]
fn every_role_binding_refers_to_an_existing_role_and_service_account() {
    let rendered = rendered(&[]);
    for (binding, role) in [("RoleBinding", "Role"), ("ClusterRoleBinding", "ClusterRole")] {
        let bound: Vec<&Value> = rendered.all(binding).iter().map(|binding| &binding["roleRef"]["name"]).collect();
        let roles: Vec<&Value> = rendered.all(role).iter().map(|role| &role["metadata"]["name"]).collect();
        assert_eq!(bound, roles);
        for binding in rendered.all(binding) {
            assert_eq!(binding["subjects"].as_array().unwrap().len(), 1);
            let accounts = ["webhook", "balancer"].map(|program| format!("evenkeel-{program}"));
            assert!(accounts.iter().any(|account| binding["subjects"][0]["name"] == **account), "{binding}");
            assert_eq!(
                binding["subjects"][0]["name"], binding["roleRef"]["name"],
                "a binding gives a program the rights of another"
            );
        }
    }
}
