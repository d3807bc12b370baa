//! Every link of a page to a file of the repository, or to a heading in one, leads somewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use generated_docs::{clean, pages, root};

use crate::page::Page;

#[test]
fn links_of_the_documents_have_targets() {
    let pages: BTreeMap<PathBuf, Page> =
        pages().iter().map(|(path, text)| (root().join(path), Page::read(text))).collect();
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { path.clone() } else { clean(&path.parent().unwrap().join(file)) };
            let has_anchor = || pages.get(&to).is_none_or(|page| page.anchors.contains(anchor));
            if !to.exists() || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{}: {link}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}
