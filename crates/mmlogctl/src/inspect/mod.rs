//! The inspector: snapshot -> [`model`]`.update(event)` -> pure [`view`].
//!
//! - [`world`] has the logs looked at ([`source`], [`tail`]) and their writers ([`crate::who`]), [`action`] runs the tool
//!   itself; what they see becomes an event.
//! - [`model`] is plain data and does nothing but change: what has to be done in the world it asks for.
//! - [`view`] draws the model into a buffer and changes nothing, so a screen, `--once` and a test draw the same.
//! - [`keys`] is the one table of keys: the dispatcher and the help pane both read it.
//!
//! It looks at fixed times and never asks to be woken: a follower that sleeps makes every append of every writer pay for
//! waking it, and the writers are not to notice that somebody watches.

pub mod action;
pub mod batch;
pub mod history;
pub mod keys;
pub mod model;
pub mod pace;
pub mod screen;
pub mod sgr;
pub mod source;
pub mod style;
pub mod tables;
pub mod tail;
pub mod terminal;
pub mod view;
pub mod world;
pub mod zone;
