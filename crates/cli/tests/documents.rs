//! The commands of `evenkeel` that documents show are commands of this program.

use std::process::Command;

use generated_docs::{Block, blocks, root};

/// Subcommands that need no cluster.
const OFFLINE: [&str; 2] = ["simulate", "completion"];
/// "The command line cannot be used", in the documentation of every subcommand.
const USAGE: i32 = 64;
/// A cluster where nothing listens.
const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: none
contexts: [{name: none, context: {cluster: none, user: none}}]
clusters: [{name: none, cluster: {server: 'http://127.0.0.1:9'}}]
users: [{name: none, user: {}}]
";

#[test]
fn commands_of_evenkeel_in_documents_parse() {
    let commands: Vec<String> =
        blocks().iter().filter(|block| block.language == "sh").flat_map(Block::commands).collect();
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(kubeconfig.path(), KUBECONFIG).unwrap();
    let mut seen = 0;
    for command in commands.iter().flat_map(|command| command.split(" | ")) {
        let Some(arguments) = command.strip_prefix("kubectl ").unwrap_or(command).strip_prefix("evenkeel ") else {
            continue;
        };
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        // What asks the cluster fails by that, after its arguments were read.
        let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(&arguments)
            .current_dir(root())
            .env("KUBECONFIG", kubeconfig.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let is_offline = arguments.first().is_some_and(|first| OFFLINE.contains(first));
        assert!(
            if is_offline { output.status.success() } else { output.status.code() != Some(USAGE) },
            "{command}: {said}"
        );
        seen += 1;
    }
    assert!(seen > 2, "{seen} commands");
}
