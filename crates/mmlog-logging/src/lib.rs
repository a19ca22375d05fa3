//! Rust programs log into an mmlog log: `tracing` and `log`, any number of threads and processes in one file.
//!
//! An event is in the file's pages when the macro returns: there is no worker thread, no queue, and no guard to keep alive, and
//! nothing is lost by a panic, an abort, `exit` or `kill -9`. Events of several processes stand whole, one behind the other.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("app.log");
//! use mmlog_logging::Sink;
//!
//! let sink = Sink::open(&path)?; // Clone + Send + Sync
//! # #[cfg(feature = "tracing")]
//! # {
//! // tracing: any layer that takes a writer
//! tracing_subscriber::fmt().with_ansi(false).with_writer(sink.clone()).init();
//! tracing::info!(port = 80, "listening");
//! # }
//! # #[cfg(feature = "log")]
//! # {
//! // log
//! sink.logger().install(log::LevelFilter::Info)?;
//! log::info!("listening");
//! # }
//! // anything else that formats
//! use std::io::Write;
//! writeln!(sink.event(), "{} is {}", "one event", "one append")?;
//! # Ok(())
//! # }
//! ```
//!
//! What to know:
//!
//! - A thread's first event takes one of the log's slots for writers, and its end gives it back. Above 64 threads of a process,
//!   they share eight.
//! - A sink may be a `static`, or given to a logger that is never dropped: a process that ends in the usual way, or calls
//!   `exit`, leaves an exact file. After an abort or a signal, zeros may stand behind the last event until somebody else
//!   closes the log, or `mmlogctl trim`; nothing that was logged is missing.
//! - A forked child logs on with what it inherited.
//! - What cannot be stored is counted, and the log says so afterwards: see [`OnFull`].
//! - What two sinks of a process open by one path is opened once: the first one's [`Options`](mmlog::Options) hold.

mod event;
#[cfg(feature = "log")]
mod logger;
mod lost;
mod sink;
mod time;
#[cfg(feature = "tracing")]
mod writer;

pub use event::Event;
#[cfg(feature = "log")]
pub use logger::Logger;
pub use sink::{Builder, OnFull, Sink};

/// The programs of doc/rust-logging.md, which are compiled as examples are.
#[cfg(all(doctest, feature = "tracing", feature = "log"))]
#[doc = include_str!("../../../doc/rust-logging.md")]
mod page {}
