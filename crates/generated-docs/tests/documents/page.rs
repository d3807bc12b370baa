//! Pages in Markdown, as far as tests look at them.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// What a page links to, and what can be linked to in it.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) links: Vec<String>,
    pub(crate) anchors: BTreeSet<String>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self::default();
        let (mut heading, mut seen) = (None::<String>, BTreeMap::<String, usize>::new());
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let earlier = seen.entry(anchor.clone()).or_default();
                    page.anchors.insert(if *earlier == 0 { anchor } else { format!("{anchor}-{earlier}") });
                    *earlier += 1;
                }
                Event::Html(html) | Event::InlineHtml(html) => page.anchors.extend(ids(&html)),
                _ => {}
            }
        }
        page
    }
}

/// Returns the anchor that GitHub gives a heading: small letters, hyphens for spaces, and no punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the anchors that HTML sets, as `<a id="name">`.
fn ids(html: &CowStr<'_>) -> Vec<String> {
    html.split("id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    let page =
        Page::read("# A `b_c`: *d*, e!\n\n## Same\n\n## Same\n\n<a id=\"own\"></a>\n\n[x](y.md#z) `[not](a-link)`\n");
    let anchors: Vec<&str> = page.anchors.iter().map(String::as_str).collect();
    assert_eq!(anchors, ["a-b_c-d-e", "own", "same", "same-1"]);
    assert_eq!(page.links, ["y.md#z"]);
}
