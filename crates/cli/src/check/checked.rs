//! The result of a check.

use std::process::ExitCode;

use super::finding::{Finding, FindingId, Severity};
use super::installation::Release;
use super::live::Found;
use super::objects::{ObjectName, Objects};
use super::rules;
use super::scope::Scopes;
use super::workload::Workload;
use settings::Annotation;

/// The exit code if there are problems.
const FOUND: u8 = 2;

/// The findings about one object, or about the installation.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) subject: Subject,
    pub(crate) findings: Vec<Finding>,
    /// The load of the busiest pod divided by the mean, where it was measured.
    pub(crate) peak_to_mean: Option<f64>,
}

/// What findings are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Evenkeel itself; of a release that is not there, the name is empty.
    Installation(Release),
    Object(ObjectName),
}

impl Subject {
    /// Returns the name of an object.
    pub(crate) fn object(&self) -> Option<&ObjectName> {
        match self {
            Self::Installation(_) => None,
            Self::Object(name) => Some(name),
        }
    }
}

/// All findings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) sections: Vec<Section>,
    /// What was not checked, and why: rights that are missing, and pods that do not answer.
    pub(crate) not_checked: Vec<String>,
}

impl Section {
    /// Returns the highest severity of the findings.
    pub(crate) fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Good)
    }

    /// Returns how many findings are so bad.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl Checked {
    /// Returns how many findings are so bad.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.sections.iter().map(|section| section.count(severity)).sum()
    }

    /// Adds what pods told of a workload.
    pub(crate) fn add(&mut self, name: &ObjectName, found: Found) {
        if let Some(section) = self.sections.iter_mut().find(|section| section.subject.object() == Some(name)) {
            section.findings.extend(found.findings);
            section.peak_to_mean = found.peak_to_mean;
        }
    }

    /// Returns how many workloads were checked.
    pub(crate) fn workloads(&self) -> usize {
        self.sections.iter().filter(|section| section.subject.object().is_some()).count()
    }

    /// Returns how many installations were checked.
    pub(crate) fn installations(&self) -> usize {
        self.sections.len() - self.workloads()
    }

    /// Returns 0 for clean, 2 if problems were found, and 1 if there are warnings and these count.
    pub(crate) fn code(&self, strict: bool) -> ExitCode {
        match (self.count(Severity::Problem), self.count(Severity::Warning)) {
            (1.., _) => ExitCode::from(FOUND),
            (0, 1..) if strict => ExitCode::FAILURE,
            (0, _) => ExitCode::SUCCESS,
        }
    }
}

/// Returns the workloads among the objects that ask for the proxy, have it, or try to.
pub(crate) fn workloads(objects: &Objects, scopes: &Scopes) -> Vec<Workload> {
    let read = |(name, kind, object): &(ObjectName, inject::WorkloadKind, serde_json::Value)| {
        let facts = objects.namespaces.get(&name.namespace).map(super::objects::NamespaceObjects::facts);
        let scope = scopes.over(&name.namespace, *kind, objects);
        Workload::read((name.clone(), *kind, object.clone()), facts.as_ref(), &scope.installation)
    };
    objects.workloads.iter().filter_map(read).collect()
}

/// Applies every rule that needs no running pod.
pub(crate) fn checked(workloads: &[Workload], objects: &Objects, scopes: &Scopes) -> Checked {
    let of_workload = |workload: &Workload| {
        let mut findings = rules::misplaced(&workload.object, true);
        let scope = scopes.over(&workload.name.namespace, workload.kind, objects);
        findings.extend(rules::of_workload(workload, objects, scope));
        findings.extend(reviewed_twice(workload, objects, scopes));
        Section { subject: Subject::Object(workload.name.clone()), findings, peak_to_mean: None }
    };
    let keys = [Annotation::MaxRequests, Annotation::Balance].map(Annotation::key);
    // kustomize's commonAnnotations are on every object.
    let asked = |namespace: &str| {
        let asks = |workload: &Workload| keys.iter().any(|key| workload.annotations.contains_key(*key));
        workloads.iter().any(|workload| workload.name.namespace == namespace && asks(workload))
    };
    let of_other = |(name, object): &(ObjectName, serde_json::Value)| {
        let has_template = object.pointer("/spec/template/spec").is_some();
        let findings = rules::misplaced(object, asked(&name.namespace) && !has_template);
        Section { subject: Subject::Object(name.clone()), findings, peak_to_mean: None }
    };
    let sections = workloads.iter().map(of_workload).chain(objects.others.iter().map(of_other));
    Checked { sections: sections.filter(|section| !section.findings.is_empty()).collect(), not_checked: Vec::new() }
}

/// Each webhook makes the workload what it would have it be.
fn reviewed_twice(workload: &Workload, objects: &Objects, scopes: &Scopes) -> Option<Finding> {
    let reviewers = scopes.reviewers(&workload.name.namespace, workload.kind, objects);
    let releases: Vec<String> =
        reviewers.iter().filter_map(|scope| Some(scope.release.as_ref()?.to_string())).collect();
    (releases.len() > 1 && workload.asks()).then(|| {
        let finding = FindingId::ReviewedTwice
            .says("more than one release of evenkeel reviews the workload: settings and version are those of the last");
        let finding = releases.into_iter().fold(finding, Finding::detail);
        finding.fix("let namespaces.matchLabels of each release's values select other namespaces")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_worst_finding() {
        let of = |findings: Vec<Finding>| Checked {
            sections: vec![Section {
                subject: Subject::Installation(Release::default()),
                findings,
                peak_to_mean: None,
            }],
            ..Checked::default()
        };
        let [good, warning, problem] =
            [FindingId::Injected, FindingId::SessionAffinity, FindingId::NotInjected].map(|id| id.says("x"));
        for (findings, plain, strict) in [
            (vec![], ExitCode::SUCCESS, ExitCode::SUCCESS),
            (vec![good.clone()], ExitCode::SUCCESS, ExitCode::SUCCESS),
            (vec![good, warning.clone()], ExitCode::SUCCESS, ExitCode::FAILURE),
            (vec![warning, problem], ExitCode::from(2), ExitCode::from(2)),
        ] {
            let checked = of(findings);
            assert_eq!(format!("{:?}", checked.code(false)), format!("{plain:?}"));
            assert_eq!(format!("{:?}", checked.code(true)), format!("{strict:?}"));
        }
    }
}
