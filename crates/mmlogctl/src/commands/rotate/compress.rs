//! `--compress`: on a thread of the lowest priority, with a bar on a terminal.

use std::path::Path;
use std::thread;

use mmlog::{Compress, Compressed, Compression, Compressions, Error, Log, units};

use super::RotateArgs;
use crate::exit::{Failure, exit_of, shown};
use crate::output::Output;
use crate::progress::Bar;

/// What `--compress` takes.
#[derive(Copy, Clone, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Zstandard, .zst: faster, and smaller.
    Zstd,
    /// gzip, .gz: every tool reads it.
    Gzip,
}

impl From<Format> for Compression {
    fn from(format: Format) -> Self {
        match format {
            Format::Zstd => Self::Zstd,
            Format::Gzip => Self::Gzip,
        }
    }
}

/// Compresses what is final and plain; what kept it from each that it could not compress.
///
/// # Errors
/// As [`Log::compress`].
pub(crate) fn compress(
    log: &Log,
    path_of_log: &Path,
    args: &RotateArgs,
    codec: Compression,
    out: &mut Output,
) -> Result<Vec<Failure>, Failure> {
    let mut how = Compress::new(codec).wait(args.wait);
    if let Some(level) = args.level {
        how = how.level(level);
    }
    let mut bar = Bar::new(out.error_is_terminal());
    let mut work = || {
        log.compress(&how, |at| {
            let name = at.path.file_name().unwrap_or_default().to_string_lossy();
            bar.at(&name, at.done, at.total, out);
        })
    };
    // The priority is the thread's: what runs afterwards keeps its own.
    let in_thread = thread::scope(|scope| {
        let low = || {
            lower_priority();
            work()
        };
        thread::Builder::new().spawn_scoped(scope, low).map(thread::ScopedJoinHandle::join)
    });
    let done = match in_thread {
        Ok(done) => done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        // No thread can be had (RLIMIT_NPROC, pids.max): then with this one's priority.
        Err(_) => work(),
    };
    out.clear_progress();
    let Compressions { done, failed, at_work, pruned } = done?;
    let is_watched = args.verbose.tells(out);
    for path in &at_work {
        out.notice(&format!(
            "{}: {} is left to another process, which compresses it",
            shown(path_of_log),
            shown(path)
        ));
    }
    for path in &pruned {
        out.notice(&format!(
            "{}: {} was pruned meanwhile, and not compressed",
            shown(path_of_log),
            shown(path)
        ));
    }
    for Compressed { path, before, after, .. } in done.iter().filter(|_| is_watched) {
        let (log, path) = (shown(path_of_log), shown(path));
        out.line(&format!("{log}: compressed {path}, {} to {}", units::size(*before), units::size(*after)))?;
    }
    let failure = |e: Error| {
        let text = format!("{}: not compressed: {e}", shown(path_of_log));
        Failure::new(exit_of(e.fault()), text)
    };
    Ok(failed.into_iter().map(failure).collect())
}

/// The kernel takes the priority of input and output from that of the processor: the last of those that still get
/// some. (Not the idle class: in it, this thread could hold the file system's journal while others wait for it.)
pub(crate) fn lower_priority() {
    // Only raising it needs permission.
    let _ = rustix::process::setpriority_process(None, 19);
}
