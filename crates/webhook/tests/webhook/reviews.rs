//! Reviews over real sockets and real TLS.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::CONNECTION;
use inject::Outcome;
use json_patch::{Patch, PatchOperation, RemoveOperation};
use k8s_openapi::ByteString;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use webhook::review::{Handler, LARGEST_BODY};

use crate::running::{Http1, Running, collect, review_of_deployment};

pub(crate) fn patch(response: &Value) -> Patch {
    assert_eq!(response["patchType"], "JSONPatch");
    let ByteString(text) = serde_json::from_value(response["patch"].clone()).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[tokio::test]
async fn an_annotated_deployment_gets_the_proxy() {
    let webhook = Running::injecting().await;
    let review = review_of_deployment(&json!({"evenkeel.dev/max-requests": "1000"}));
    let response = webhook.review(&review).await;
    assert_eq!(response["uid"], review["request"]["uid"]);
    assert_eq!(response["allowed"], true);
    let mut patched = review["request"]["object"].clone();
    json_patch::patch(&mut patched, &patch(&response)).unwrap();
    let containers = patched["spec"]["template"]["spec"]["initContainers"].as_array().unwrap();
    let names: Vec<_> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["recycling-proxy-redirect", "recycling-proxy"]);
    assert!(webhook.shows(r#"evenkeel_webhook_reviews_total{decision="injected",reason="none"} 1"#).await);
}

#[tokio::test]
async fn a_patch_arrives_unchanged() {
    let operation = PatchOperation::Remove(RemoveOperation { path: "/metadata/annotations/a~1b".parse().unwrap() });
    let removal = Patch(vec![operation]);
    let outcome = Outcome::Remove { patch: removal.clone() };
    let handler = Handler::new(Box::new(move |_, _, _| outcome.clone()));
    let webhook = Running::start(handler, Duration::from_millis(1)).await;
    assert_eq!(patch(&webhook.review(&review_of_deployment(&json!({}))).await), removal);
    assert!(webhook.shows(r#"evenkeel_webhook_reviews_total{decision="removed",reason="none"} 1"#).await);
}

#[tokio::test]
async fn a_deployment_without_our_annotations_is_admitted_unchanged() {
    let webhook = Running::injecting().await;
    let review = review_of_deployment(&json!({"app.kubernetes.io/name": "web"}));
    let response = webhook.review(&review).await;
    assert_eq!(response, json!({"uid": review["request"]["uid"], "allowed": true}));
}

#[tokio::test]
async fn an_invalid_annotation_is_admitted_with_a_warning_for_each_fault() {
    let webhook = Running::injecting().await;
    let annotations = json!({"evenkeel.dev/max-requests": "-5", "evenkeel.dev/jiter": "\u{1b}[31m".repeat(1000)});
    let response = webhook.review(&review_of_deployment(&annotations)).await;
    assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null));
    let warnings = response["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for warning in warnings {
        let warning = warning.as_str().unwrap();
        assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning:?}");
    }
    assert!(webhook.shows(r#"evenkeel_webhook_reviews_total{decision="invalid",reason="none"} 1"#).await);
}

#[tokio::test]
async fn strange_values_are_admitted() {
    let webhook = Running::injecting().await;
    let megabyte = "9".repeat(1 << 20);
    let strange =
        ["-5", "18446744073709551616", "NaN", "1\n2", "$(PATH)", "\"10\"", "'10'", "１０", "1О", "", &megabyte];
    for value in strange {
        let review = review_of_deployment(&json!({"evenkeel.dev/max-requests": value}));
        let response = webhook.review(&review).await;
        let value: String = value.chars().take(20).collect();
        assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null), "{value:?}");
        let warnings = response["warnings"].as_array().unwrap();
        assert!(!warnings.is_empty(), "{value:?}");
        for warning in warnings {
            let warning = warning.as_str().unwrap();
            assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{value:?}: {warning:?}");
        }
    }
    let line = format!(r#"evenkeel_webhook_reviews_total{{decision="invalid",reason="none"}} {}"#, strange.len());
    assert!(webhook.shows(&line).await);
}

#[tokio::test]
async fn a_dry_run_gets_the_same_response() {
    let webhook = Running::injecting().await;
    let mut review = review_of_deployment(&json!({"evenkeel.dev/max-requests": "1000"}));
    let run = webhook.review(&review).await;
    review["request"]["dryRun"] = json!(true);
    assert!(run["patch"].is_string());
    assert_eq!(webhook.review(&review).await, run);
}

#[tokio::test]
async fn an_injected_deployment_is_left_unchanged() {
    let webhook = Running::injecting().await;
    let mut review = review_of_deployment(&json!({"evenkeel.dev/max-requests": "1000"}));
    let injection = patch(&webhook.review(&review).await);
    json_patch::patch(&mut review["request"]["object"], &injection).unwrap();
    let response = webhook.review(&review).await;
    assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null));
    assert!(webhook.shows(r#"evenkeel_webhook_reviews_total{decision="unchanged",reason="none"} 1"#).await);
}

#[tokio::test]
async fn malformed_reviews_get_400_and_a_sentence() {
    let webhook = Running::injecting().await;
    let whole = review_of_deployment(&json!({})).to_string();
    let mut other_type = review_of_deployment(&json!({}));
    other_type["kind"] = json!("Review");
    let mut no_uid = review_of_deployment(&json!({}));
    no_uid["request"].as_object_mut().unwrap().remove("uid");
    for (what, body) in [
        ("empty", String::new()),
        ("truncated", whole[..whole.len() / 2].to_owned()),
        ("no JSON", "\u{0}\u{1}".to_owned()),
        ("of another type", other_type.to_string()),
        ("without uid", no_uid.to_string()),
        ("nested without end", "[".repeat(100_000)),
    ] {
        let (status, sentence) = webhook.post(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{what}");
        assert!(sentence.starts_with(b"expected "), "{what}: {sentence:?}");
    }
    assert!(webhook.shows(r#"evenkeel_webhook_reviews_total{decision="refused",reason="malformed"} 6"#).await);
}

#[tokio::test]
async fn objects_other_than_workloads_are_admitted() {
    let webhook = Running::injecting().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let changed = |change: fn(&mut Value)| {
        let mut review = review_of_deployment(&json!({"evenkeel.dev/max-requests": "10"}));
        change(&mut review["request"]);
        review.to_string()
    };
    for (what, reason, body) in [
        ("scale", "subresource", changed(|request| request["subResource"] = json!("scale"))),
        (
            "a Job",
            "kind",
            changed(|request| request["kind"] = json!({"group": "batch", "version": "v1", "kind": "Job"})),
        ),
        ("a deletion", "operation", changed(|request| request["operation"] = json!("DELETE"))),
        ("nothing", "no_object", changed(|request| request["object"] = Value::Null)),
        ("nested", "unparsable", changed(|request| request["object"] = json!("DEEP")).replace("\"DEEP\"", &deep)),
    ] {
        let (status, body) = webhook.post(body).await;
        assert_eq!(status, StatusCode::OK, "{what}");
        let review: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&review["response"]["allowed"], &review["response"]["patch"]),
            (&json!(true), &Value::Null),
            "{what}"
        );
        let line = format!(r#"evenkeel_webhook_reviews_total{{decision="passed",reason="{reason}"}} 1"#);
        assert!(webhook.shows(&line).await, "{what}");
    }
}

#[tokio::test]
async fn malformed_deployments_are_admitted() {
    let webhook = Running::injecting().await;
    for object in [json!("text"), json!([]), json!({}), json!({"metadata": 5}), json!({"spec": {"template": []}})] {
        let mut review = review_of_deployment(&json!({}));
        review["request"]["object"] = object.clone();
        let response = webhook.review(&review).await;
        assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null), "{object}");
    }
}

#[tokio::test]
async fn the_limit_of_a_reviews_body_is_exact() {
    let webhook = Running::injecting().await;
    let review = review_of_deployment(&json!({})).to_string();
    let padded = |length: usize| review.clone() + &" ".repeat(length - review.len());
    assert_eq!(webhook.post(padded(LARGEST_BODY)).await.0, StatusCode::OK);
    assert_eq!(webhook.post(padded(LARGEST_BODY + 1)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(webhook.shows(r#"evenkeel_webhook_reviews_total{decision="refused",reason="too_large"} 1"#).await);
}

#[tokio::test]
async fn ten_megabytes_are_refused_by_their_content_length() {
    let webhook = Running::injecting().await;
    let mut stream = webhook.connect().await;
    stream.write_all(b"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 10485760\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_chunked_body_has_the_same_limit() {
    let webhook = Running::injecting().await;
    let mut stream = webhook.connect().await;
    stream.write_all(b"POST /mutate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = LARGEST_BODY + 1;
    stream.write_all(format!("{chunk:x}\r\n{}", " ".repeat(chunk)).as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_panic_is_counted_and_admits_the_object() {
    let handler = Handler::new(Box::new(|_, _, _| panic!("a bug, on purpose")));
    let webhook = Running::start(handler, Duration::from_millis(1)).await;
    let review = review_of_deployment(&json!({}));
    for _ in 0..2 {
        let response = webhook.review(&review).await;
        assert_eq!(response, json!({"uid": review["request"]["uid"], "allowed": true}));
    }
    assert!(webhook.shows("evenkeel_webhook_panics_total 2").await);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let webhook = Running::injecting().await;
    for (line, status) in [("GET /mutate", "405"), ("POST /", "404"), ("GET /metrics", "404")] {
        let mut stream = webhook.connect().await;
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[9..], status.as_bytes(), "{line}");
    }
}

#[tokio::test]
async fn http2_and_tls_1_2_are_supported() {
    let webhook = Running::injecting().await;
    let (status, _) = webhook.post_http2(review_of_deployment(&json!({})).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    for version in [&TLS12, &TLS13] {
        webhook.connect_with(&[], version).await.unwrap();
    }
}

#[tokio::test]
async fn metrics_and_health_are_served_in_plain_http() {
    let webhook = Running::injecting().await;
    assert_eq!(webhook.get("/livez").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(webhook.get("/readyz").await, (StatusCode::OK, "ok\n".to_owned()));
    let (status, metrics) = webhook.get("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(metrics.contains("evenkeel_webhook_certificate_expiry_timestamp_seconds "), "{metrics}");
    assert!(!metrics.contains("evenkeel_webhook_certificate_expiry_timestamp_seconds 0\n"), "{metrics}");
}

#[tokio::test]
async fn draining_sends_connection_close() {
    let handler = Handler::with_defaults(std::collections::BTreeMap::new());
    let mut webhook = Running::start(handler, Duration::from_hours(1)).await;
    let review = review_of_deployment(&json!({})).to_string();
    let mut kept = Http1::new(webhook.connect().await).await;
    let response = kept.post(review.clone()).await;
    assert_eq!(response.headers().get(CONNECTION), None);
    collect(response).await;

    webhook.end();
    while webhook.get("/readyz").await.0 != StatusCode::SERVICE_UNAVAILABLE {
        tokio::task::yield_now().await;
    }
    assert_eq!(webhook.get("/livez").await.0, StatusCode::OK);
    let response = kept.post(review.clone()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONNECTION], "close");
    collect(response).await;
    assert_eq!(webhook.post(review).await.0, StatusCode::OK, "new connections are still accepted");
}

#[tokio::test]
async fn a_review_in_flight_is_finished_at_shutdown() {
    let mut webhook = Running::injecting().await;
    let body = review_of_deployment(&json!({})).to_string();
    let mut stream = webhook.connect().await;
    let length = body.len();
    let head = format!("POST /mutate HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The webhook waits for the body now, and owes a response.
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut idle = webhook.connect().await;
    webhook.end();
    // Idle connections are closed first. A reset is fine, too.
    let _ = idle.read_to_end(&mut Vec::new()).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(stream);
    webhook.ended().await;
}
