//! Promise: the quick start has the documented effect, and kubectl accepts every command in the documents.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use e2e::{TestNamespace, in_namespace};
use generated_docs::{Block, blocks, root};

const QUICK_START: &str = "docs/QUICKSTART.md";
/// kubectl's errors when its arguments are valid and nothing listens at the server's address.
const NO_SERVER: [&str; 3] = ["connection refused", "did you specify the right host or port", "was refused"];

#[tokio::test]
async fn the_commands_of_the_quick_start_have_the_documented_effect() -> anyhow::Result<()> {
    in_namespace("quick-start", |namespace| async move {
        let shell = Shell::of(&namespace)?;
        shell.run("kubectl apply --filename examples/web.yaml && kubectl rollout status deployment web")?;
        let blocks = blocks().into_iter().filter(|block| block.page == QUICK_START && block.language == "sh");
        // The cluster exists already.
        let blocks: Vec<Block> = blocks.filter(|block| !block.text.starts_with("make kind")).collect();
        let [port, problem, annotate, describe, effect, metrics, back] =
            <[Block; 7]>::try_from(blocks).map_err(|other| anyhow::anyhow!("seven blocks expected: {other:?}"))?;
        shell.run(&port.text)?;
        namespace.settle(shell.address().await?).await?;
        let answered = shell.run(&problem.text)?;
        ensure!(counts(&answered)?.len() == 1, "expected one pod to answer all requests of one connection: {answered}");

        shell.run(&annotate.text)?;
        namespace.settle(shell.address().await?).await?;
        // Pods from before the injection have no metrics.
        namespace.wait_for_rollout("web").await?;
        namespace.wait_for_event("web", "ProxyInjected").await?;
        let events = shell.run(&describe.text)?;
        ensure!(events.contains("ProxyInjected"), "no Event: {events}");
        let answered = shell.run(&effect.text)?;
        let counts = counts(&answered)?;
        ensure!(
            counts.len() == 2 && counts.iter().sum::<u32>() == 400,
            "expected answers of each pod and no failure: {answered}"
        );
        let retired = shell.run(&metrics.text)?;
        ensure!(retired.contains("reason=\"max_requests\""), "no retired connections: {retired}");

        shell.run(&back.text)?;
        let pods = shell.run("kubectl get deployment web --output jsonpath='{.spec.template.spec.initContainers}'")?;
        ensure!(pods.is_empty(), "the proxy is still there: {pods}");
        Ok(())
    })
    .await
}

/// Parses the output of `uniq -c`: the number of responses of each pod.
fn counts(output: &str) -> anyhow::Result<Vec<u32>> {
    output.lines().map(|line| Ok(line.split_whitespace().next().context("a count")?.parse()?)).collect()
}

/// A shell whose kubectl uses the test's namespace, as a reader's uses `default`.
struct Shell {
    namespace: TestNamespace,
    /// A copy of the kubeconfig, in which the namespace is the current one.
    kubeconfig: tempfile::NamedTempFile,
}

impl Shell {
    fn of(namespace: &TestNamespace) -> anyhow::Result<Self> {
        let kubeconfig = tempfile::NamedTempFile::new()?;
        let flat = Command::new("kubectl").args(["config", "view", "--flatten", "--minify"]).output()?;
        std::fs::write(kubeconfig.path(), succeeded(flat)?)?;
        let shell = Self { namespace: namespace.clone(), kubeconfig };
        shell.run(&format!("kubectl config set-context --current --namespace {}", namespace.name()))?;
        Ok(shell)
    }

    /// Runs commands in the repository. Returns their output. The first that fails ends them, also in a pipe.
    fn run(&self, commands: &str) -> anyhow::Result<String> {
        let commands = commands.replace("/namespaces/default/", &format!("/namespaces/{}/", self.namespace.name()));
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &commands])
            .current_dir(root())
            .env("KUBECONFIG", self.kubeconfig.path())
            .output()?;
        succeeded(output).with_context(|| commands)
    }

    /// Returns the address of the quick start's Service.
    async fn address(&self) -> anyhow::Result<std::net::SocketAddr> {
        let service = self.namespace.api::<k8s_openapi::api::core::v1::Service>().get("web-node").await?;
        let port = service.spec.and_then(|spec| spec.ports).unwrap_or_default().first().and_then(|port| port.node_port);
        Ok(self.namespace.at_node(u16::try_from(port.context("no NodePort")?)?))
    }
}

fn succeeded(output: Output) -> anyhow::Result<String> {
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// kubectl parses its arguments before it connects, so no server is needed.
#[test]
fn kubectl_commands_in_documents_parse() -> anyhow::Result<()> {
    let all = blocks().into_iter().filter(|block| block.language == "sh");
    let commands: BTreeSet<String> =
        all.flat_map(|block| block.commands()).filter_map(|command| kubectl(&command)).collect();
    ensure!(commands.len() > 30, "{} commands of kubectl", commands.len());
    let running = commands.iter().map(|command| Ok((command, started(command)?)));
    for (command, child) in running.collect::<anyhow::Result<Vec<_>>>()? {
        let stderr = String::from_utf8(child.wait_with_output()?.stderr)?;
        ensure!(NO_SERVER.iter().any(|words| stderr.contains(words)), "{command}: {stderr}");
    }
    Ok(())
}

/// Runs each jq filter of the documents on a list without items.
#[test]
fn jq_understands_every_filter() -> anyhow::Result<()> {
    let shell = blocks().into_iter().filter(|block| block.language == "sh");
    let filters: BTreeSet<String> = shell.flat_map(|block| block.commands()).filter_map(|it| jq(&it)).collect();
    ensure!(filters.len() > 1, "{filters:?}");
    for filter in filters {
        let output = Command::new("bash").args(["-c", &format!("echo '{{\"items\": []}}' | {filter}")]).output()?;
        ensure!(succeeded(output).with_context(|| filter)?.is_empty(), "the filter has output for an empty list");
    }
    Ok(())
}

/// Returns the part of a command that is jq's own.
fn jq(command: &str) -> Option<String> {
    let (_, from) = command.split_once('|')?;
    let from = from.trim_start();
    from.starts_with("jq ").then(|| own_part(from))
}

/// Returns the part of a command that is kubectl's own: up to a pipe that is not quoted.
fn kubectl(command: &str) -> Option<String> {
    // The plugin is another program.
    let is_own = command.starts_with("kubectl ") && !command.starts_with("kubectl evenkeel ");
    is_own.then(|| own_part(command))
}

/// Returns a command up to a pipe that is not quoted.
fn own_part(command: &str) -> String {
    let mut quoted = false;
    let own = command.chars().take_while(|&c| {
        quoted ^= c == '\'';
        c != '|' || quoted
    });
    own.collect()
}

fn started(command: &str) -> anyhow::Result<std::process::Child> {
    let command = format!("{command} --server=http://127.0.0.1:9 --kubeconfig=/dev/null");
    // `exec` and others pass arguments after `--` to the program.
    let command = match command.split_once(" -- ") {
        Some((own, program)) => format!("{own} --server=http://127.0.0.1:9 --kubeconfig=/dev/null -- {program}"),
        None => command,
    };
    let child = Command::new("bash")
        .args(["-c", &command])
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(child)
}
