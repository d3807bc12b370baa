//! The pages of the repository, and the blocks of code in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A block of code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Block {
    /// The page's path in the repository.
    pub page: String,
    /// The line of the page with which the block begins, from 1.
    pub line: usize,
    /// What the fence says; empty where there is none.
    pub language: String,
    /// What is in it, with the line ends.
    pub text: String,
}

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    clean(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
}

/// Returns the path without `.` and `..`.
pub fn clean(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut clean, component| {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            component => clean.push(component),
        }
        clean
    })
}

/// Returns the texts of the pages that are committed, or will be, by their paths in the repository.
///
/// # Panics
/// If git or a page cannot be read.
pub fn pages() -> BTreeMap<String, String> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
    let listed = Command::new("git").args(arguments).current_dir(root()).output().expect("git lists the pages");
    let listed = String::from_utf8(listed.stdout).expect("paths in UTF-8");
    let paths = listed.lines().filter(|path| root().join(path).exists());
    let pages: BTreeMap<String, String> =
        paths.map(|path| (path.to_owned(), fs::read_to_string(root().join(path)).expect("a page"))).collect();
    assert!(pages.len() > 15, "{} pages", pages.len());
    pages
}

/// Returns the blocks of code of all pages.
///
/// # Panics
/// As [`pages`] does.
pub fn blocks() -> Vec<Block> {
    pages().iter().flat_map(|(page, text)| blocks_of(page, text)).collect()
}

fn blocks_of(page: &str, text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language =
                    if let CodeBlockKind::Fenced(language) = kind { language.into_string() } else { String::new() };
                let line = text.get(..range.start).unwrap_or_default().lines().count() + 1;
                blocks.push(Block { page: page.to_owned(), line, language, text: String::new() });
                open = true;
            }
            Event::Text(text) if open => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => open = false,
            _ => {}
        }
    }
    blocks
}

impl Block {
    /// Returns the commands of a block of shell, one a line: continued lines and pipes are joined, comments are left
    /// out.
    pub fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ").replace("|\n", "| ");
        let commands = joined.lines().map(|line| without_comment(line).trim().to_owned());
        commands.filter(|command| !command.is_empty()).collect()
    }
}

/// Returns the line up to a comment: a `#` after white space and outside of quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return line.get(..at).unwrap_or(line),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_blocks_have_their_language_and_line() {
        let page = "# x\n\n```sh\na \\\n  b # c\n\n# d\ne '# f' \"#\"#g\n```\n\n    plain\n";
        let blocks = blocks_of("x.md", page);
        let [shell, plain] = <[Block; 2]>::try_from(blocks).unwrap();
        assert_eq!((shell.language.as_str(), shell.line), ("sh", 3));
        assert_eq!(shell.commands(), ["a    b", "e '# f' \"#\"#g"]);
        assert_eq!((plain.language.as_str(), plain.text.as_str()), ("", "plain\n"));
    }
}
