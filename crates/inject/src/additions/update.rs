//! Updates an injected container, and keeps changes that others made to it.
//!
//! Fields that injection sets get its values. Others stay, such as defaults of the API server and variables of another
//! injector. Resources and the image change only if the settings do, because authors may set resources, and other
//! webhooks rewrite images (to a mirror, for example).

use serde_json::{Map, Value};

use crate::additions::volume;
use crate::json::empty_form::set_or_remove;
use crate::resources::quantity::Resource;
use crate::status::Record;

/// Fields that conflict with injected ones, and are removed if injection does not set them: the API server refuses a
/// second handler or value, and the others would change what runs and what it may do.
const CONFLICTING: &[&str] = &[
    "add",
    "command",
    "exec",
    "grpc",
    "httpGet",
    "localhostProfile",
    "privileged",
    "runAsGroup",
    "runAsUser",
    "sleep",
    "tcpSocket",
    "value",
    "valueFrom",
];

/// The prefix of injected environment variables.
const VARIABLES: &str = "EVENKEEL_";

/// Returns the container `now`, updated to what is `wanted`; `previous` is the record of the last injection.
pub(crate) fn updated(now: &Value, wanted: &Value, previous: Option<&Record>) -> Value {
    let (Value::Object(now), Value::Object(wanted)) = (now, wanted) else { return wanted.clone() };
    let mut container = without_conflicting(now, wanted);
    for (key, value) in wanted {
        let present = now.get(key);
        let value = match key.as_str() {
            "env" => variables(present, value),
            // Port names select the targets of Services, so only the injected ones stay.
            "ports" => merged_list(present, value, "containerPort", |_| false),
            "volumeMounts" => mounts(present, value),
            "resources" => resources(present, value, previous.map(|previous| &previous.resources)),
            "image" => image(present, value, previous.and_then(|previous| previous.image.as_deref())),
            _ => merged(present, value),
        };
        container.insert(key.clone(), value);
    }
    if !wanted.contains_key("volumeMounts") {
        // A mount without its volume makes the pod invalid.
        let left = mounts(now.get("volumeMounts"), &Value::Array(Vec::new()));
        set_or_remove(&mut container, "volumeMounts", Some(left).filter(|left| *left != Value::Array(Vec::new())));
    }
    Value::Object(container)
}

/// Returns the volume `now`, updated to what is `wanted`.
pub(crate) fn updated_volume(now: &Value, wanted: &Value) -> Value {
    merged(Some(now), wanted)
}

/// Returns `wanted` merged over `present`: objects member by member, all other values as a whole.
fn merged(present: Option<&Value>, wanted: &Value) -> Value {
    let (Some(Value::Object(present)), Value::Object(wanted)) = (present, wanted) else { return wanted.clone() };
    let mut object = without_conflicting(present, wanted);
    for (key, value) in wanted {
        object.insert(key.clone(), merged(present.get(key), value));
    }
    Value::Object(object)
}

fn without_conflicting(present: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let stays = |key: &str| wanted.contains_key(key) || !CONFLICTING.contains(&key);
    present.iter().filter(|(key, _)| stays(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns the variables, with injected ones as in `wanted` and others unchanged.
fn variables(present: Option<&Value>, wanted: &Value) -> Value {
    let of_others = |variable: &Value| {
        let name = variable.get("name").and_then(Value::as_str);
        name.is_some_and(|name| !name.starts_with(VARIABLES))
    };
    merged_list(present, wanted, "name", of_others)
}

/// Returns the mounts, with injected ones as in `wanted` and others unchanged.
fn mounts(present: Option<&Value>, wanted: &Value) -> Value {
    merged_list(present, wanted, "mountPath", |mount| !volume::is_injected_mount(mount))
}

/// Merges two lists whose entries are identified by `key`. Wanted entries keep their present position, or are appended.
/// Other entries stay if `stay` returns true.
fn merged_list(present: Option<&Value>, wanted: &Value, key: &str, stay: impl Fn(&Value) -> bool) -> Value {
    let (Some(Value::Array(present)), Value::Array(wanted)) = (present, wanted) else { return wanted.clone() };
    let mut missing: Vec<&Value> = wanted.iter().collect();
    let mut list = Vec::with_capacity(present.len());
    for entry in present {
        match missing.iter().position(|wanted| wanted.get(key) == entry.get(key)) {
            Some(index) => list.push(merged(Some(entry), missing.remove(index))),
            None if stay(entry) => list.push(entry.clone()),
            None => {}
        }
    }
    list.extend(missing.into_iter().cloned());
    Value::Array(list)
}

/// Returns the wanted image if the settings have changed, else the present one, which another webhook may have
/// rewritten.
fn image(present: Option<&Value>, wanted: &Value, previous: Option<&str>) -> Value {
    let settings_are_the_same = previous.is_some() && previous == wanted.as_str();
    let present = present.filter(|present| settings_are_the_same && present.as_str().is_some_and(|it| !it.is_empty()));
    present.unwrap_or(wanted).clone()
}

/// Returns the wanted resources if the settings have changed, else the present ones, which the author may have set.
/// There is always a request.
fn resources(present: Option<&Value>, wanted: &Value, previous: Option<&Value>) -> Value {
    let settings_are_the_same = previous == Some(wanted);
    let Some(Value::Object(present)) = present.filter(|_| settings_are_the_same) else {
        return merged(present.map(without_amounts).as_ref(), wanted);
    };
    let amount = |of: &str, resource: &str| present.get(of).and_then(|amounts| amounts.get(resource));
    let mut resources = present.clone();
    for resource in Resource::ALL.map(Resource::name) {
        // Kubernetes takes a limit without a request as the request, too.
        if amount("requests", resource).is_none() && amount("limits", resource).is_none() {
            let requests = resources.entry("requests").or_insert_with(|| Value::Object(Map::new()));
            if !requests.is_object() {
                *requests = Value::Object(Map::new());
            }
            if let Some(request) = wanted.get("requests").and_then(|requests| requests.get(resource)) {
                requests[resource] = request.clone();
            }
        }
    }
    Value::Object(resources)
}

/// Returns the resources without CPU and memory, so that a limit that is no longer wanted is removed.
fn without_amounts(resources: &Value) -> Value {
    let mut resources = resources.clone();
    for amounts in ["requests", "limits"] {
        if let Some(amounts) = resources.get_mut(amounts).and_then(Value::as_object_mut) {
            for resource in Resource::ALL {
                amounts.shift_remove(resource.name());
            }
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proxy_ports::port_names::PortNames;

    fn wanted() -> Value {
        json!({
            "name": "recycling-proxy",
            "image": "proxy:1",
            "args": ["run"],
            "env": [{"name": "EVENKEEL_A", "value": "1"}, {"name": "EVENKEEL_B", "value": "2"}],
            "ports": [{"name": "evenkeel-admin", "containerPort": 15211}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 15211}, "periodSeconds": 5},
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}},
            "securityContext": {"runAsUser": 15210, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
        })
    }

    /// Returns the container after an `edit` of it and an update with the same settings.
    fn after(edit: impl Fn(&mut Value)) -> Value {
        let mut now = wanted();
        edit(&mut now);
        updated(&now, &wanted(), Some(&previous()))
    }

    /// Returns the record of the last injection.
    fn previous() -> Record {
        Record::new(wanted()["resources"].clone(), "proxy:1".to_owned(), PortNames::default())
    }

    #[test]
    fn a_rewritten_image_is_kept_until_the_settings_change() {
        let mut now = wanted();
        now["image"] = json!("mirror.example.com/proxy:1");
        let image = |now: &Value, previous: Option<&Record>| updated(now, &wanted(), previous)["image"].clone();
        assert_eq!(image(&now, Some(&previous())), "mirror.example.com/proxy:1");
        let before = Record::new(wanted()["resources"].clone(), "proxy:0".to_owned(), PortNames::default());
        let mut without = previous();
        without.image = None;
        for previous in [Some(&before), Some(&without), None] {
            assert_eq!(image(&now, previous), "proxy:1");
        }
        for nonsense in [json!(""), json!(7), json!(null)] {
            now["image"] = nonsense;
            assert_eq!(image(&now, Some(&previous())), "proxy:1");
        }
    }

    #[test]
    fn fields_that_others_add_are_kept() {
        let edit = |container: &mut Value| {
            container["terminationMessagePath"] = json!("/dev/termination-log");
            container["readinessProbe"]["failureThreshold"] = json!(3);
            container["ports"][0]["protocol"] = json!("TCP");
            container["securityContext"]["seLinuxOptions"] = json!({"level": "s0"});
            container["env"] = json!([
                {"name": "EVENKEEL_B", "value": "2"},
                {"name": "HTTP_PROXY", "value": "x"},
                {"name": "EVENKEEL_A", "value": "1"},
            ]);
        };
        let mut edited = wanted();
        edit(&mut edited);
        assert_eq!(after(edit), edited);
    }

    #[test]
    fn conflicting_fields_are_removed() {
        for (pointer, rival) in [
            ("", json!({"command": ["sh"]})),
            ("/readinessProbe", json!({"exec": {"command": ["true"]}})),
            ("/securityContext", json!({"privileged": true, "runAsUser": 0})),
            ("/securityContext/seccompProfile", json!({"type": "Localhost", "localhostProfile": "proxy.json"})),
            ("/securityContext/capabilities", json!({"add": ["SYS_ADMIN"], "drop": []})),
            ("/env/0", json!({"value": "7", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})),
        ] {
            let edited = after(|container| {
                let place = container.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
                place.extend(rival.as_object().unwrap().clone());
            });
            assert_eq!(edited, wanted(), "{rival}");
        }
    }

    #[test]
    fn an_app_armor_profile_at_an_injected_container_stays() {
        let with = |mut container: Value, profile: Value| {
            container["securityContext"]["appArmorProfile"] = profile;
            container
        };
        let injected = with(wanted(), json!({"type": "RuntimeDefault"}));
        // A policy may have set it, and another may require it.
        assert_eq!(updated(&injected, &wanted(), Some(&previous())), injected);
        let of_others = with(wanted(), json!({"type": "Localhost", "localhostProfile": "proxy"}));
        assert_eq!(updated(&of_others, &wanted(), Some(&previous())), of_others);
        // A profile's name is invalid at any other type than Localhost.
        assert_eq!(updated(&of_others, &injected, Some(&previous())), injected);
    }

    #[test]
    fn variables_that_are_no_longer_injected_are_removed() {
        let edited = after(|container| {
            let env = container["env"].as_array_mut().unwrap();
            env.insert(0, json!({"name": "EVENKEEL_OLD", "value": "1"}));
            env.push(json!({"name": "EVENKEEL_A", "value": "2"}));
        });
        assert_eq!(edited, wanted());
    }

    #[test]
    fn our_mounts_are_updated_and_others_kept() {
        let other = json!({"name": "kube-api-access", "mountPath": "/var/run/secrets"});
        let ours = volume::mount(&volume::ADDITIONS[0]).unwrap();
        let with = |mounts: Value| {
            let mut container = wanted();
            container["volumeMounts"] = mounts;
            container
        };
        for (now, want, after) in [
            (json!([other]), Some(json!([ours])), Some(json!([other, ours]))),
            (json!([ours, other]), Some(json!([ours])), Some(json!([ours, other]))),
            (json!([ours, other]), None, Some(json!([other]))),
            (json!([ours]), None, None),
            (json!(null), None, None),
        ] {
            let want = want.map_or_else(wanted, with);
            let updated = updated(&with(now), &want, None);
            assert_eq!(updated.get("volumeMounts"), after.as_ref());
        }
    }

    #[test]
    fn resources_set_by_hand_are_kept_until_the_settings_change() {
        let by_hand = json!({"requests": {"cpu": "50m", "memory": "16Mi"}, "limits": {"memory": "1Gi"}});
        let edit = |container: &mut Value| container["resources"] = by_hand.clone();
        assert_eq!(after(edit)["resources"], by_hand);
        let mut now = wanted();
        edit(&mut now);
        let mut other = previous();
        other.resources = json!({});
        for previous in [None, Some(&other)] {
            assert_eq!(updated(&now, &wanted(), previous)["resources"], wanted()["resources"]);
        }
    }

    #[test]
    fn a_limit_that_is_no_longer_injected_is_removed() {
        let mut now = wanted();
        now["resources"]["limits"]["ephemeral-storage"] = json!("1Gi");
        let mut unlimited = wanted();
        unlimited["resources"]["limits"].as_object_mut().unwrap().shift_remove("cpu");
        let limits = updated(&now, &unlimited, Some(&previous()))["resources"]["limits"].clone();
        assert_eq!(limits, json!({"memory": "128Mi", "ephemeral-storage": "1Gi"}));
    }

    #[test]
    fn a_missing_request_is_restored() {
        for by_hand in [json!({}), json!({"requests": {}}), json!({"requests": null}), json!({"requests": 7})] {
            let edited = after(|container| container["resources"] = by_hand.clone());
            assert_eq!(edited["resources"]["requests"], wanted()["resources"]["requests"]);
        }
        let by_hand = json!({"limits": {"cpu": "5m", "memory": "8Mi"}});
        assert_eq!(after(|container| container["resources"] = by_hand.clone())["resources"], by_hand);
    }

    #[test]
    fn an_unreadable_container_is_replaced() {
        for nonsense in [json!(null), json!(7), json!([]), json!({"env": 7, "ports": {}, "resources": "x"})] {
            let container = updated(&nonsense, &wanted(), Some(&previous()));
            assert_eq!(container, wanted());
        }
    }
}
