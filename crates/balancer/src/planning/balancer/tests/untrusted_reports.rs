//! Reports with false claims: no pod harms another.

use super::*;
use crate::history::History;
use crate::view::{PodSelection, View};

#[test]
fn a_report_for_a_workload_of_another_namespace_is_ignored() {
    let mut cluster = TestCluster::with(&[10.0, 10.0, 1000.0]);
    cluster.pod("2").workload = "bank/Deployment/web";
    let sent = cluster.run(20 * SECOND);
    assert!(sent.iter().all(|sent| sent.instruction.workload().namespace() == "shop" && sent.to.len() == 2));
    assert!(means(&sent).iter().all(|mean| (mean - 10.0).abs() < 1e-9));
    assert_eq!(cluster.balancer.summaries().count(), 1);
}

#[test]
fn a_report_for_a_workload_of_another_controller_is_ignored() {
    let mut cluster = TestCluster::with(&[10.0, 10.0, 1000.0]);
    let controller = Controller { kind: "ReplicaSet".into(), name: "api-5d4f8".into() };
    cluster.balancer.observe(Change::Pod(Pod { controller: Some(controller), ..pod_of("2") }), cluster.now);
    // The controller of a known pod does not change, so all pods become unknown.
    cluster.balancer.restart(cluster.now);
    let sent = cluster.run(20 * SECOND);
    assert!(sent.iter().all(|sent| sent.to.len() == 2) && means(&sent).iter().all(|mean| (mean - 10.0).abs() < 1e-9));
    cluster.pod("2").workload = "shop/Deployment/api";
    cluster.run(20 * SECOND);
    assert_eq!(cluster.balancer.summaries().count(), 2);
}

/// After the highest number no instruction is possible, and after the one below it only one.
#[test]
fn a_false_sequence_number_of_one_pod_stops_no_instruction() {
    for (honest, number) in [(1, Sequence::MAX.get()), (1, Sequence::MAX.get() - 1), (2, Sequence::MAX.get() - 1)] {
        let mut cluster = TestCluster::with(&vec![10.0; honest]);
        cluster.add("liar", 10.0);
        cluster.pod("liar").false_sequence = Some(Sequence::new(number).unwrap());
        assert!(!cluster.run(10 * SECOND).is_empty());
        cluster.balancer.restart(cluster.now);
        let sent = cluster.run(10 * SECOND);
        assert!(sent.len() > 5, "{sent:?}");
        let clock = u64::try_from((EPOCH + cluster.now).as_millis()).unwrap();
        let sequence = sent.last().unwrap().instruction.sequence().get();
        assert!(sequence <= clock, "after {sequence} a proxy refuses those of a later leader");
    }
}

/// Reported counts are summed up. An overflow would end the program, which serves all workloads.
#[test]
fn sums_of_reported_counts_do_not_overflow() {
    let mut cluster = TestCluster::with(&[10.0, 10.0, 10.0]);
    cluster.run(10 * SECOND);
    let mut history = History::default();
    history.record(&View::of(&cluster.balancer, &PodSelection::None, true, cluster.now), cluster.now);
    for uid in ["0", "1"] {
        let mut report = report(cluster.pod(uid));
        (report.retired, report.requests, report.connections, report.marked) = (u64::MAX, u64::MAX, u32::MAX, u32::MAX);
        assert_eq!(cluster.balancer.answered(&uid.into(), report, cluster.now), ReportOutcome::Accepted);
    }
    history.record(&View::of(&cluster.balancer, &PodSelection::None, true, cluster.now), cluster.now);
    assert!(history.timeline(&"shop/Deployment/web".parse().unwrap()).is_some());
}
