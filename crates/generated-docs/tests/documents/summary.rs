//! The site has every page of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use generated_docs::{clean, pages, root};

use crate::page::Page;

/// That a listed page exists is what the test of all links says.
#[test]
fn summary_md_lists_every_page_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let listed = Page::read(&fs::read_to_string(&summary).unwrap()).links;
    let paths: BTreeSet<PathBuf> = listed.iter().map(|link| clean(&docs.join(link))).collect();
    assert_eq!(paths.len(), listed.len(), "a page is listed twice in docs/SUMMARY.md");
    let pages: BTreeSet<PathBuf> =
        pages().into_keys().map(|page| root().join(page)).filter(|path| *path != summary).collect();
    let missing: Vec<&PathBuf> = pages.difference(&paths).collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
}
