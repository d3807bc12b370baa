//! A release of its own in the cluster of `KUBECONFIG` for every Helm that `HELM` names, side by side: installed,
//! tested, upgraded after its authority was replaced, rolled back, uninstalled. They review no workload, because no
//! namespace has their label.
//!
//! Their image is that of the release that is installed there already.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::Duration;

use chart_tests::files;
use chart_tests::render::programs;
use serde_json::Value;

/// Half a second apart, for what a new replica does within a second.
const TRIES: usize = 60;

#[test]
fn every_helm_installs_upgrades_and_uninstalls_the_chart() {
    assert!(std::env::var_os("KUBECONFIG").is_some(), "KUBECONFIG names the cluster to use; `make e2e` makes one");
    thread::scope(|scope| {
        for helm in programs() {
            scope.spawn(move || Release::installed(&helm).lives());
        }
    });
}

/// Uninstalled when dropped.
struct Release {
    /// Of the release, its namespace, and its objects.
    name: String,
    helm: String,
    values: Vec<String>,
}

impl Release {
    fn installed(helm: &str) -> Self {
        let program = Path::new(helm).file_name().and_then(OsStr::to_str).expect("HELM names programs");
        let name = format!("life-cycle-{program}");
        run("kubectl", &["create", "namespace", &name]);
        run("kubectl", &["label", "namespace", &name, "pod-security.kubernetes.io/enforce=restricted"]);
        let image = image_of_the_installation();
        let (repository, tag) = image.rsplit_once(':').expect("an image with a tag");
        let values = [
            format!("--set=webhook.image.repository={repository},fullnameOverride={name}"),
            format!("--set-string=webhook.image.tag={tag},namespaces.matchLabels.{name}=on"),
        ];
        let release = Self { name, helm: helm.to_owned(), values: values.into() };
        release.helm_with_chart("install", &[]);
        release
    }

    fn lives(&self) {
        let said = self.helm(&["test", &self.name]);
        assert!(said.contains("Succeeded"), "{said}");
        let (bundle, authority) = (self.bundle(), self.authority());
        assert!(!bundle.is_empty() && !authority.is_empty(), "the chart renders neither");
        assert_eq!(
            bundle, authority,
            "the CA that API servers trust is not the one that signs the replicas' certificates"
        );
        assert_eq!(self.first_authorities(), [1, 0], "two replicas that start at once do not share one authority");

        self.helm_with_chart("upgrade", &["--set=webhook.replicas=1", "--set=webhook.logLevel=debug"]);
        assert_eq!(
            (self.bundle(), self.authority()),
            (bundle.clone(), authority.clone()),
            "an upgrade replaced bundle and authority"
        );

        let replaced = self.replace(&bundle);
        let authority = self.authority();
        self.helm_with_chart("upgrade", &[]);
        assert_eq!(self.authority(), authority, "an upgrade replaced the new authority");
        assert_eq!(self.bundle(), replaced);
        self.helm(&["test", &self.name]);

        self.helm(&["rollback", &self.name, "2", "--wait", "--timeout=3m"]);
        assert_eq!(
            (self.bundle(), self.authority()),
            (replaced, authority),
            "a rollback replaced bundle and authority"
        );
        self.helm(&["test", &self.name]);
    }

    /// Helm with the chart and its values; what is upgraded is waited for.
    fn helm_with_chart(&self, verb: &str, further: &[&str]) {
        let chart = files::path("charts/evenkeel").display().to_string();
        let values = self.values.iter().map(String::as_str);
        let arguments: Vec<&str> =
            [verb, &self.name, &chart, "--wait", "--timeout=3m"].into_iter().chain(values).collect();
        self.helm(&[&arguments, further].concat());
    }

    fn helm(&self, arguments: &[&str]) -> String {
        run(&self.helm, &[arguments, &["--namespace", &self.name]].concat())
    }

    fn bundle(&self) -> String {
        let configuration = get(&["mutatingwebhookconfiguration", &format!("{}-webhook", self.name)]);
        let bundle = &configuration["webhooks"][0]["clientConfig"]["caBundle"];
        bundle.as_str().unwrap_or_default().to_owned()
    }

    fn authority(&self) -> String {
        get(&["secret", &self.authority_secret(), "--namespace", &self.name])["data"]["ca.crt"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// How many authorities each replica has stored, by its log, most first.
    fn first_authorities(&self) -> Vec<usize> {
        let pods = get(&["pods", "--namespace", &self.name, "--selector=app.kubernetes.io/component=webhook"]);
        let names = pods["items"].as_array().expect("a list").iter().filter_map(|pod| pod["metadata"]["name"].as_str());
        let stored =
            |name| run("kubectl", &["logs", name, "--namespace", &self.name]).matches("stored the authorities").count();
        let mut stored: Vec<usize> = names.map(stored).collect();
        stored.sort_unstable_by(|one, other| other.cmp(one));
        stored
    }

    /// As a rotation does, but at once; the new bundle.
    ///
    /// A replica that looks after the authority between the two commands brings back what it knows, so it is tried
    /// again.
    fn replace(&self, bundle: &str) -> String {
        for _ in 0..3 {
            let emptied = r#"{"data": null}"#;
            run(
                "kubectl",
                &[
                    "patch",
                    "secret",
                    &self.authority_secret(),
                    "--namespace",
                    &self.name,
                    "--type=merge",
                    "--patch",
                    emptied,
                ],
            );
            run(
                "kubectl",
                &["delete", "pods", "--namespace", &self.name, "--selector=app.kubernetes.io/component=webhook"],
            );
            for _ in 0..TRIES {
                let now = self.bundle();
                if now != bundle {
                    return now;
                }
                sleep(Duration::from_millis(500));
            }
        }
        panic!("no new authority was published after the deletion of the first");
    }

    fn authority_secret(&self) -> String {
        format!("{}-webhook-ca", self.name)
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        // Not `run`: a panic while panicking would hide the first.
        let uninstalled =
            Command::new(&self.helm).args(["uninstall", &self.name, "--namespace", &self.name, "--wait"]).status();
        let deleted = Command::new("kubectl").args(["delete", "namespace", &self.name, "--wait"]).status();
        if std::thread::panicking() {
            return;
        }
        assert!(uninstalled.is_ok_and(|status| status.success()) && deleted.is_ok_and(|status| status.success()));
        let kinds = "mutatingwebhookconfigurations,clusterroles,clusterrolebindings,validatingadmissionpolicies,\
                     validatingadmissionpolicybindings";
        let left = run(
            "kubectl",
            &["get", kinds, "--selector", &format!("app.kubernetes.io/instance={}", self.name), "--output=name"],
        );
        assert_eq!(left, "", "objects were left by the uninstall");
    }
}

fn image_of_the_installation() -> String {
    // As `make install` does it.
    let found = get(&["deployments", "evenkeel-webhook", "--namespace=evenkeel", "--ignore-not-found"]);
    let image = found.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str);
    image.expect("evenkeel is not installed in the cluster of KUBECONFIG: `make install` does it").to_owned()
}

fn get(what: &[&str]) -> Value {
    serde_json::from_str(&run("kubectl", &[&["get", "--output=json"], what].concat())).expect("kubectl gives JSON")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
