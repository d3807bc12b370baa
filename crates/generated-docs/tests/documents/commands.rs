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
//! | `curl` | the same: it stands in the quick start alone |
//! | `jq` behind a pipe | `e2e/tests/documents.rs`: it runs on a list without items |
//! | `cargo`, `cosign`, `gh`, `ln`, `sha256sum` | this test: subcommands and flags are known; what needs the internet says so |
//! | scripts of the repository | this test: they are there |
//! | every block | this test: it is shell |

use std::fs;
use std::process::Command;

use generated_docs::{Block, blocks, pages, root};

const LANGUAGES: [&str; 5] = ["sh", "yaml", "json", "promql", "text"];
const LOOKED_AT: [&str; 4] = ["make", "evenkeel", "helm", "kubectl"];
const SCRIPTS: [&str; 2] = ["bench/install-peers.sh", "fuzz/run"];
const QUICK_START: &str = "docs/QUICKSTART.md";

/// A program of others: its subcommands, of which a command names one where there are any, and its flags.
struct Foreign {
    program: &'static str,
    subcommands: &'static [&'static str],
    flags: &'static [&'static str],
    needs_internet: bool,
}

const FOREIGN: [Foreign; 5] = [
    Foreign {
        program: "cargo",
        subcommands: &["build", "test", "bench", "install", "run"],
        flags: &["--release", "--package", "-p", "--bench", "--locked", "--path", "--manifest-path"],
        needs_internet: false,
    },
    Foreign {
        program: "cosign",
        subcommands: &["verify", "verify-blob"],
        flags: &["--certificate-identity", "--certificate-oidc-issuer", "--bundle"],
        needs_internet: true,
    },
    Foreign { program: "gh", subcommands: &["attestation"], flags: &["--repo"], needs_internet: true },
    Foreign { program: "ln", subcommands: &[], flags: &["-s"], needs_internet: false },
    Foreign { program: "sha256sum", subcommands: &[], flags: &["--check"], needs_internet: false },
];
/// What a page says before it shows a command that needs it.
const INTERNET: &str = "need the internet";

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
    let is_foreign = word == "curl" || FOREIGN.iter().any(|foreign| foreign.program == word);
    LOOKED_AT.contains(&word) || is_foreign || SCRIPTS.contains(&word) || part || assignment
}

/// Returns what is wrong with a command of a program of others; nothing of other commands.
fn fault(command: &str, text_of_page: &str) -> Option<String> {
    let foreign = FOREIGN.iter().find(|foreign| foreign.program == program(command))?;
    let command = without_substitutions(command);
    let mut words = command.split_whitespace().skip_while(|word| *word != foreign.program).skip(1);
    let flags = words.clone().take_while(|word| *word != "--").filter(|word| word.starts_with('-'));
    let unknown = flags.map(|flag| flag.split('=').next().unwrap_or(flag)).find(|flag| !foreign.flags.contains(flag));
    if let Some(flag) = unknown {
        return Some(format!("{flag} is not among the known flags"));
    }
    let first = words.next().unwrap_or_default();
    if !foreign.subcommands.is_empty() && !foreign.subcommands.contains(&first) {
        return Some(format!("{first} is not among the known subcommands"));
    }
    (foreign.needs_internet && !text_of_page.contains(INTERNET)).then(|| format!("the page does not say {INTERNET:?}"))
}

/// Returns a command without what `$(…)` runs before it.
fn without_substitutions(command: &str) -> String {
    let mut parts = command.split("$(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |own, part| own + part.split_once(')').map_or("", |(_, behind)| behind))
}

#[test]
fn commands_of_others_are_known() {
    let pages = pages();
    let mut seen = 0;
    for block in blocks().into_iter().filter(|block| block.language == "sh") {
        for command in block.commands() {
            let at = format!("{}:{}: {command}", block.page, block.line);
            assert_eq!(fault(&command, &pages[&block.page]), None, "{at}");
            assert!(program(&command) != "curl" || block.page == QUICK_START, "{at}: nothing runs it");
            assert!(!SCRIPTS.contains(&program(&command)) || root().join(program(&command)).is_file(), "{at}");
            seen += usize::from(FOREIGN.iter().any(|foreign| foreign.program == program(&command)));
        }
    }
    assert!(seen > 5, "{seen} commands");
}

#[test]
fn wrong_commands_of_others_are_found() {
    let online = "These need the internet.";
    for (command, page, expected) in [
        ("cosign verify-blob X --bundle Y", online, None),
        ("cosign verify-blob X --bundle Y", "", Some("the page does not say \"need the internet\"")),
        ("cosign verfy X", online, Some("verfy is not among the known subcommands")),
        ("gh attestation verify X --rep=a/b", online, Some("--rep is not among the known flags")),
        ("A=b cargo test -- --nocapture", "", None),
        ("ln -s \"$(command -v evenkeel)\" /usr/local/bin", "", None),
        ("kubectl get pods --nonsense", "", None),
    ] {
        assert_eq!(fault(command, page).as_deref(), expected, "{command}");
    }
}

/// The shell reads a block to its end, and runs nothing of it.
#[test]
fn every_block_of_shell_is_shell() {
    for block in blocks().into_iter().filter(|block| block.language == "sh") {
        let read = Command::new("sh").args(["-n", "-c", &block.text]).output().unwrap();
        let said = String::from_utf8_lossy(&read.stderr);
        assert!(read.status.success() && said.is_empty(), "{}:{}: {said}", block.page, block.line);
    }
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
