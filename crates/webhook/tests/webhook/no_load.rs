//! Causes for which new pods get no load in spite of the annotation, as the webhook sees them: each has an Event, a
//! line in the log, a counter, and an alert that fires. `crates/recycling-proxy/tests/black_box/no_load.rs` tests what
//! the proxies see, and has a table of all causes.

use serde_json::{Value, json};
use test_support::{Scraped, expect_alerts};

use crate::api_server::{ApiServer, Contents};
use crate::process::Process;
use crate::services::{ASKS, asking, injected, service, stored, to};

/// A way, and what is to be seen of it.
struct Way {
    deployment: Value,
    service: Option<Value>,
    namespace: Value,
    event: &'static str,
    /// A part of the Event's note.
    words: &'static str,
    /// The label of `evenkeel_webhook_events_total`.
    reason: &'static str,
    alerts: &'static [(&'static str, u32)],
}

fn ways() -> Vec<Way> {
    const BYPASSES: &[(&str, u32)] = &[("EvenkeelServiceBypassesProxy", 1)];
    let by_name = json!({ASKS.0: ASKS.1, "evenkeel.dev/interception": "named-port"});
    let mut sticky = to(8080);
    sticky["sessionAffinity"] = json!("ClientIP");
    let way = |deployment, service, event, words, reason, alerts| Way {
        deployment,
        service,
        namespace: json!({}),
        event,
        words,
        reason,
        alerts,
    };
    let injected = || injected("web", &asking());
    let opted_out = way(
        stored("web", &asking()),
        None,
        "NamespaceOptedOut",
        "evenkeel.dev/inject=disabled",
        "opted_out",
        &[("EvenkeelWorkloadsOptedOut", 1)],
    );
    vec![
        way(
            crate::services::injected("web", &by_name),
            Some(to(8080)),
            "ServiceBypassesProxy",
            "port 80 → 8080 is a number, and with named-port only names lead to the proxy",
            "bypassed",
            BYPASSES,
        ),
        // Which of the pods are idle, the proxies' metrics tell.
        way(injected(), Some(sticky), "SessionAffinity", "come back to the same pod", "session_affinity", &[]),
        way(injected(), Some(to(9999)), "ServiceBypassesProxy", "targets 9999, which no", "bypassed", BYPASSES),
        Way { namespace: json!({"labels": {"evenkeel.dev/inject": "disabled"}}), ..opted_out },
        way(
            stored("web", &asking()),
            None,
            "InjectionMissed",
            "run kubectl rollout restart",
            "missed",
            &[("EvenkeelWorkloadsMissed", 1)],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs promtool: make alerts"]
async fn each_cause_is_reported_in_warning_event_log_and_metric() {
    for way in ways() {
        let deployments = vec![way.deployment.to_string()];
        let services = way.service.iter().map(|spec| service("web", spec)).collect();
        let (contents, namespace) = (Contents { deployments, services, ..Contents::default() }, way.namespace);
        let cluster = ApiServer::start(Contents { namespace, ..contents }).await;
        let webhook = Process::opted_out_by_label(&cluster).await;
        let note = cluster.note(way.event).await;
        assert!(note.contains(way.words), "{note}");
        let line = webhook.line_with(&format!("reason=\"{}\"", way.reason)).await;
        assert!(line.contains("an Event was published") && line.contains("name=\"web\""), "{line}");
        let after = webhook.metrics().await;
        let counted = format!("evenkeel_webhook_events_total{{reason=\"{}\"}} 1", way.reason);
        assert!(after.lines().any(|line| line == counted), "{counted} is not in\n{after}");
        let labels = &[("namespace", "NAMESPACE"), ("pod", "a")];
        let alerts = expect_alerts(&[Scraped { labels, before: String::new(), after }], 5, way.alerts);
        alerts.unwrap_or_else(|failure| panic!("{}: {failure:?}", way.event));
    }
}
