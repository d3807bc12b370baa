//! The decision about one workload.

use std::collections::BTreeMap;

use serde_json::Value;
use settings::{Layer, WorkloadSettings};

use crate::kind::WorkloadKind;
use crate::outcome::Outcome;

/// Decides what becomes of `workload`, an object of this `kind` as JSON.
///
/// `defaults` are the installation's, by annotation name without the prefix. The annotations of the workload win over
/// them, and those of its pod template over both.
pub fn inject(workload: &Value, kind: WorkloadKind, defaults: &BTreeMap<String, String>) -> Outcome {
    let _ = (workload, kind.template());
    match WorkloadSettings::resolve(&[Layer::Installation(defaults)]) {
        Ok(_) => Outcome::NotAsked,
        Err(faults) => Outcome::Invalid { faults, patch: json_patch::Patch::default() },
    }
}
