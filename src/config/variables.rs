//! The environment of the process, with the values of its references to secrets in AWS.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::Secret;
use super::reference::Reference;
use super::settings;
use super::values::Fault;

/// The variables from which the settings are read. Some may refer to a secret in AWS; aws/secrets.rs reads those.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables {
    given: BTreeMap<String, String>,
    /// Values of references by variable, or why a value could not be read.
    read: BTreeMap<String, Result<Secret, String>>,
}

impl Variables {
    /// The environment of the process.
    pub fn from_env() -> Variables {
        Variables::from(as_text(std::env::vars_os()))
    }

    /// The variables that refer to a secret, with their references.
    pub fn references(&self) -> Vec<(&'static str, Result<Reference, Fault>)> {
        let set = settings::known_names().filter_map(|name| Some((name, self.given(name)?)));
        let mut found: Vec<_> =
            set.filter_map(|(name, text)| Some((name, Reference::parse(text)?))).collect();
        // A variable may belong to two settings.
        found.sort_by_key(|(name, _)| *name);
        found.dedup_by_key(|(name, _)| *name);
        found
    }

    /// Adds the values of references.
    pub fn with_values(
        self,
        values: impl IntoIterator<Item = (&'static str, Result<Secret, String>)>,
    ) -> Variables {
        let read = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Variables { read, ..self }
    }

    /// Only these variables, without the values of references, so that those can be read again; `None` if none is a
    /// reference.
    pub(super) fn without_values(&self, names: &[&str]) -> Option<Variables> {
        let given = names.iter().filter_map(|name| Some(((*name).to_owned(), self.given(name)?.to_owned())));
        let variables = Variables::from(given.collect::<BTreeMap<_, _>>());
        (!variables.references().is_empty()).then_some(variables)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.given.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.as_str())
    }

    /// A variable's own text, even if it is a reference; an empty one counts as absent.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).filter(|value| !value.is_empty()).map(String::as_str)
    }

    /// The value of a variable. For a reference: the value it refers to, or why that could not be read.
    pub(super) fn value(&self, name: &str) -> Option<Result<&str, &str>> {
        let given = self.given(name)?;
        match self.read.get(name) {
            Some(Ok(value)) => return Some(Ok(value.expose())),
            Some(Err(fault)) => return Some(Err(fault)),
            None => {}
        }
        Some(match Reference::parse(given).filter(|_| settings::is_known(name)) {
            Some(Ok(_)) => Err("is the ARN of a secret that was not read; set the value itself here"),
            Some(Err(fault)) => Err(fault),
            None => Ok(given),
        })
    }
}

impl From<BTreeMap<String, String>> for Variables {
    fn from(given: BTreeMap<String, String>) -> Variables {
        Variables { given, read: BTreeMap::new() }
    }
}

/// Shows only names, because a value may be a secret.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The variables as text. Invalid UTF-8 becomes U+FFFD, which the reader reports as an error in our settings; other
/// variables are ignored.
pub(super) fn as_text(vars: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let text = |value: OsString| value.to_string_lossy().into_owned();
    vars.map(|(name, value)| (text(name), text(value))).collect()
}
