//! Properties over generated workloads, and over JSON that is no workload at all.

mod workload;

use inject::{Decision, inject, remove};
use json_patch::Patch;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use workload::{DEPLOYMENT, applied, assert_sound, injected, original, outcome};

proptest! {
    #[test]
    fn a_second_injection_changes_nothing(workload in workload()) {
        let outcome = outcome(&workload);
        prop_assert_ne!(outcome.decision(), Decision::Unreadable);
        let once = applied(&workload, &outcome);
        if outcome.decision() == Decision::Injected {
            assert_sound(&once);
        }
        prop_assert_eq!(change(&once), None);
    }

    #[test]
    fn removal_restores_every_byte(workload in workload()) {
        let injected = injected(&workload);
        let restored = applied(&injected, &remove(&injected, DEPLOYMENT));
        prop_assert_eq!(restored.to_string(), workload.to_string());
    }

    #[test]
    fn opting_out_restores_every_byte(workload in workload()) {
        let mut off = injected(&workload);
        off["metadata"]["annotations"]["evenkeel.dev/inject"] = json!("disabled");
        let mut restored = applied(&off, &outcome(&off));
        restored["metadata"]["annotations"].as_object_mut().unwrap().shift_remove("evenkeel.dev/inject");
        prop_assert_eq!(restored.to_string(), workload.to_string());
    }

    #[test]
    fn unknown_fields_survive(workload in workload(), place: prop::sample::Index, value in any_json()) {
        let (mut workload, mut places) = (workload, Vec::new());
        objects(&workload, "", &mut places);
        let place = place.get(&places);
        let object = workload.pointer_mut(place).and_then(Value::as_object_mut).unwrap();
        object.insert("ofTheFuture".into(), value.clone());
        let injected = injected(&workload);
        let restored = applied(&injected, &remove(&injected, DEPLOYMENT));
        prop_assert_eq!(restored.to_string(), workload.to_string());
        prop_assert_eq!(change(&injected), None);
        let mut found = Vec::new();
        members(&injected, "ofTheFuture", &mut found);
        // A native sidecar that serves may have ours before it, and so another place.
        prop_assert_eq!(found, [&value], "{}", injected);
    }

    #[test]
    fn the_order_of_keys_does_not_matter(workload in workload()) {
        let sorted = sorted(&workload);
        prop_assert_eq!(injected(&sorted), injected(&workload));
        prop_assert_eq!(change(&self::sorted(&injected(&workload))), None);
    }

    #[test]
    fn any_edit_of_an_injected_workload_converges(workload in workload(), edit in edit()) {
        let mut arrived = injected(&workload);
        edit.make(&mut arrived);
        let settled = applied(&arrived, &outcome(&arrived));
        prop_assert_eq!(change(&settled), None, "{}", settled);
        let removed = applied(&settled, &remove(&settled, DEPLOYMENT));
        let again = remove(&removed, DEPLOYMENT);
        prop_assert_eq!(again.patch(), None, "{}", removed);
    }

    #[test]
    fn no_json_makes_the_injection_panic(json in any_json(), annotation in "[a-z-]{0,12}", value in ".{0,12}") {
        let _ = inject(&json, DEPLOYMENT, None, &std::collections::BTreeMap::from([(annotation, value)]).into());
        let _ = remove(&json, DEPLOYMENT);
    }
}

/// Returns what injection would still change.
fn change(object: &Value) -> Option<Patch> {
    outcome(object).patch().cloned()
}

/// Returns a workload in which everything that injection reads or writes comes in every form that it can have.
fn workload() -> impl Strategy<Value = Value> {
    let pod = (containers(), maybe("initContainers", init_containers()), maybe("annotations", annotations()), grace());
    let metadata = maybe("metadata", labels());
    (pod, settings(), metadata, any::<bool>()).prop_map(
        |((containers, init, annotations, grace), settings, metadata, first)| {
            let mut workload = original();
            workload["metadata"]["annotations"] = settings;
            let mut spec = Map::new();
            if first {
                spec.extend(init.clone());
            }
            spec.insert("containers".into(), containers);
            spec.extend(grace);
            if !first {
                spec.extend(init);
            }
            let mut template: Map<String, Value> = metadata.into_iter().collect();
            if let Some(Value::Object(metadata)) = template.get_mut("metadata") {
                metadata.extend(annotations);
            }
            template.insert("spec".into(), Value::Object(spec));
            workload["spec"]["template"] = Value::Object(template);
            workload
        },
    )
}

fn settings() -> impl Strategy<Value = Value> {
    let settings = select(vec![
        json!({}),
        json!({"evenkeel.dev/jitter": "0%"}),
        json!({"evenkeel.dev/ports": "8080"}),
        json!({"evenkeel.dev/ports": "http"}),
        json!({"evenkeel.dev/ports": "9999", "evenkeel.dev/hold-app": "off"}),
        json!({"evenkeel.dev/proxy-memory-request": "64Mi"}),
        json!({"evenkeel.dev/drain-timeout": "5s"}),
        json!({"evenkeel.dev/interception": "named-port"}),
        json!({"evenkeel.dev/interception": "named-port", "evenkeel.dev/ports": "http"}),
        json!({"evenkeel.dev/interception": "named-port", "evenkeel.dev/ports": "8080,9090"}),
        json!({"evenkeel.dev/interception": "named-port", "evenkeel.dev/proxy-protocol": "v2"}),
        json!({"evenkeel.dev/interception": "named-port", "evenkeel.dev/proxy-protocol": "v1", "evenkeel.dev/ports": "http"}),
        json!({"evenkeel.dev/balance": "on"}),
        json!({"evenkeel.dev/balance": "on", "evenkeel.dev/interception": "named-port"}),
        json!({"other.dev/a": "b"}),
    ]);
    (settings, any::<bool>()).prop_map(|(mut settings, has_limit)| {
        if has_limit || settings.get("evenkeel.dev/balance").is_none() {
            settings["evenkeel.dev/max-requests"] = json!("10");
        }
        settings
    })
}

fn containers() -> impl Strategy<Value = Value> {
    prop::collection::vec(container(), 1..4).prop_map(|mut containers| {
        for (index, container) in containers.iter_mut().enumerate() {
            container["name"] = json!(format!("app-{index}"));
        }
        Value::Array(containers)
    })
}

fn container() -> impl Strategy<Value = Value> {
    let probes = (maybe("livenessProbe", probe()), maybe("readinessProbe", probe()), maybe("startupProbe", probe()));
    (maybe("ports", ports()), probes, maybe("lifecycle", lifecycle()), any::<prop::sample::Index>()).prop_map(
        |(ports, (liveness, readiness, startup), lifecycle, turn)| {
            let mut members: Vec<_> = [ports, liveness, readiness, startup, lifecycle].into_iter().flatten().collect();
            members.push(("name".into(), json!("")));
            members.push(("image".into(), json!("a")));
            let turn = turn.index(members.len());
            members.rotate_left(turn);
            Value::Object(members.into_iter().collect())
        },
    )
}

fn ports() -> impl Strategy<Value = Value> {
    let port = (select(vec![8080, 9090, 53, 15210, 7000]), select(vec![json!(null), json!("TCP"), json!("UDP")]));
    let port = (port, select(vec![json!(null), json!("http"), json!("other"), json!("app-8080"), json!("")]));
    let port = port
        .prop_map(|((number, protocol), name)| json!({"containerPort": number, "protocol": protocol, "name": name}));
    prop::collection::vec(port, 0..3).prop_map(Value::Array)
}

fn probe() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"tcpSocket": {"port": 8080}}),
        json!({"periodSeconds": 3, "tcpSocket": {"port": "http"}, "timeoutSeconds": 2}),
        json!({"tcpSocket": {"host": "", "port": 9090}, "timeoutSeconds": 2}),
        json!({"tcpSocket": {"port": 8080}, "httpGet": null}),
        json!({"tcpSocket": {"port": 8080, "host": "elsewhere"}}),
        json!({"tcpSocket": null, "httpGet": {"port": 8080}}),
        json!({"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3}),
        json!({"httpGet": {"port": "other"}}),
        json!({"httpGet": {"scheme": "HTTPS", "path": "/a b", "port": 7000, "httpHeaders": [{"name": "A"}]}, "timeoutSeconds": 0}),
        json!({"httpGet": {"port": 9090, "host": ""}, "exec": null}),
        json!({"exec": {"command": ["true"]}}),
        json!({"grpc": {"port": 8080}}),
        json!({}),
    ])
}

fn lifecycle() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"preStop": null}),
        json!({"preStop": {"sleep": {"seconds": 1}}}),
        json!({"postStart": {"sleep": {"seconds": 1}}, "preStop": null}),
        json!({"preStop": null, "postStart": {"sleep": {"seconds": 1}}}),
        json!({"postStart": null}),
        json!({"postStart": {"httpGet": {"port": "http"}}, "preStop": {"tcpSocket": {"port": "http"}}}),
        json!({"preStop": {"httpGet": {"path": "/leave", "port": 8080}}}),
    ])
}

fn init_containers() -> impl Strategy<Value = Value> {
    select(vec![
        json!([{"name": "migrate", "image": "a"}]),
        json!([{"name": "sidecar", "image": "a", "restartPolicy": "Always", "ports": [{"containerPort": 8200}]}]),
        json!([{"name": "a"}, {
            "startupProbe": {"tcpSocket": {"port": "grpc"}, "periodSeconds": 3},
            "name": "sidecar",
            "restartPolicy": "Always",
            "ports": [{"containerPort": 8200, "name": "grpc"}],
            "livenessProbe": {"httpGet": {"port": 8200}},
        }, {"name": "b", "lifecycle": {}}]),
        json!([{"name": "a"}, {"name": "b"}]),
    ])
}

/// Returns the `metadata` with labels of every form.
fn labels() -> impl Strategy<Value = Value> {
    let labels = select(vec![
        json!({"app": "web"}),
        json!({"evenkeel.dev/balance": "mine", "app": "web"}),
        json!({"evenkeel.dev/balance": null}),
        json!({"evenkeel.dev/balance": ""}),
        json!({"evenkeel.dev/balance": "on"}),
    ]);
    maybe("labels", labels).prop_map(|labels| Value::Object(labels.into_iter().collect()))
}

fn annotations() -> impl Strategy<Value = Value> {
    select(vec![json!({"a": "b"}), json!({"a/b~c": "", "d": null}), json!({"evenkeel.dev/jitter": "5%"})])
}

fn grace() -> impl Strategy<Value = Option<(String, Value)>> {
    maybe("terminationGracePeriodSeconds", select(vec![json!(0), json!(1), json!(10), json!(86_400)]))
}

/// Returns a member that is absent, null, empty, or something.
fn maybe(key: &'static str, value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<(String, Value)>> {
    let empty = match key {
        "ports" | "initContainers" => json!([]),
        "terminationGracePeriodSeconds" => json!(null),
        _ => json!({}),
    };
    let value =
        prop_oneof![2 => Just(None), 1 => Just(Some(json!(null))), 1 => Just(Some(empty)), 6 => value.prop_map(Some)];
    value.prop_map(move |value| value.map(|value| (key.to_owned(), value)))
}

/// A change of any one place of an object.
#[derive(Clone, Debug)]
struct Edit {
    place: prop::sample::Index,
    /// `None` takes the place away.
    value: Option<Value>,
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = prop::option::of(prop_oneof![any_json(), lifecycle(), probe(), ports(), init_containers()]);
    (any::<prop::sample::Index>(), value).prop_map(|(place, value)| Edit { place, value })
}

impl Edit {
    fn make(&self, object: &mut Value) {
        let mut places = Vec::new();
        pointers(object, "", &mut places);
        let place = &places[self.place.index(places.len())];
        let (parent, key) = place.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        match (object.pointer_mut(parent).unwrap(), &self.value) {
            (Value::Object(parent), Some(value)) => _ = parent.insert(key, value.clone()),
            (Value::Object(parent), None) => _ = parent.shift_remove(&key),
            (Value::Array(parent), Some(value)) => parent[key.parse::<usize>().unwrap()] = value.clone(),
            (Value::Array(parent), None) => _ = parent.remove(key.parse().unwrap()),
            (parent, _) => panic!("{parent} has no members"),
        }
    }
}

/// Every place below the root.
fn pointers(value: &Value, at: &str, places: &mut Vec<String>) {
    let mut below = |key: &str, value| {
        let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        pointers(value, &at, places);
        places.push(at);
    };
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every object but those of texts, in which a field of another type is none that an API server takes.
fn objects(value: &Value, at: &str, places: &mut Vec<String>) {
    let mut below = Vec::new();
    pointers(value, at, &mut below);
    below.push(at.to_owned());
    let of_texts = ["/annotations", "/labels"];
    let is_one = |place: &String| value.pointer(place).is_some_and(Value::is_object);
    places.extend(below.into_iter().filter(|place| is_one(place) && !of_texts.iter().any(|end| place.ends_with(end))));
}

/// The members of this name, wherever they are.
fn members<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(key));
            object.iter().filter(|(other, _)| *other != key).for_each(|(_, value)| members(value, key, found));
        }
        Value::Array(list) => list.iter().for_each(|value| members(value, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// As an API server written in Go gives an object out.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// JSON whose keys are those that injection looks for.
fn any_json() -> impl Strategy<Value = Value> {
    let key = select(vec![
        "metadata",
        "annotations",
        "labels",
        "spec",
        "template",
        "containers",
        "initContainers",
        "name",
        "args",
        "env",
        "ports",
        "containerPort",
        "protocol",
        "hostPort",
        "hostNetwork",
        "ownerReferences",
        "controller",
        "os",
        "lifecycle",
        "preStop",
        "livenessProbe",
        "httpGet",
        "tcpSocket",
        "path",
        "port",
        "host",
        "resources",
        "requests",
        "evenkeel.dev/status",
        "evenkeel.dev/max-requests",
        "terminationGracePeriodSeconds",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec![json!(0), json!(8080), json!(15211), json!(-1), json!(1.5), json!(u64::MAX)]),
        select(vec![
            "",
            "web",
            "recycling-proxy",
            "run",
            "10",
            "/drained",
            "/drained/web",
            "/probe/tcp/8080",
            "{}",
            "TCP"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}
