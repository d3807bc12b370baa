//! Modules of a crate are layers: imports between them run in one direction, so that a module can be read, and moved,
//! with only those that it imports.
//!
//! The test looks at the modules of every folder of every crate; a folder counts as one module. Imports must not form a
//! cycle. Tests are left out, and so is the file of the folder itself (`lib.rs`, `connection.rs`), which declares the
//! modules and may use all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// An import of one module by another, by the file that has it.
type Arrows = BTreeMap<(String, String), BTreeSet<PathBuf>>;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Returns the source folders of all members. `members` of the workspace's manifest are paths, or end with `*`.
fn sources() -> Vec<PathBuf> {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let members = members.split(',').map(|member| member.trim().trim_matches('"')).filter(|member| !member.is_empty());
    let folders = members.flat_map(|member| match member.strip_suffix("/*") {
        Some(parent) => entries(&workspace().join(parent)),
        None => vec![workspace().join(member)],
    });
    folders.map(|folder| folder.join("src")).filter(|source| source.is_dir()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.ends_with("tests") {
        return Vec::new();
    }
    if path.is_dir() {
        return entries(path).iter().flat_map(|entry| rust_files(entry)).collect();
    }
    let is_product = path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs");
    if is_product { vec![path.to_owned()] } else { Vec::new() }
}

/// Returns the text without comments and without the tests at its end.
fn product(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Returns the module path of a file, from the root of its crate: `http1/relay.rs` is `["http1", "relay"]`.
fn module_of(source: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(source).unwrap().with_extension("");
    let mut names: Vec<String> =
        relative.components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|last| last == "mod" || (names.len() == 1 && (last == "lib" || last == "main"))) {
        names.pop();
    }
    names
}

/// Returns what follows `crate::` or leading `super::`s in a text, as paths from the root; groups in braces are spelled
/// out.
fn imports(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in text.match_indices("crate::").chain(text.match_indices("super::")) {
        if text[..at].chars().next_back().is_some_and(|before| is_name(before) || before == ':' || before == '$') {
            continue;
        }
        let (mut rest, mut base) = (&text[at..], Vec::new());
        if let Some(behind) = rest.strip_prefix("crate::") {
            rest = behind;
        } else {
            base = module.to_vec();
            while let Some(behind) = rest.strip_prefix("super::") {
                base.pop();
                rest = behind;
            }
        }
        spell_out(rest, base, &mut found);
    }
    found
}

/// Reads one path, or a group of them, and returns what follows.
fn spell_out<'a>(mut text: &'a str, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    loop {
        text = text.trim_start();
        if let Some(mut rest) = text.strip_prefix('{') {
            loop {
                rest = spell_out(rest, base.clone(), found).trim_start();
                match rest.chars().next() {
                    Some(',') => rest = &rest[1..],
                    Some('}') => return &rest[1..],
                    // An alias, or syntax that this parser does not know.
                    _ => match rest.find([',', '}']) {
                        Some(next) => rest = &rest[next..],
                        None => return rest,
                    },
                }
            }
        }
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        if end > 0 {
            base.push(text[..end].to_owned());
        }
        let Some(behind) = text[end..].strip_prefix("::") else {
            found.push(base);
            return &text[end..];
        };
        text = behind;
    }
}

/// Returns the arrows between the modules of each folder, by the path of the folder's own module.
fn arrows(source: &Path) -> BTreeMap<Vec<String>, Arrows> {
    let files = rust_files(source);
    let modules: BTreeSet<Vec<String>> = files.iter().map(|file| module_of(source, file)).collect();
    let mut arrows: BTreeMap<Vec<String>, Arrows> = BTreeMap::new();
    for file in &files {
        let module = module_of(source, file);
        for import in imports(&product(&fs::read_to_string(file).unwrap()), &module) {
            let common = module.iter().zip(&import).take_while(|(own, imported)| own == imported).count();
            let (Some(from), Some(to)) = (module.get(common), import.get(common)) else { continue };
            if modules.contains(&import[..=common])
                || modules.iter().any(|module| module.starts_with(&import[..=common]))
            {
                let of_folder = arrows.entry(module[..common].to_vec()).or_default();
                of_folder.entry((from.clone(), to.clone())).or_default().insert(file.clone());
            }
        }
    }
    arrows
}

/// Returns the arrows that are part of a cycle.
fn circular(arrows: &Arrows) -> Vec<&(String, String)> {
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut ahead) = (BTreeSet::new(), vec![from]);
        while let Some(module) = ahead.pop() {
            if module == to {
                return true;
            }
            if seen.insert(module) {
                ahead.extend(arrows.keys().filter(|(start, _)| start == module).map(|(_, end)| end.as_str()));
            }
        }
        false
    };
    arrows.keys().filter(|(from, to)| reaches(to, from)).collect()
}

/// Returns a line for each arrow of a crate that is part of a cycle.
fn faults(source: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for (folder, arrows) in arrows(source) {
        for arrow in circular(&arrows) {
            let (from, to) = arrow;
            let files: Vec<_> = arrows[arrow].iter().map(|file| file.strip_prefix(workspace()).unwrap()).collect();
            faults.push(format!("{}: {from} imports {to}, which depends on {from}: {files:?}", folder.join("::")));
        }
    }
    faults
}

#[test]
fn no_module_imports_run_in_circles() {
    let sources = sources();
    assert!(sources.len() > 10, "{sources:?}");
    for source in &sources {
        let faults = faults(source);
        assert!(faults.is_empty(), "imports run in circles:\n{}", faults.join("\n"));
    }
}

#[test]
fn paths_and_groups_are_read() {
    let module = ["http1".to_owned(), "relay".to_owned()];
    let text = "use super::fault::Fault;\nuse crate::{http2, tls::{self, fault::TlsFault as F}};\ncrate::memory::Pool::new();\n\
                use super::super::side; $crate::x::y; my_crate::z";
    let paths: Vec<String> = imports(text, &module).iter().map(|path| path.join("::")).collect();
    for expected in ["http1::fault::Fault", "http2", "tls::self", "tls::fault::TlsFault", "memory::Pool::new", "side"] {
        assert!(paths.iter().any(|path| path == expected), "{expected} is not in {paths:?}");
    }
    for other in ["x::y", "z"] {
        assert!(!paths.iter().any(|path| path == other), "{other} is in {paths:?}");
    }
}

#[test]
fn a_circle_of_imports_is_found() {
    let arrow = |from: &str, to: &str| ((from.to_owned(), to.to_owned()), BTreeSet::new());
    let line: Arrows = [arrow("a", "b"), arrow("b", "c"), arrow("a", "c")].into();
    assert!(circular(&line).is_empty());
    let circle: Arrows = [arrow("a", "b"), arrow("b", "c"), arrow("c", "b")].into();
    assert_eq!(circular(&circle).len(), 2);
}
