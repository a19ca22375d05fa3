//! The themes, in the order in which they run.

mod t01_model;
mod t02_kill;
mod t03_stop;
mod t04_double;
mod t05_storm;
mod t06_errors;
mod t07_full;
mod t08_power;
mod t09_states;
mod t10_hostile;
mod t11_vandal;
mod t12_rotation;

use crate::children::Role;
use crate::run::Run;
use crate::steps;

/// One theme.
pub(crate) struct Theme {
    pub(crate) id: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Run) -> anyhow::Result<()>,
}

impl Theme {
    /// Whether another seed is another run. The model has none: it tries everything each time.
    pub(crate) fn repeats(&self) -> bool {
        self.id != t01_model::THEME.id
    }
}

pub(crate) const THEMES: &[Theme] = &[
    t01_model::THEME,
    t02_kill::THEME,
    t03_stop::THEME,
    t04_double::THEME,
    t05_storm::THEME,
    t06_errors::THEME,
    t07_full::THEME,
    t08_power::THEME,
    t09_states::THEME,
    t10_hostile::THEME,
    t11_vandal::THEME,
    t12_rotation::THEME,
];

/// The roles of all themes' child processes.
pub(crate) const ROLES: &[&[Role]] = &[
    steps::ROLES,
    t02_kill::ROLES,
    t03_stop::ROLES,
    t04_double::ROLES,
    t05_storm::ROLES,
    t07_full::ROLES,
    t08_power::ROLES,
    t09_states::ROLES,
    t10_hostile::ROLES,
    t11_vandal::ROLES,
    t12_rotation::ROLES,
];
