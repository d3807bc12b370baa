//! The entries that injection adds to lists of a pod's `spec`, and their recognition.

use serde_json::Value;

use crate::additions::plan::Plan;
use crate::json::named::name;

/// A list of named entries in the `spec` of a pod.
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
    /// Returns whether an entry with this name has the form of an injected one.
    pub(crate) has_injected_form: fn(&Value) -> bool,
    /// Returns the entry for a plan, `None` if the plan needs none.
    pub(crate) wanted: fn(&Plan) -> Option<Value>,
    /// Where the proxy's container mounts it, if it is a volume.
    pub(crate) mount_path: Option<&'static str>,
}

/// How injected entries are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The pod template has the record of an injection: entries with the names of injected ones count as injected, even
    /// if edited.
    Recorded,
    /// There is no record: entries with the names of injected ones count as injected only if they have the form of one.
    Guessed,
}

impl Entry {
    /// Returns whether `other`, an entry of the same list, is an injected entry of this row.
    pub(crate) fn is(&self, other: &Value, origin: Origin) -> bool {
        name(other) == Some(self.name)
            && match origin {
                Origin::Recorded => true,
                Origin::Guessed => (self.has_injected_form)(other),
            }
    }
}
