//! The report as one JSON object. The names of its fields are public interface.

use serde::Serialize;
use serde_json::{Value, json};

use crate::check::checked::{Checked, Section, Subject};
use crate::check::finding::{Finding, Severity};

/// Where each finding is explained.
const PAGE: &str = "https://github.com/evenkeel/evenkeel/blob/main/docs/TROUBLESHOOTING.md";

/// Returns the report.
pub(crate) fn json(checked: &Checked) -> Value {
    let sections: Vec<Value> = checked.sections.iter().map(of_section).collect();
    json!({
        "version": 1,
        "problems": checked.count(Severity::Problem),
        "warnings": checked.count(Severity::Warning),
        "objects": sections,
        "notChecked": checked.not_checked,
    })
}

fn of_section(section: &Section) -> Value {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Object<'a> {
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        severity: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        peak_to_mean: Option<f64>,
        findings: Vec<Value>,
    }
    let (kind, namespace, name) = match &section.subject {
        Subject::Installation(release) => ("installation", &release.namespace, &release.name),
        Subject::Object(name) => (name.kind.as_str(), &name.namespace, &name.name),
    };
    // Of a release that is not there nothing is known.
    let known = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
    let object = Object {
        kind,
        namespace: known(namespace),
        name: known(name),
        severity: section.severity().label(),
        peak_to_mean: section.peak_to_mean,
        findings: section.findings.iter().map(of_finding).collect(),
    };
    // Strings and finite numbers: nothing of it can fail.
    serde_json::to_value(object).unwrap_or_default()
}

fn of_finding(finding: &Finding) -> Value {
    json!({
        "id": finding.id.id(),
        "severity": finding.severity.label(),
        "message": finding.message,
        "details": finding.details,
        "fix": finding.fix,
        "command": finding.command,
        "documentation": format!("{PAGE}#check-{}", finding.id.id()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::FindingId;
    use crate::check::installation::Release;

    #[test]
    fn the_json_report_has_the_documented_fields() {
        let findings = vec![FindingId::NotInjected.says("no").fix("yes")];
        let release = Release { namespace: "tools".to_owned(), name: "evenkeel".to_owned() };
        let section = Section { subject: Subject::Installation(release), findings, peak_to_mean: None };
        let checked = Checked { sections: vec![section], not_checked: vec![] };
        let expected = json!({
            "version": 1,
            "problems": 1,
            "warnings": 0,
            "objects": [{
                "kind": "installation",
                "namespace": "tools",
                "name": "evenkeel",
                "severity": "problem",
                "findings": [{
                    "id": "not-injected",
                    "severity": "problem",
                    "message": "no",
                    "details": [],
                    "fix": "yes",
                    "command": null,
                    "documentation": "https://github.com/evenkeel/evenkeel/blob/main/docs/TROUBLESHOOTING.md#check-not-injected",
                }],
            }],
            "notChecked": [],
        });
        assert_eq!(json(&checked), expected);
    }
}
