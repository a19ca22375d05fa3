//! Fields by name, as units have them in headers and the checkpoint in lines.

use crate::error::Error;

/// What is read, and what it is called when it is refused.
pub(crate) struct Fields<'a> {
    what: String,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(what: String, pairs: Vec<(&'a str, &'a str)>) -> Self {
        Fields { what, pairs }
    }

    pub(crate) fn damaged(&self, why: impl Into<String>) -> Error {
        Error::Damaged { what: self.what.clone(), why: why.into() }
    }

    /// The version, which is asked before anything else: a later one may mean other things by the same names.
    pub(crate) fn version(&self, name: &str, known: u64) -> Result<(), Error> {
        match self.number(name)? {
            0 => Err(self.damaged("its version is 0")),
            version if version > known => Err(Error::Later { what: self.what.clone(), version, known }),
            _ => Ok(()),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| *key == name)
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, Error> {
        let mut found = self.pairs.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value);
        let value = found.next().ok_or_else(|| self.damaged(format!("no {name}")))?;
        if found.next().is_some() { Err(self.damaged(format!("two of {name}"))) } else { Ok(value) }
    }

    fn parsed<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        write: impl Fn(&T) -> String,
    ) -> Result<T, Error> {
        let text = self.text(name)?;
        // One way to write each value: ids are sums of what is written.
        let value = read(text).filter(|value| write(value) == text);
        value.ok_or_else(|| self.damaged(format!("{name} is {text:?}")))
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64, Error> {
        self.parsed(name, |text| text.parse().ok(), u64::to_string)
    }

    pub(crate) fn hex(&self, name: &str) -> Result<u64, Error> {
        self.parsed(name, |text| u64::from_str_radix(text, 16).ok(), |value| format!("{value:016x}"))
    }

    pub(crate) fn uuid(&self, name: &str) -> Result<u128, Error> {
        self.parsed(name, |text| u128::from_str_radix(text, 16).ok(), |value| format!("{value:032x}"))
    }
}
