//! Edits of what was injected: they are restored, unless they are for the user to decide.

use inject::{Decision, remove};
use serde_json::{Value, json};

use crate::workload::{DEPLOYMENT, app_mut, applied, assert_sound, converges, injected, original, outcome};

#[test]
fn removed_containers_of_ours_are_restored() {
    for name in ["recycling-proxy", "recycling-proxy-redirect"] {
        let mut arrived = injected(&original());
        let list = arrived["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
        list.retain(|container| container["name"] != name);
        let result = applied(&arrived, &outcome(&arrived));
        assert_sound(&result);
        assert_eq!(outcome(&result).decision(), Decision::Unchanged);
    }
    let mut arrived = injected(&original());
    arrived["spec"]["template"]["spec"]["initContainers"] =
        original()["spec"]["template"]["spec"]["initContainers"].clone();
    converges(&arrived, &original());
}

#[test]
fn an_unreadable_status_is_replaced() {
    for status in ["", "{", "{\"version\":9}", "null"] {
        let mut arrived = injected(&original());
        arrived["spec"]["template"]["metadata"]["annotations"]["evenkeel.dev/status"] = json!(status);
        let mut author = original();
        app_mut(&mut author)["livenessProbe"]["tcpSocket"] = json!({"port": 8080});
        converges(&arrived, &author);
    }
}

#[test]
fn edited_fields_of_ours_are_restored() {
    for (place, value) in [
        ("/args", json!(["run", "--max-requests=1"])),
        ("/command", json!(["sh"])),
        ("/restartPolicy", json!(null)),
        ("/env/0/value", json!("7")),
        ("/env", json!([])),
        ("/securityContext/runAsUser", json!(0)),
        ("/securityContext/capabilities/add", json!(["SYS_ADMIN"])),
        ("/lifecycle", json!(null)),
        ("/startupProbe", json!({"exec": {"command": ["true"]}})),
    ] {
        let mut arrived = injected(&original());
        let proxy = &mut arrived["spec"]["template"]["spec"]["initContainers"][2];
        assert_eq!(proxy["name"], "recycling-proxy");
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = proxy.pointer_mut(parent).unwrap();
        let index = key.parse::<usize>();
        *(if let Ok(index) = index { &mut parent[index] } else { &mut parent[key] }) = value;
        converges(&arrived, &original());
    }
}

#[test]
fn resources_set_by_hand_are_kept() {
    let mut arrived = injected(&original());
    let by_hand = json!({"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}});
    arrived["spec"]["template"]["spec"]["initContainers"][2]["resources"] = by_hand.clone();
    assert_eq!(outcome(&arrived).decision(), Decision::Unchanged);
    arrived["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("7");
    let result = applied(&arrived, &outcome(&arrived));
    assert_eq!(result["spec"]["template"]["spec"]["initContainers"][2]["resources"], by_hand);
    arrived["metadata"]["annotations"]["evenkeel.dev/proxy-cpu-request"] = json!("20m");
    let result = applied(&arrived, &outcome(&arrived));
    assert_eq!(result["spec"]["template"]["spec"]["initContainers"][2]["resources"]["requests"]["cpu"], "20m");
}

#[test]
fn an_image_that_another_webhook_rewrites_is_kept() {
    let mut arrived = injected(&original());
    let image = |object: &Value| object["spec"]["template"]["spec"]["initContainers"][2]["image"].clone();
    arrived["spec"]["template"]["spec"]["initContainers"][2]["image"] = json!("mirror.example.com/proxy:1");
    assert_eq!(outcome(&arrived).decision(), Decision::Unchanged);
    arrived["metadata"]["annotations"]["evenkeel.dev/max-requests"] = json!("7");
    assert_eq!(image(&applied(&arrived, &outcome(&arrived))), "mirror.example.com/proxy:1");
    arrived["metadata"]["annotations"]["evenkeel.dev/proxy-image"] = json!("example.com/other:2");
    assert_eq!(image(&applied(&arrived, &outcome(&arrived))), "example.com/other:2");
}

#[test]
fn init_containers_of_others_may_be_added_around_ours() {
    let mut arrived = injected(&original());
    let list = arrived["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap();
    list.remove(0);
    list.insert(1, json!({"name": "between", "image": "a"}));
    list.push(json!({"name": "after", "image": "a"}));
    assert_eq!(outcome(&arrived).decision(), Decision::Unchanged);
    let restored = applied(&arrived, &remove(&arrived, DEPLOYMENT));
    let others = json!([{"name": "between", "image": "a"}, {"name": "after", "image": "a"}]);
    assert_eq!(restored["spec"]["template"]["spec"]["initContainers"], others);
}
