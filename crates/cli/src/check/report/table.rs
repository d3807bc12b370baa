//! A table with a line for each object, for many of them.

use std::fmt::Write as _;

use comfy_table::{Table, presets};

use super::{Colour, verdict};
use crate::check::checked::{Checked, Section, Subject};
use crate::check::finding::Severity;

/// Returns the table: of each object the worst findings.
pub(crate) fn table(checked: &Checked, colour: Colour) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["NAMESPACE", "OBJECT", "PEAK/MEAN", "VERDICT"]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for section in &checked.sections {
        for (index, said) in said(section, colour).iter().enumerate() {
            let (namespace, object) = match (&section.subject, index) {
                (Subject::Object(name), 0) => (name.namespace.as_str(), name.to_string()),
                (Subject::Installation(release), 0) => (release.namespace.as_str(), "installation".to_owned()),
                (_, _) => ("", String::new()),
            };
            let peak = section.peak_to_mean.filter(|_| index == 0).map_or(String::new(), |peak| format!("{peak:.2}"));
            table.add_row([namespace, &object, &peak, said]);
        }
    }
    let mut text: String = table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]).collect();
    // Writing to a string does not fail.
    for line in &checked.not_checked {
        let _ = writeln!(text, "? not checked: {line}");
    }
    let (problems, warnings) = (checked.count(Severity::Problem), checked.count(Severity::Warning));
    let _ = writeln!(text, "{}: {}", super::counted(checked.workloads(), "object"), verdict(problems, warnings));
    text
}

fn said(section: &Section, colour: Colour) -> Vec<String> {
    let worst = section.severity();
    if worst == Severity::Good {
        return vec![format!("{} ok", colour.paint(worst, &worst.sign().to_string()))];
    }
    let bad = section.findings.iter().filter(|finding| finding.severity > Severity::Good);
    bad.flat_map(|finding| {
        let sign = colour.paint(finding.severity, &finding.severity.sign().to_string());
        let line = format!("{sign} {}  [{}]", finding.message, finding.id.id());
        let command = finding.command.as_ref().map(|command| format!("  {command}"));
        [Some(line), command].into_iter().flatten()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::FindingId;
    use crate::check::objects::ObjectName;

    #[test]
    fn each_object_has_a_row_with_its_verdict() {
        let name = |name: &str| {
            let (namespace, kind) = ("shop".to_owned(), "deployment".to_owned());
            Subject::Object(ObjectName { namespace, kind, name: name.to_owned() })
        };
        let good =
            Section { subject: name("web"), findings: vec![FindingId::Injected.says("x")], peak_to_mean: Some(1.13) };
        let bad = vec![FindingId::NotReviewed.says("no proxy").command("kubectl rollout restart deployment/db")];
        let bad = Section { subject: name("db"), findings: bad, peak_to_mean: None };
        let checked = Checked { sections: vec![good, bad], not_checked: vec![] };
        let expected = "\
NAMESPACE  OBJECT          PEAK/MEAN  VERDICT
shop       deployment/web  1.13       ✓ ok
shop       deployment/db              ✗ no proxy  [not-reviewed]
                                        kubectl rollout restart deployment/db
2 objects: 1 problem
";
        assert_eq!(table(&checked, Colour::Never), expected);
    }
}
