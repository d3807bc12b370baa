//! The options of the recycling proxy's commands: one definition for flags, environment names, help and docs.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;

use crate::fault::Fault;
use crate::value::InvalidValue;

/// An option as command lines, environments and documentation describe it.
pub trait OptionSpec: Copy + Debug + Ord + 'static {
    /// Every option of the command, in the order in which they are documented.
    const ALL: &'static [Self];

    /// Returns the long flag without its dashes.
    fn flag(self) -> &'static str;
    /// Returns the environment variable.
    fn env(self) -> &'static str;
    /// Returns the word for its value in help texts.
    fn value_name(self) -> &'static str;
    /// Returns the default.
    fn default(self) -> Option<&'static str>;
    /// Returns its help: one or two sentences.
    fn help(self) -> &'static str;
    /// Returns whether it takes several values: the flag repeated, or one text with commas.
    fn is_list(self) -> bool;
}

/// The options of a command line or an environment, before they are parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOptions<O> {
    given: BTreeMap<O, Given>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    key: String,
    values: Vec<String>,
}

impl<O: OptionSpec> Default for RawOptions<O> {
    fn default() -> Self {
        Self { given: BTreeMap::new() }
    }
}

impl<O: OptionSpec> RawOptions<O> {
    /// Stores the values of an option and the key under which they were given.
    pub fn give(&mut self, option: O, key: impl Into<String>, values: impl IntoIterator<Item = String>) {
        self.given.insert(option, Given { key: key.into(), values: values.into_iter().collect() });
    }

    /// Reads the variables that `variable` returns. Empty ones count as absent, because a pod template may leave one
    /// blank.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut raw = Self::default();
        for option in O::ALL {
            if let Some(value) = variable(option.env()).filter(|value| !value.is_empty()) {
                raw.give(*option, option.env(), [value]);
            }
        }
        raw
    }

    pub(crate) fn key(&self, option: O) -> String {
        self.given
            .get(&option)
            .map_or_else(|| format!("--{} ({})", option.flag(), option.env()), |given| given.key.clone())
    }

    /// Returns whether the option was given, with any value.
    pub(crate) fn is_given(&self, option: O) -> bool {
        self.given.contains_key(&option)
    }

    /// Returns the items of a list option, split at commas.
    pub(crate) fn list<T: FromStr<Err = InvalidValue>>(&self, option: O, faults: &mut Vec<Fault>) -> Vec<T> {
        let given = self.given.get(&option).map(|given| given.values.join(","));
        let Some(text) = given.or_else(|| option.default().map(str::to_owned)) else { return Vec::new() };
        text.split(',').filter_map(|item| self.parse(option, item, faults)).collect()
    }

    /// Returns the value of an option that has a default.
    pub(crate) fn one<T: FromStr<Err = InvalidValue>>(&self, option: O, faults: &mut Vec<Fault>) -> Option<T> {
        let given = self.given.get(&option).and_then(|given| given.values.last()).map(String::as_str);
        self.parse(option, given.or_else(|| option.default())?, faults)
    }

    fn parse<T: FromStr<Err = InvalidValue>>(&self, option: O, text: &str, faults: &mut Vec<Fault>) -> Option<T> {
        let parsed = text.trim().parse();
        parsed.map_err(|InvalidValue(expected)| faults.push(Fault::invalid(self.key(option), text, expected))).ok()
    }
}
