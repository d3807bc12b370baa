//! `evenkeel uninject KIND/NAME` against an API server that refuses writes.

use std::convert::Infallible;
use std::process::Output;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use inject::{Installation, Outcome, WorkloadKind};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PATH: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const MANAGER: &str = "evenkeel-uninject";

/// An API server that holds one Deployment.
#[derive(Clone)]
struct ApiServer {
    object: Value,
    /// How often it still refuses a write of each kind.
    refusals: Refusals,
    /// How many writes it has accepted.
    accepted: usize,
}

/// The status codes with which the next writes are refused.
#[derive(Clone, Default)]
struct Refusals {
    of_removal: Vec<u16>,
    of_managed_fields: Vec<u16>,
    /// Whether somebody changes the `spec` with each refusal, not a controller the status.
    changes_spec: bool,
}

impl ApiServer {
    fn answer(&mut self, request: &Request<Incoming>, body: &[u8]) -> (u16, Value) {
        if request.uri().path() == "/version" {
            return (200, test_support::version_of_api_server());
        }
        assert_eq!(request.uri().path(), PATH);
        if request.method() == Method::GET {
            return (200, self.object.clone());
        }
        assert_eq!(request.method(), Method::PATCH);
        let is_removal = request.uri().query().is_some_and(|query| query.contains(MANAGER));
        let refusals = if is_removal { &mut self.refusals.of_removal } else { &mut self.refusals.of_managed_fields };
        if let Some(code) = refusals.pop() {
            self.change();
            return (code, status(code));
        }
        let patch: json_patch::Patch = serde_json::from_slice(body).unwrap();
        if json_patch::patch(&mut self.object, &patch).is_err() {
            return (422, status(422));
        }
        self.accepted += 1;
        self.bump("/metadata/resourceVersion");
        if is_removal {
            self.bump("/metadata/generation");
            // The fields of the patch are ours from now on.
            let ours = json!({"manager": MANAGER, "operation": "Update", "fieldsV1": {"f:spec": {}}});
            self.object["metadata"]["managedFields"] = json!([applied_by_author("f:metadata"), ours]);
        }
        (200, self.object.clone())
    }

    /// Writes as somebody else, whom a refused write is in conflict with.
    fn change(&mut self) {
        self.bump("/metadata/resourceVersion");
        if self.refusals.changes_spec {
            self.bump("/metadata/generation");
        } else {
            self.object["status"] = json!({"observedGeneration": 1});
        }
    }

    fn bump(&mut self, pointer: &str) {
        let place = self.object.pointer_mut(pointer).unwrap();
        *place = match &*place {
            Value::String(text) => json!((text.parse::<u64>().unwrap() + 1).to_string()),
            number => json!(number.as_u64().unwrap() + 1),
        };
    }
}

fn status(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "refused"})
}

/// Returns an entry of `managedFields` that server-side apply wrote.
fn applied_by_author(field: &str) -> Value {
    json!({"manager": "author", "operation": "Apply", "fieldsV1": {field: {}}})
}

/// Returns a Deployment as its author applied it.
fn original() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "annotations": {"evenkeel.dev/max-requests": "1000"},
            "resourceVersion": "1",
            "generation": 1,
            "managedFields": [applied_by_author("f:spec")],
        },
        "spec": {"template": {"metadata": {}, "spec": {"containers": [
            {"name": "web", "image": "web", "ports": [{"containerPort": 8080}]},
        ]}}},
    })
}

fn injected() -> Value {
    let mut object = original();
    let outcome = inject::inject(&object, WorkloadKind::Deployment, None, &Installation::default());
    assert!(matches!(outcome, Outcome::Inject { .. }));
    json_patch::patch(&mut object, outcome.patch().unwrap()).unwrap();
    object
}

/// Runs `uninject` against an API server that refuses these writes. Returns the server as it is afterwards.
async fn uninject(refusals: Refusals) -> (ApiServer, Output) {
    let server = Arc::new(Mutex::new(ApiServer { object: injected(), refusals, accepted: 0 }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, Arc::clone(&server)));
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = test_support::write_kubeconfig(folder.path(), address, "shop");
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    program.args(["uninject", "deployment/web", "--kubeconfig"]).arg(&kubeconfig).kill_on_drop(true);
    let output = program.output().await.unwrap();
    serving.abort();
    let _ = serving.await;
    let server = server.lock().unwrap().clone();
    (server, output)
}

async fn serve(listener: TcpListener, server: Arc<Mutex<ApiServer>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { answer(request, &server).await }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    mut request: Request<Incoming>,
    server: &Mutex<ApiServer>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.body_mut().collect().await.unwrap().to_bytes();
    let (code, answer) = server.lock().unwrap().answer(&request, &body);
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    Ok(response)
}

fn managed_fields(server: &ApiServer) -> &Value {
    &server.object["metadata"]["managedFields"]
}

#[tokio::test]
async fn uninject_returns_fields_to_their_manager_despite_conflicts() {
    for (of_removal, of_managed_fields) in [
        (vec![], vec![]),
        (vec![], vec![409]),
        (vec![], vec![422, 409, 409, 422]),
        (vec![409], vec![]),
        (vec![422], vec![409]),
    ] {
        let case = format!("{of_removal:?} {of_managed_fields:?}");
        let (server, output) = uninject(Refusals { of_removal, of_managed_fields, changes_spec: false }).await;
        assert!(output.status.success(), "{case}: {output:?}");
        assert_eq!(server.object["spec"], original()["spec"], "{case}");
        assert_eq!(managed_fields(&server), &json!([applied_by_author("f:spec")]), "{case}");
        assert_eq!(server.accepted, 2, "{case}");
    }
}

#[tokio::test]
async fn uninject_leaves_fields_to_managers_that_changed_them_since() {
    let refusals = Refusals { of_managed_fields: vec![409], changes_spec: true, ..Refusals::default() };
    let (server, output) = uninject(refusals).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.object["spec"], original()["spec"]);
    assert_eq!((managed_fields(&server)[1]["manager"].as_str(), server.accepted), (Some(MANAGER), 1));
}

#[tokio::test]
async fn uninject_stops_after_repeated_conflicts() {
    let of_managed_fields = vec![409; 100];
    let (server, output) = uninject(Refusals { of_managed_fields, ..Refusals::default() }).await;
    assert!(output.status.success(), "the injection is gone: {output:?}");
    assert_eq!((server.object["spec"].clone(), server.accepted), (original()["spec"].clone(), 1));

    let (server, output) = uninject(Refusals { of_removal: vec![422; 100], ..Refusals::default() }).await;
    assert!(!output.status.success(), "{output:?}");
    assert_eq!((server.object["spec"].clone(), server.accepted), (injected()["spec"].clone(), 0));
}
