//! Entries that injection adds to lists of a pod's `spec`, and how they are told from those of others.

use serde_json::Value;

use crate::plan::Plan;

/// A list in the `spec` of a pod, whose entries have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    InitContainers,
    Volumes,
}

impl List {
    pub(crate) const ALL: [Self; 2] = [Self::InitContainers, Self::Volumes];

    /// The field of the `spec`.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::InitContainers => "initContainers",
            Self::Volumes => "volumes",
        }
    }
}

/// An entry that injection adds to a list.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// Whether an entry of this name has the form that injection gives it.
    pub(crate) has_our_form: fn(&Value) -> bool,
    /// Returns the entry for a plan, `None` if the plan needs none.
    pub(crate) wanted: fn(&Plan) -> Option<Value>,
    /// Where the proxy's container mounts it, if it is a volume.
    pub(crate) mount_path: Option<&'static str>,
}

/// Whether an earlier injection left its record in the pod template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It did: entries with our names are ours, however they have been edited since.
    Recorded,
    /// It did not, or somebody removed it: ours are the entries with our names that have the form we gave them.
    Guessed,
}

impl Entry {
    /// Whether the entry `other` of the same list was injected as this one.
    pub(crate) fn is(&self, other: &Value, origin: Origin) -> bool {
        name(other) == Some(self.name)
            && match origin {
                Origin::Recorded => true,
                Origin::Guessed => (self.has_our_form)(other),
            }
    }
}

/// Returns the name of an entry.
pub(crate) fn name(entry: &Value) -> Option<&str> {
    entry.get("name")?.as_str()
}
