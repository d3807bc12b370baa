//! Verdicts of a suite, from its report in the form of `JUnit`.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use roxmltree::{Document, Node};

/// What a suite says of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it has to be.
    Passed,
    /// Not as it has to be.
    Failed,
    /// The suite could not tell.
    Skipped,
}

/// The name of a case: the section that it belongs to, and what it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The section, as the suite takes it on its command line.
    pub section: String,
    /// What the case does.
    pub title: String,
}

/// Reads a report, in which no two cases may have one name.
pub fn verdicts(report: &str) -> anyhow::Result<BTreeMap<Case, Verdict>> {
    let document = Document::parse(report).context("the suite's report")?;
    let mut verdicts = BTreeMap::new();
    for case in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let name = name(case)?;
        ensure!(verdicts.insert(name.clone(), verdict(case)).is_none(), "two cases are called {name:?}");
    }
    Ok(verdicts)
}

fn name(case: Node<'_, '_>) -> anyhow::Result<Case> {
    let attribute = |name| case.attribute(name).map(str::to_owned).with_context(|| format!("a case without a {name}"));
    Ok(Case { section: attribute("package")?, title: attribute("classname")? })
}

fn verdict(case: Node<'_, '_>) -> Verdict {
    let has = |tag| case.children().any(|child| child.has_tag_name(tag));
    match (has("failure") || has("error"), has("skipped")) {
        (true, _) => Verdict::Failed,
        (false, true) => Verdict::Skipped,
        (false, false) => Verdict::Passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_of_a_report_has_its_verdict() {
        let report = r#"<testsuites><testsuite name="3.5. Preface">
            <testcase package="http2/3.5" classname="a"></testcase>
            <testcase package="http2/3.5" classname="b"><error>reset</error></testcase>
            <testcase package="http2/3.6" classname="b"><skipped></skipped></testcase>
            <testcase package="http2/3.7" classname="b"><failure/></testcase>
        </testsuite></testsuites>"#;
        let all: Vec<_> = verdicts(report).unwrap().into_values().collect();
        assert_eq!(all, [Verdict::Passed, Verdict::Failed, Verdict::Skipped, Verdict::Failed]);
    }

    #[test]
    fn ambiguous_or_empty_reports_are_errors() {
        let twice = r#"<s><testcase package="1" classname="a"/><testcase package="1" classname="a"/></s>"#;
        assert!(verdicts(twice).is_err());
        assert!(verdicts("<s><testcase/></s>").is_err());
        assert!(verdicts("").is_err());
    }
}
