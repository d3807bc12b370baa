//! The kubeconfig and the version of a test's own API server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Writes a kubeconfig into `folder` for the API server at `server`, over plain HTTP and without credentials. Returns
/// its path. `namespace` is that of its context.
///
/// # Panics
/// Panics if the file cannot be written.
pub fn write_kubeconfig(folder: &Path, server: SocketAddr, namespace: &str) -> PathBuf {
    let path = folder.join("kubeconfig");
    let config = format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: x, cluster: {{server: \"http://{server}\"}}}}]
users: [{{name: x, user: {{}}}}]
contexts: [{{name: x, context: {{cluster: x, user: x, namespace: {namespace}}}}}]
current-context: x
"
    );
    fs::write(&path, config).expect("the folder can be written to");
    path
}

/// Returns the response of an API server of Kubernetes 1.36 to `GET /version`, the first request of `evenkeel`.
pub fn version_of_api_server() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": "",
    })
}
