//! Pods that do not report.

use super::*;

#[test]
fn a_silent_pod_is_left_out_and_nobody_waits_for_it() {
    let mut world = World::with(&[10.0, 10.0, 10.0, 90.0]);
    world.run(20 * SECOND);
    world.pod("3").is_silent = true;
    let sent = world.run(20 * SECOND);
    let last = sent.last().unwrap();
    assert!((last.instruction.rule().mean() - 10.0).abs() < 1e-9, "its last report counts for five seconds");
    assert!(sent.windows(2).all(|pair| pair[1].at <= pair[0].at + Duration::from_millis(1100)));
    assert!(sent.iter().filter(|sent| sent.to.contains(&"3".into())).count() < 8, "it is asked less and less");
    assert_eq!((world.summary().settled, world.summary().reporting), (4, 3));
}

#[test]
fn nothing_is_sent_while_more_than_a_third_is_missing() {
    let mut world = World::with(&[10.0; 6]);
    world.run(20 * SECOND);
    for uid in ["0", "1"] {
        world.pod(uid).is_silent = true;
    }
    assert!(!world.run(20 * SECOND).is_empty(), "a third is not more than a third");
    world.pod("2").is_silent = true;
    world.run(6 * SECOND);
    assert!(world.run(20 * SECOND).is_empty());
    assert_eq!(world.summary().withheld, Some(Withheld::Missing));
    for uid in ["0", "1", "2"] {
        world.pod(uid).is_silent = false;
    }
    world.run(16 * SECOND);
    assert!(!world.run(5 * SECOND).is_empty());
}

#[test]
fn a_pod_that_never_answers_belongs_to_nobody() {
    let mut world = World::with(&[10.0, 10.0]);
    for uid in ["a", "b", "c", "d"] {
        world.add(uid, 0.0);
        world.pod(uid).is_silent = true;
    }
    let sent = world.run(20 * SECOND);
    assert!(means(&sent).iter().all(|mean| (mean - 10.0).abs() < 1e-9));
    assert_eq!(world.balancer.count_pods(), (6, 4));
}

#[test]
fn a_pod_that_never_answers_is_missing_where_its_siblings_report() {
    let mut world = World::new();
    let mut add = |uid: &str, controller: &str, is_silent| {
        world.add(uid, 10.0);
        world.pod(uid).is_silent = is_silent;
        let controller = Controller { kind: "ReplicaSet".into(), name: controller.into() };
        let pod = Pod { controller: Some(controller), ..pod_of(uid) };
        world.balancer.observe(Change::PodGone(uid.into()), world.now);
        world.balancer.observe(Change::Pod(pod), world.now);
    };
    for uid in ["1", "2", "3", "4"] {
        add(uid, "web-5d4f8", false);
    }
    for uid in ["a", "b"] {
        add(uid, "web-5d4f8", true);
    }
    add("c", "other-5d4f8", true);
    let sent = world.run(20 * SECOND);
    assert!(!sent.is_empty(), "a third is not more than a third");
    assert!(sent.iter().all(|sent| sent.to.len() == 4), "only who has reported is told");
    assert_eq!((world.summary().settled, world.summary().reporting), (6, 4));
    world.pod("4").is_silent = true;
    world.run(6 * SECOND);
    assert!(world.run(20 * SECOND).is_empty());
    assert_eq!(world.summary().withheld, Some(Withheld::Missing));
    world.pod("a").is_silent = false;
    world.run(16 * SECOND);
    assert!(!world.run(5 * SECOND).is_empty());
    assert_eq!((world.summary().settled, world.summary().reporting), (6, 4));
}

#[test]
fn a_pod_of_another_namespace_is_no_sibling() {
    let mut world = World::new();
    for (uid, namespace) in [("1", "shop"), ("2", "shop"), ("x", "evil"), ("y", "evil"), ("z", "evil")] {
        let controller = Controller { kind: "ReplicaSet".into(), name: "web-5d4f8".into() };
        let pod = Pod { controller: Some(controller), namespace: namespace.into(), ..pod_of(uid) };
        world.add(uid, 10.0);
        world.pod(uid).is_silent = namespace == "evil";
        world.balancer.observe(Change::PodGone(uid.into()), world.now);
        world.balancer.observe(Change::Pod(pod), world.now);
        let slice = Slice { namespace: namespace.into(), name: uid.into(), ready: vec![uid.into()] };
        world.balancer.observe(Change::Slice(slice), world.now);
    }
    assert!(!world.run(20 * SECOND).is_empty());
    assert_eq!((world.summary().settled, world.summary().reporting), (2, 2));
}
