//! Reads values by variable name and collects errors and warnings. Contains the messages that all settings share.

use super::settings;
use super::values::{Fault, host_and_port, port};
use super::{AppEnv, Variables};

/// A value and the variable that set it.
pub(super) struct Given<T> {
    pub(super) by: &'static str,
    pub(super) value: T,
}

/// The variables, with the errors and warnings found so far.
pub(super) struct Reader<'a> {
    pub(super) env: AppEnv,
    vars: &'a Variables,
    /// Variables that look like settings but are not, each with the name that was probably meant.
    unknown: Vec<(&'a str, Option<&'static str>)>,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(vars: &'a Variables) -> Self {
        let unknown = vars.names().filter_map(|name| Some((name, settings::unknown_setting(name)?)));
        let mut reader = Reader {
            env: AppEnv::Development,
            vars,
            unknown: unknown.collect(),
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        for (name, nearest) in reader.unknown.clone() {
            let what_to_do = nearest.map_or_else(
                || "see `sample-app --help` for those that are".to_owned(),
                |nearest| format!("did you mean {nearest}?"),
            );
            reader.warn(name, &format!("is not a setting and changes nothing; {what_to_do}"));
        }
        reader
    }

    /// Returns the errors and the warnings.
    pub(super) fn finish(self) -> (Vec<String>, Vec<String>) {
        (self.errors, self.warnings)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.vars.given(name).is_some()
    }

    /// The value of a variable, unless it is absent or malformed. A line end copied along with a password, for example,
    /// is reported rather than trimmed.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let value = match self.vars.value(name)? {
            Ok(value) => value,
            Err(fault) => {
                self.error(name, fault);
                return None;
            }
        };
        if value.contains('\u{FFFD}') {
            self.error(name, "is not UTF-8 text; set it again");
        } else if value.trim() != value || value.contains(char::is_control) {
            self.error(name, "has a blank at an end or a control character (a line end?) in it; remove that");
        } else {
            return Some(value);
        }
        None
    }

    /// The variables of a setting, so that they can be read again; `None` if none refers to a secret.
    pub(super) fn without_values(&self, setting: &'static str) -> Option<Variables> {
        self.vars.without_values(&settings::names_of(setting))
    }

    /// The parsed value of a variable, with its name. Reports a parse error.
    pub(super) fn given<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<Given<T>> {
        match parse(self.text(name)?) {
            Ok(value) => Some(Given { by: name, value }),
            Err(fault) => {
                self.error(name, fault);
                None
            }
        }
    }

    /// The parsed value of a variable. Reports a parse error.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.given(name, parse).map(|given| given.value)
    }

    /// The value of a variable that is required because `beside` is set.
    pub(super) fn required(&mut self, name: &'static str, beside: &'static str) -> Option<Given<String>> {
        if !self.is_set(name) {
            self.missing(name, &[name], &format!(" beside {beside}; set it too, or remove that"));
        }
        self.given(name, |text| Ok(text.to_owned()))
    }

    /// Host and port. The port may come from `HOST:PORT` or from a variable of its own.
    pub(super) fn host_and_port(
        &mut self,
        host_name: &'static str,
        port_name: Option<&'static str>,
        default_value: u16,
    ) -> Option<(Given<String>, Given<u16>)> {
        let stated = port_name.and_then(|name| {
            self.given(name, |text| port(text).ok_or("is not a port; set a number from 1 to 65535"))
        });
        let address = self.given(host_name, |text| {
            let address = host_and_port(text).filter(|(_, port)| *port != Some(0));
            address.ok_or("is not HOST or HOST:PORT; write it so, without scheme and path")
        })?;
        let (host, own) = address.value;
        let own = own.map(|value| Given { by: host_name, value });
        let port =
            self.one_of("port", [own, stated]).unwrap_or(Given { by: host_name, value: default_value });
        Some((Given { by: host_name, value: host }, port))
    }

    /// The value that all variables agree on, if any is set. Reports each that differs from the first.
    pub(super) fn one_of<T: PartialEq>(
        &mut self,
        what: &str,
        given: impl IntoIterator<Item = Option<Given<T>>>,
    ) -> Option<Given<T>> {
        let mut given = given.into_iter().flatten();
        let first = given.next()?;
        for other in given {
            self.same(what, &first, &other);
        }
        Some(first)
    }

    /// Reports an error if two variables give different values for the same thing.
    pub(super) fn same<T: PartialEq>(&mut self, what: &str, one: &Given<T>, other: &Given<T>) {
        if one.value != other.value {
            self.contradiction(what, other.by, one.by);
        }
    }

    pub(super) fn contradiction(&mut self, what: &str, name: &str, other: &str) {
        self.error(
            name,
            &format!("gives another {what} than {other}; remove one of the two, or make them equal"),
        );
    }

    /// The value of a setting when no variable gave one: the default in development, an error in production. If a
    /// variable is set but gave no value, its error was reported already.
    pub(super) fn absent<T>(&mut self, setting: &'static str, default: T, what_to_do: &str) -> Option<T> {
        let names = settings::names_of(setting);
        if names.iter().any(|name| self.is_set(name)) {
            return None;
        }
        if self.env == AppEnv::Production {
            self.missing(setting, &names, &format!("; {what_to_do}"));
            return None;
        }
        Some(default)
    }

    /// Reports a missing setting, and any unknown variable that was probably meant to be one of its `names`.
    fn missing(&mut self, name: &str, names: &[&'static str], rest: &str) {
        let meant = |unknown: &(&str, Option<&'static str>)| match unknown {
            (set, Some(nearest)) if names.contains(nearest) => {
                Some(format!(" ({set} is set and is not a setting: did you mean {nearest}?)"))
            }
            _ => None,
        };
        let meant: String = self.unknown.iter().filter_map(meant).collect();
        self.error(name, &format!("is missing{rest}{meant}"));
    }

    pub(super) fn error(&mut self, name: &str, fault: &str) {
        let line = format!("{name}: {fault}");
        // A variable may be read several times; its error is reported once.
        if !self.errors.contains(&line) {
            self.errors.push(line);
        }
    }

    pub(super) fn warn(&mut self, name: &str, what: &str) {
        self.warnings.push(format!("{name}: {what}"));
    }
}
