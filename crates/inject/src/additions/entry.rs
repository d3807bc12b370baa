//! Entries that injection adds to lists of a pod's `spec`, and how to recognise them.

use serde_json::Value;

use crate::additions::plan::Plan;
use crate::json::named::name;

/// A list in the `spec` of a pod, whose entries have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    InitContainers,
    Volumes,
}

impl List {
    pub(crate) const ALL: [Self; 2] = [Self::InitContainers, Self::Volumes];

    /// Returns the field of the `spec`.
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

/// How to recognise our entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The pod template has the record of an injection: entries with our names count as injected, however they have been edited.
    Recorded,
    /// It did not, or somebody removed it: entries with our names count as injected if they have the form of an injected one.
    Guessed,
}

impl Entry {
    /// Returns whether `other`, an entry of the same list, was injected as this one.
    pub(crate) fn is(&self, other: &Value, origin: Origin) -> bool {
        name(other) == Some(self.name)
            && match origin {
                Origin::Recorded => true,
                Origin::Guessed => (self.has_our_form)(other),
            }
    }
}
