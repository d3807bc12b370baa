//! Blocks of code say what they are, and commands are of the kinds that a test looks at.
//!
//! | command | looked at by |
//! |---|---|
//! | `make` | this test: the target is there |
//! | `evenkeel` | `crates/cli/tests/documents.rs`: runs what needs no cluster, parses the rest |
//! | annotations in any block | `crates/settings/tests/documents.rs`: the name and the value are usable |
//! | `helm` | `charts/tests/tests/rendered/documents.rs`: the chart renders with these values |
//! | manifests in YAML, and `examples/` | the same: they are what the types of the Kubernetes API read |
//! | `kubectl` | `e2e/tests/documents.rs`: kubectl understands it; the quick start is run from top to bottom |
//! | others | nothing: they need a release, or somebody else's tool |

use std::fs;

use generated_docs::{Block, blocks, root};

const LANGUAGES: [&str; 5] = ["sh", "yaml", "json", "promql", "text"];
const LOOKED_AT: [&str; 4] = ["make", "evenkeel", "helm", "kubectl"];
const OTHERS: [&str; 8] = ["curl", "cosign", "gh", "ln", "sha256sum", "cargo", "bench/install-peers.sh", "fuzz/run"];

#[test]
fn every_code_block_has_a_known_language() {
    let unknown: Vec<Block> =
        blocks().into_iter().filter(|block| !LANGUAGES.contains(&block.language.as_str())).collect();
    assert!(unknown.is_empty(), "expected a fence with one of {LANGUAGES:?}: {unknown:#?}");
}

/// Returns the commands of all blocks of shell, each with its place.
fn commands() -> Vec<(String, String)> {
    let shell = blocks().into_iter().filter(|block| block.language == "sh");
    let commands = shell.flat_map(|block| {
        let at = format!("{}:{}", block.page, block.line);
        block.commands().into_iter().map(move |command| (at.clone(), command))
    });
    commands.collect()
}

#[test]
fn every_command_has_a_test_that_looks_at_it() {
    let commands = commands();
    assert!(commands.len() > 50, "{} commands", commands.len());
    for (at, command) in commands {
        assert!(is_known(&command), "{at}: {command}: say in this file what looks at it");
    }
}

/// Returns a command, or a part of one that began in a line before: of a pipe, a loop or an assignment.
fn is_known(command: &str) -> bool {
    let word = program(command);
    let part = ["for ", "done", "echo "].iter().any(|begin| command.starts_with(begin));
    let assignment = command.split_once("=$(").is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase()));
    LOOKED_AT.contains(&word) || OTHERS.contains(&word) || part || assignment
}

/// Returns the first word that sets no variable.
fn program(command: &str) -> &str {
    command.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default()
}

#[test]
fn make_targets_in_documents_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    for (at, command) in commands() {
        if program(&command) != "make" {
            continue;
        }
        for target in command.split_whitespace().filter(|word| !word.contains('=') && *word != "make") {
            seen += 1;
            let rule = format!("\n{target}:");
            assert!(makefile.contains(&rule), "{at}: the Makefile has no target {target}");
        }
    }
    assert!(seen > 8, "{seen} targets");
}
