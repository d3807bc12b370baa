//! Lines for people: one for each finding, under the object that it is about.

use std::fmt::Write as _;

use super::{Colour, counted, verdict};
use crate::check::checked::{Checked, Section, Subject};
use crate::check::finding::{Finding, Severity};

/// Returns the whole report; with the commands that mend what is found where there is a cluster to run them on.
pub(crate) fn text(checked: &Checked, with_commands: bool, colour: Colour) -> String {
    let mut text = String::new();
    for section in &checked.sections {
        let title = title(section, checked.installations());
        of_section(&mut text, &title, section, with_commands, colour);
    }
    for line in &checked.not_checked {
        put(&mut text, &format!("? not checked: {line}"));
    }
    if checked.workloads() == 0 {
        put(&mut text, "no workload asks for the recycling proxy");
    }
    let verdict = verdict(checked.count(Severity::Problem), checked.count(Severity::Warning));
    put(&mut text, &format!("{}: {verdict}", counted(checked.workloads(), "object")));
    text
}

/// One installation alone needs no name.
fn title(section: &Section, installations: usize) -> String {
    match &section.subject {
        Subject::Installation(release) if installations > 1 => format!("the installation {release}"),
        Subject::Installation(_) => "the installation".to_owned(),
        Subject::Object(name) => format!("{name} in the namespace {}", name.namespace),
    }
}

fn of_section(text: &mut String, title: &str, section: &Section, with_commands: bool, colour: Colour) {
    let verdict = verdict(section.count(Severity::Problem), section.count(Severity::Warning));
    put(text, &format!("{title}: {verdict}"));
    let mut findings: Vec<&Finding> = section.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings {
        of_finding(text, finding, with_commands, colour);
    }
    text.push('\n');
}

fn of_finding(text: &mut String, finding: &Finding, with_commands: bool, colour: Colour) {
    let sign = colour.paint(finding.severity, &finding.severity.sign().to_string());
    put(text, &format!("{sign} {}  [{}]", finding.message, finding.id.id()));
    for detail in &finding.details {
        put(text, &format!("    {detail}"));
    }
    if let Some(fix) = &finding.fix {
        put(text, &format!("    fix: {fix}"));
    }
    if let Some(command) = finding.command.as_ref().filter(|_| with_commands) {
        put(text, &format!("      {command}"));
    }
}

fn put(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::FindingId;
    use crate::check::installation::Release;
    use crate::check::objects::ObjectName;

    #[test]
    fn two_installations_have_names() {
        let of = |namespace: &str| {
            let release = Release { namespace: namespace.to_owned(), name: "evenkeel".to_owned() };
            let findings = vec![FindingId::Installed.says("x")];
            Section { subject: Subject::Installation(release), findings, peak_to_mean: None }
        };
        let said = |sections| text(&Checked { sections, not_checked: vec![] }, true, Colour::Never);
        assert!(said(vec![of("a")]).starts_with("the installation: ok\n"));
        assert!(said(vec![of("a"), of("b")]).contains("the installation evenkeel in the namespace b: ok\n"));
    }

    #[test]
    fn findings_are_sorted_by_severity_under_their_object() {
        let name = ObjectName { namespace: "shop".to_owned(), kind: "deployment".to_owned(), name: "web".to_owned() };
        let findings = vec![
            FindingId::Injected.says("all is well"),
            FindingId::SessionAffinity.says("it sticks").detail("for hours").fix("none").command("kubectl x"),
        ];
        let section = Section { subject: Subject::Object(name), findings, peak_to_mean: None };
        let checked = Checked { sections: vec![section], not_checked: vec!["pods: no right".to_owned()] };
        let expected = "\
deployment/web in the namespace shop: 1 warning
! it sticks  [session-affinity]
    for hours
    fix: none
      kubectl x
✓ all is well  [injected]

? not checked: pods: no right
1 object: 1 warning
";
        assert_eq!(text(&checked, true, Colour::Never), expected);
        assert!(text(&checked, false, Colour::Ansi).contains("\x1b[33m!\x1b[0m it sticks"));
        assert!(!text(&checked, false, Colour::Never).contains("kubectl"));
        assert!(text(&Checked::default(), false, Colour::Never).starts_with("no workload asks"));
    }
}
