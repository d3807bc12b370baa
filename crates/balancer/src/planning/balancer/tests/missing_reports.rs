//! Pods that do not report.

use super::*;

#[test]
fn a_pod_that_does_not_answer_is_left_out_without_delay() {
    let mut cluster = TestCluster::with(&[10.0, 10.0, 10.0, 90.0]);
    cluster.run(20 * SECOND);
    cluster.pod("3").is_silent = true;
    let sent = cluster.run(20 * SECOND);
    let last = sent.last().unwrap();
    assert!((last.instruction.rule().mean() - 10.0).abs() < 1e-9, "its last report still counts");
    assert!(sent.windows(2).all(|pair| pair[1].at <= pair[0].at + Duration::from_millis(1100)));
    assert!(sent.iter().filter(|sent| sent.to.contains(&"3".into())).count() < 8, "its polls do not become rarer");
    assert_eq!((cluster.summary().settled, cluster.summary().reporting), (4, 3));
}

#[test]
fn no_instruction_is_sent_while_more_than_a_third_of_the_reports_is_missing() {
    let mut cluster = TestCluster::with(&[10.0; 6]);
    cluster.run(20 * SECOND);
    for uid in ["0", "1"] {
        cluster.pod(uid).is_silent = true;
    }
    assert!(!cluster.run(20 * SECOND).is_empty(), "a third is missing, not more");
    cluster.pod("2").is_silent = true;
    cluster.run(6 * SECOND);
    assert!(cluster.run(20 * SECOND).is_empty());
    assert_eq!(cluster.summary().withheld, Some(Withheld::Missing));
    for uid in ["0", "1", "2"] {
        cluster.pod(uid).is_silent = false;
    }
    cluster.run(16 * SECOND);
    assert!(!cluster.run(5 * SECOND).is_empty());
}

#[test]
fn a_pod_that_never_answered_belongs_to_no_workload() {
    let mut cluster = TestCluster::with(&[10.0, 10.0]);
    for uid in ["a", "b", "c", "d"] {
        cluster.add(uid, 0.0);
        cluster.pod(uid).is_silent = true;
    }
    let sent = cluster.run(20 * SECOND);
    assert!(means(&sent).iter().all(|mean| (mean - 10.0).abs() < 1e-9));
    assert_eq!(cluster.balancer.count_pods(), (6, 4));
}

#[test]
fn a_pod_that_never_answered_is_missing_if_pods_of_its_controller_report() {
    let mut cluster = TestCluster::new();
    let mut add = |uid: &str, controller: &str, is_silent| {
        cluster.add(uid, 10.0);
        cluster.pod(uid).is_silent = is_silent;
        let controller = Controller { kind: "ReplicaSet".into(), name: controller.into() };
        let pod = Pod { controller: Some(controller), ..pod_of(uid) };
        cluster.balancer.observe(Change::PodGone(uid.into()), cluster.now);
        cluster.balancer.observe(Change::Pod(pod), cluster.now);
    };
    for uid in ["1", "2", "3", "4"] {
        add(uid, "web-5d4f8", false);
    }
    for uid in ["a", "b"] {
        add(uid, "web-5d4f8", true);
    }
    add("c", "other-5d4f8", true);
    let sent = cluster.run(20 * SECOND);
    assert!(!sent.is_empty(), "a third is missing, not more");
    assert!(sent.iter().all(|sent| sent.to.len() == 4), "an instruction was sent to a pod that has not reported");
    assert_eq!((cluster.summary().settled, cluster.summary().reporting), (6, 4));
    cluster.pod("4").is_silent = true;
    cluster.run(6 * SECOND);
    assert!(cluster.run(20 * SECOND).is_empty());
    assert_eq!(cluster.summary().withheld, Some(Withheld::Missing));
    cluster.pod("a").is_silent = false;
    cluster.run(16 * SECOND);
    assert!(!cluster.run(5 * SECOND).is_empty());
    assert_eq!((cluster.summary().settled, cluster.summary().reporting), (6, 4));
}

#[test]
fn pods_of_other_namespaces_do_not_share_a_controller() {
    let mut cluster = TestCluster::new();
    for (uid, namespace) in [("1", "shop"), ("2", "shop"), ("x", "evil"), ("y", "evil"), ("z", "evil")] {
        let controller = Controller { kind: "ReplicaSet".into(), name: "web-5d4f8".into() };
        let pod = Pod { controller: Some(controller), namespace: namespace.into(), ..pod_of(uid) };
        cluster.add(uid, 10.0);
        cluster.pod(uid).is_silent = namespace == "evil";
        cluster.balancer.observe(Change::PodGone(uid.into()), cluster.now);
        cluster.balancer.observe(Change::Pod(pod), cluster.now);
        let slice = Slice { namespace: namespace.into(), name: uid.into(), ready: vec![uid.into()] };
        cluster.balancer.observe(Change::Slice(slice), cluster.now);
    }
    assert!(!cluster.run(20 * SECOND).is_empty());
    assert_eq!((cluster.summary().settled, cluster.summary().reporting), (2, 2));
}
