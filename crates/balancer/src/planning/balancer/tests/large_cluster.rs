//! More pods than can be polled at the usual interval.

use std::sync::Arc;

use super::*;

/// Returns a cluster with so many pods that those at rest are polled every half minute. Most are not ready, and are not
/// polled.
fn in_a_large_cluster(loads: &[f64]) -> TestCluster {
    let mut cluster = TestCluster::with(loads);
    for n in 0..48_000 {
        cluster.balancer.observe(Change::Pod(Pod { is_ready: false, ..pod_of(&format!("idle-{n}")) }), cluster.now);
    }
    cluster.run(90 * SECOND);
    // Until an instruction was just sent.
    while cluster.run(Duration::from_millis(100)).is_empty() {}
    cluster
}

#[test]
fn in_a_large_cluster_pods_at_rest_are_polled_less_often_and_just_before_their_instruction() {
    let mut cluster = in_a_large_cluster(&[10.0, 10.0, 10.0]);
    let sent_at = cluster.now;
    for uid in ["0", "1", "2"] {
        cluster.pod(uid).load = 20.0;
    }
    let sent = cluster.run(95 * SECOND);
    let times: Vec<u64> = sent.iter().map(|sent| sent.at.saturating_sub(sent_at).as_secs()).collect();
    assert_eq!(times, [30, 60, 90]);
    assert!(means(&sent).iter().all(|mean| (mean - 20.0).abs() < 1e-9), "an instruction has an old mean: {sent:?}");
    assert!(sent.iter().all(|sent| sent.instruction.interval().get().as_secs() == 30 && sent.to.len() == 3));
}

#[test]
fn in_a_large_cluster_a_change_leads_to_an_instruction_at_once() {
    let mut cluster = in_a_large_cluster(&[10.0, 10.0, 10.0]);
    cluster.run(8 * SECOND);
    let gone_at = cluster.now;
    cluster.pod("0").load = 30.0;
    cluster.remove("2");
    let sent = cluster.run(2 * SECOND);
    assert!(sent[0].at <= gone_at + Duration::from_millis(1200), "{:?}", sent[0].at);
    assert!((sent[0].instruction.rule().mean() - 20.0).abs() < 1e-9);

    let mut cluster = in_a_large_cluster(&[10.0, 10.0, 10.0]);
    cluster.run(8 * SECOND);
    let ready_at = cluster.now;
    cluster.pod("0").load = 40.0;
    cluster.add("new", 0.0);
    let sent = cluster.run(5 * SECOND);
    let settled = sent.iter().find(|sent| sent.at >= ready_at + 3 * SECOND).unwrap();
    assert!(settled.at <= ready_at + Duration::from_millis(3100), "{sent:?}");
    assert!((settled.instruction.rule().mean() - 15.0).abs() < 1e-9, "not the mean of the four present loads");
    assert_eq!(settled.instruction.interval().get(), SECOND);
}

#[test]
fn in_a_large_cluster_a_pod_that_does_not_answer_is_left_out_after_two_rounds() {
    let mut cluster = in_a_large_cluster(&[10.0, 10.0, 10.0, 10.0, 15.0]);
    cluster.pod("4").is_silent = true;
    let sent = cluster.run(95 * SECOND);
    let means = means(&sent);
    assert!((means[0] - 11.0).abs() < 1e-9 && means[1..].iter().all(|mean| (mean - 10.0).abs() < 1e-9), "{means:?}");
}

/// The load of one workload is uneven, and a large one is at rest.
#[test]
fn pods_at_rest_are_polled_within_a_budget() {
    let mut cluster = TestCluster::with(&[10.0, 2.0]);
    let pods: Vec<Pod> = (0..20_000).map(|n| pod_of(&format!("big-{n}"))).chain(["0", "1"].map(pod_of)).collect();
    let ready = pods.iter().map(|pod| Arc::clone(&pod.uid)).collect();
    for pod in &pods[..20_000] {
        let state = FakePod {
            load: 0.0,
            workload: "shop/Deployment/big",
            is_silent: false,
            sequence: None,
            false_sequence: None,
        };
        cluster.pods.insert(Arc::clone(&pod.uid), state);
    }
    cluster.balancer.observe(Change::Pods(pods), cluster.now);
    cluster
        .balancer
        .observe(Change::Slice(Slice { namespace: "shop".into(), name: "web-1".into(), ready }), cluster.now);
    // They have settled before the first poll.
    cluster.now += 10 * SECOND;
    let (mut instructed, mut in_second, mut small) = (0, 0, Vec::new());
    for tick in 1..=800 {
        cluster.now += Duration::from_millis(50);
        for round in cluster.due() {
            in_second += round.pods.len();
            match &round.instruction {
                Some(instruction) if instruction.workload().name() == "big" => instructed += round.pods.len(),
                Some(_) => small.extend(round.late),
                None => {}
            }
            for polled in round.pods {
                cluster.answer(&polled.uid, round.instruction.as_ref());
            }
        }
        if tick % 20 == 0 {
            // First polls, those at rest, the unused budget of the second before, and the two pods.
            let most = if tick <= 200 { 2 * 4000 + 2 * 1000 + 2 } else { 4000 + 1000 + 2 };
            assert!(in_second <= most, "{in_second} in the second before {tick}");
            in_second = 0;
        }
    }
    assert!((20_000..=60_000).contains(&instructed), "{instructed}");
    assert!(small.len() >= 30 && small.iter().all(|late| *late <= Duration::from_millis(50)), "{small:?}");
}

#[test]
fn pods_that_become_ready_and_unready_do_not_multiply_requests() {
    let mut cluster = TestCluster::with(&[10.0, 10.0, 10.0]);
    cluster.run(90 * SECOND);
    let mut sent = 0;
    for n in 0..200 {
        cluster.balancer.observe(Change::Pod(Pod { is_ready: n % 2 == 1, ..pod_of("2") }), cluster.now);
        sent += cluster.run(Duration::from_millis(100)).len();
    }
    assert!((20..=41).contains(&sent), "{sent} rounds in 20 s");
}

#[test]
fn a_new_leader_does_not_take_first_reports_for_a_change() {
    let mut cluster = TestCluster::with(&[13.0, 7.0, 10.0]);
    cluster.run(300 * SECOND);
    cluster.balancer.restart(cluster.now);
    cluster.pod("2").is_silent = true;
    cluster.run(4 * SECOND);
    cluster.pod("2").is_silent = false;
    let sent = cluster.run(20 * SECOND);
    assert_eq!(sent.last().unwrap().to.len(), 3);
    assert!(sent.iter().all(|sent| sent.instruction.change().ago > 300 * SECOND), "{sent:?}");
}
