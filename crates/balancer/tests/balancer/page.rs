//! The page, the JSON behind it, and the headers of both.

use balancer::page::{CONTENT_POLICY, FILES};
use http_body_util::{BodyExt as _, Empty};
use hyper::HeaderMap;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::process::Balancer;
use crate::running::{TestCluster, is, until_some};

/// What a request was answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn get(balancer: &Balancer, path: &str) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
    let response = client.get(format!("http://{}{path}", balancer.admin).parse().unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_json_are_served_read_only() {
    let mut cluster = TestCluster::with(50, &[30.0, 10.0]).await;
    let balancer = cluster.start("one");
    cluster.roll_out_keys(1).await;
    cluster.proxies[0].receives(is(20.0)).await;

    for file in FILES {
        let answer = get(&balancer, file.path).await;
        assert_eq!(answer.status, 200, "{}", file.path);
        assert!(!answer.header("content-type").is_empty());
    }
    for path in ["/", "/page.js", "/workloads", "/workloads/shop/Deployment/web", "/metrics", "/nothing"] {
        let answer = get(&balancer, path).await;
        assert_eq!(answer.header("content-security-policy"), CONTENT_POLICY, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}: no other origin may read it");
    }

    let list = get(&balancer, "/workloads?pods=false").await.json();
    assert_eq!((&list["leads"], &list["unknownPods"]), (&json!(true), &json!(0)));
    assert_eq!(list["workloads"][0]["pods"], Value::Null);
    let web = get(&balancer, "/workloads").await.json()["workloads"][0].clone();
    assert_eq!(web["workload"], "shop/Deployment/web");
    assert_eq!(
        (&web["requestsPerSecond"], &web["peakToMean"], &web["level"]),
        (&json!(40.0), &json!(1.5), &json!(false))
    );
    let pods: Vec<(&str, &Value)> =
        web["pods"].as_array().unwrap().iter().map(|pod| (pod["name"].as_str().unwrap(), &pod["share"])).collect();
    assert_eq!(pods, [("web-50", &json!(1.5)), ("web-51", &json!(0.5))]);

    // A third pod: the hour has the event, and points.
    cluster.add(52, 5.0).await;
    cluster.roll_out_keys(1).await;
    cluster.proxies[0].receives(is(15.0)).await;
    let hour = until_some(async || {
        let hour = get(&balancer, "/workloads/shop/Deployment/web").await.json();
        (hour["scaleEvents"].as_array()?.len() == 1).then_some(hour)
    });
    let hour = hour.await;
    let event = &hour["scaleEvents"][0];
    assert_eq!((&event["before"], &event["after"], &event["level"]), (&json!(2), &json!(3), &Value::Null));
    assert_eq!(hour["lastScaleEvent"]["peakToMean"], json!(2.0));
    let loads = hour["points"]["requestsPerSecond"].as_array().unwrap();
    assert!(!loads.is_empty() && hour["points"]["pods"].as_array().unwrap().len() == loads.len(), "{hour}");
    assert!(get(&balancer, "/workloads").await.json()["historyBytes"].as_u64().unwrap() > 10_000);

    for path in ["/workloads/shop/Deployment/none", "/workloads/a/b", "/workloads/A/Deployment/web", "/page.html"] {
        assert_eq!(get(&balancer, path).await.status, 404, "{path}");
    }
}

/// What the policy forbids would not work, and nobody would be told.
#[test]
fn the_page_has_no_inline_script_or_style_and_requests_no_other_origin() {
    for file in FILES {
        let text = file.text();
        for forbidden in
            ["style=", "onclick", "onload", "<style", "javascript:", "innerHTML", "eval(", "https://", "//cdn"]
        {
            assert!(!text.contains(forbidden), "{}: {forbidden}", file.path);
        }
        // The name of a vocabulary is no address that is asked.
        let without_names = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!without_names.contains("http://"), "{}", file.path);
        for script in text.split("<script").skip(1) {
            assert!(script.starts_with(" src=\"page.js\" defer></script>"), "{}: {script}", file.path);
        }
    }
}
