//! Certificate files that cannot be used when the webhook starts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use tokio::time::{Instant, sleep};
use webhook::review::Handler;

use crate::running::{Running, certificate, review_of_deployment};

const TIMEOUT: Duration = Duration::from_mins(1);

/// Changes the files into what somebody might have stored.
type Damage = fn(&Path);

#[tokio::test]
async fn they_are_waited_for_until_somebody_repairs_them() {
    let damages: [(Damage, &str); 3] = [
        (another_key, "the private key does not fit the certificate"),
        (|folder| std::fs::write(folder.join("tls.crt"), "").unwrap(), "at least one certificate in PEM"),
        (|folder| std::fs::write(folder.join("tls.key"), "").unwrap(), "a private key in PEM"),
    ];
    for (damage, reason) in damages {
        let folder = tempfile::tempdir().unwrap();
        let trusted = certificate(folder.path());
        damage(folder.path());
        let handler = Handler::with_defaults(BTreeMap::new());
        let mut webhook = Running::start_with_files(folder, trusted, handler, Duration::from_millis(1)).await;

        let (status, said) = webhook.get("/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(said.starts_with("no certificate yet: ") && said.contains(reason), "{said}");
        assert_eq!(webhook.get("/livez").await.0, StatusCode::OK, "a restart would help nothing");

        webhook.renew();
        let repaired = Instant::now();
        while webhook.get("/readyz").await.0 != StatusCode::OK {
            assert!(repaired.elapsed() < TIMEOUT, "the repaired files are not served");
            sleep(Duration::from_millis(20)).await;
        }
        let response = webhook.review(&review_of_deployment(&json!({"evenkeel.dev/enabled": "true"}))).await;
        assert_eq!(response["allowed"], true);
    }
}

fn another_key(folder: &Path) {
    let key = std::fs::read(folder.join("tls.key")).unwrap();
    certificate(folder);
    std::fs::write(folder.join("tls.key"), key).unwrap();
}
