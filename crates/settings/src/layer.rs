//! Annotations of several sources. Later sources override earlier ones.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::annotation::{PREFIX, STATUS_KEY};
use crate::fault::Fault;
use crate::table::{Annotation, ProxyOption, Source};
use crate::value::InvalidValue;

/// The most unknown keys for which a similar known one is suggested. An object can have thousands.
const MOST_HINTS: usize = 20;

/// The annotations of one source. If two layers have the same key, the later one takes precedence. Other prefixes are
/// ignored.
#[derive(Clone, Copy, Debug)]
pub enum Layer<'a> {
    /// The installation's defaults for all workloads, by annotation name without the prefix.
    Installation(&'a BTreeMap<String, String>),
    /// The annotations of the workload's namespace: defaults, which do not opt workloads in.
    Namespace(&'a BTreeMap<String, String>),
    /// The annotations of the workload itself.
    Workload(&'a BTreeMap<String, String>),
    /// The annotations of its pod template.
    PodTemplate(&'a BTreeMap<String, String>),
}

impl<'a> Layer<'a> {
    /// Returns evenkeel's annotations: of each its key as it is written here, without prefix, and its value.
    fn entries(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (annotations, prefix) = match self {
            Self::Installation(defaults) => (defaults, ""),
            Self::Namespace(annotations) | Self::Workload(annotations) | Self::PodTemplate(annotations) => {
                (annotations, PREFIX)
            }
        };
        let others = move |key: &&String| *key != STATUS_KEY;
        let ours = annotations.iter().filter(move |(key, _)| others(key));
        ours.filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())))
    }

    /// Returns the key for messages, with its source unless that is the workload itself.
    fn key(self, name: &str) -> String {
        match self {
            Self::Installation(_) => format!("the installation's default {name}"),
            Self::Namespace(_) => format!("{PREFIX}{name} (namespace)"),
            Self::Workload(_) => format!("{PREFIX}{name}"),
            Self::PodTemplate(_) => format!("{PREFIX}{name} (pod template)"),
        }
    }

    /// Returns whether the layer may set the annotation.
    ///
    /// A namespace may not set the image: an account that may annotate a namespace need not be allowed to choose the
    /// code that runs in its pods.
    const fn takes(self, annotation: Annotation) -> bool {
        match self {
            Self::Installation(_) => annotation.takes_installation_default(),
            Self::Namespace(_) => !matches!(annotation, Annotation::ProxyImage),
            Self::Workload(_) | Self::PodTemplate(_) => true,
        }
    }

    const fn is_installation(self) -> bool {
        matches!(self, Self::Installation(_))
    }

    /// Returns whether it is what the workload's author writes.
    const fn is_of_workload(self) -> bool {
        matches!(self, Self::Workload(_) | Self::PodTemplate(_))
    }

    fn fault_of_stray(self, name: &str, value: &str, may_hint: bool) -> Fault {
        let expected = if self.is_installation() {
            "a setting that an installation can give a default for (see the annotation reference)".to_owned()
        } else if Annotation::of_name(name).is_some() {
            "it on a workload alone, or as the installation's default".to_owned()
        } else if let Some(nearest) = may_hint.then(|| Annotation::nearest(name)).flatten() {
            format!("a known key; the nearest is {nearest}")
        } else {
            "a known key (see the annotation reference)".to_owned()
        };
        Fault::invalid(self.key(name), value, expected)
    }
}

/// The values of each annotation in all layers. The last one counts.
pub(crate) struct Said<'a> {
    values: BTreeMap<Annotation, Vec<(Layer<'a>, &'a str)>>,
    unknown_by_workload: bool,
}

impl<'a> Said<'a> {
    pub(crate) fn of(layers: &[Layer<'a>], faults: &mut Vec<Fault>) -> Self {
        let mut said = Self { values: BTreeMap::new(), unknown_by_workload: false };
        for layer in layers {
            for (name, value) in layer.entries() {
                let known = Annotation::of_name(name).filter(|annotation| layer.takes(*annotation));
                if let Some(annotation) = known {
                    said.values.entry(annotation).or_default().push((*layer, value));
                } else {
                    said.unknown_by_workload |= layer.is_of_workload();
                    faults.push(layer.fault_of_stray(name, value, faults.len() < MOST_HINTS));
                }
            }
        }
        said
    }

    pub(crate) fn contains(&self, annotation: Annotation) -> bool {
        self.values.contains_key(&annotation)
    }

    /// Returns whether the workload itself sets it.
    pub(crate) fn by_workload(&self, annotation: Annotation) -> bool {
        self.places(annotation).any(Layer::is_of_workload)
    }

    /// Returns whether the namespace, the workload or the pod template sets it.
    pub(crate) fn beyond_installation(&self, annotation: Annotation) -> bool {
        self.places(annotation).any(|layer| !layer.is_installation())
    }

    /// Returns whether the workload itself has an unknown key with evenkeel's prefix.
    pub(crate) const fn unknown_by_workload(&self) -> bool {
        self.unknown_by_workload
    }

    /// Returns the value in force as it is written; `None` if it is not set.
    pub(crate) fn last_text(&self, annotation: Annotation) -> Option<&'a str> {
        self.values.get(&annotation)?.last().map(|(_, text)| *text)
    }

    /// Returns the value in force; `None` if it is not set or cannot be used.
    pub(crate) fn last<T: FromStr<Err = InvalidValue>>(
        &self,
        annotation: Annotation,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        let said = self.values.get(&annotation).into_iter().flatten();
        // Overridden values are parsed, too, so that their faults are reported.
        said.map(|(layer, text)| parse(*layer, annotation, text, faults)).last().flatten()
    }

    /// Returns the value in force, or the default of the annotation; `None` if it cannot be used.
    pub(crate) fn one<T: FromStr<Err = InvalidValue>>(
        &self,
        annotation: Annotation,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        if self.contains(annotation) { self.last(annotation, faults) } else { annotation.default_text().parse().ok() }
    }

    /// Returns the items of a list; `None` if it is not set.
    pub(crate) fn list<T: FromStr<Err = InvalidValue>>(
        &self,
        annotation: Annotation,
        faults: &mut Vec<Fault>,
    ) -> Option<Vec<T>> {
        let mut items = |(layer, text): &(Layer<'a>, &'a str)| {
            text.split(',').filter_map(|item| parse(*layer, annotation, item.trim(), faults)).collect()
        };
        self.values.get(&annotation)?.iter().map(&mut items).last()
    }

    fn places(&self, annotation: Annotation) -> impl Iterator<Item = Layer<'a>> {
        self.values.get(&annotation).into_iter().flatten().map(|(layer, _)| *layer)
    }
}

impl Source for Said<'_> {
    fn one<T: FromStr<Err = InvalidValue>>(
        &self,
        annotation: Annotation,
        _: ProxyOption,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        Said::one(self, annotation, faults)
    }
}

fn parse<T: FromStr<Err = InvalidValue>>(
    layer: Layer<'_>,
    annotation: Annotation,
    text: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let fault = |InvalidValue(expected)| faults.push(Fault::invalid(layer.key(annotation.name()), text, expected));
    text.parse().map_err(fault).ok()
}
