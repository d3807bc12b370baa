//! The links of the site, as `make book` has built it, lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use generated_docs::{clean, root};

#[test]
#[ignore = "make book builds the site, and runs this"]
fn links_of_the_site_have_targets() {
    let site = root().join("target/book");
    let mut pages = BTreeMap::new();
    read(&site, &mut pages);
    assert!(pages.len() > 20, "{} pages in target/book", pages.len());
    let mut broken = Vec::new();
    for (path, html) in &pages {
        let links = attributes(html, "href").chain(attributes(html, "src"));
        for link in links.filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, id) = link.split_once('#').unwrap_or((link, ""));
            let to = if file.is_empty() { path.clone() } else { clean(&path.parent().unwrap().join(file)) };
            let has_id = || pages.get(&to).is_some_and(|html| attributes(html, "id").any(|there| there == id));
            if !to.exists() || !(id.is_empty() || has_id()) {
                broken.push(format!("{}: {link}", path.strip_prefix(&site).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

/// Reads the pages of a folder, but for the one that mdBook serves at any path, with links from a root.
fn read(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "html") && !path.ends_with("404.html") {
            pages.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
}

/// Returns the values of an attribute, as mdBook writes it.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!(" {name}=\"");
    let rests: Vec<&str> = html.split(opening.as_str()).skip(1).collect();
    rests.into_iter().filter_map(|rest| Some(rest.split_once('"')?.0))
}

#[test]
fn attributes_are_read_from_html() {
    let html = r#"<p id="one"><a class="x" href="y.html#z">x</a><a href="w">"#;
    assert_eq!(attributes(html, "href").collect::<BTreeSet<_>>(), BTreeSet::from(["w", "y.html#z"]));
    assert_eq!(attributes(html, "id").collect::<Vec<_>>(), ["one"]);
}
