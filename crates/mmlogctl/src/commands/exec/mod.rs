//! `mmlogctl exec LOG -- CMD ARGS`: what a program writes to its two streams, into a log.
//!
//! The log is opened first, so that no program runs without it (but for `--on-full drop`, where there is no space yet to
//! make it in). From then on nothing of ours may harm the program: when its output cannot be stored any more, it is still
//! read.
//!
//! | file | job |
//! |---|---|
//! | `child` | the program: started, sent the signals that come for it, waited for |
//! | `pump` | its two pipes, into the store |

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;

use crate::exit::{Failure, NotRun};
use crate::output::{Output, Standard};
use crate::progress::Progress;
use crate::signals::Signals;
use crate::storing::opened::Wanted;
use crate::storing::place;
use crate::storing::store::Store;
use crate::storing::{Copies, OnFull, Storing, Stream};

mod child;
mod pump;

use child::Child;
use pump::{NotAll, Pump};

/// Run a program, and append what it writes to standard output and standard error.
///
/// Stores whole lines, as append does; a line has bytes of one stream only. The order of lines of
/// different streams is that in which they were read, which is not always that in which they were written:
/// where it counts, let a shell make them one (`sh -c 'exec CMD 2>&1'`).
///
/// CMD is looked for in PATH and has our standard input, environment and other open files. It is
/// started when the log is open, or not at all, as when SIGTERM, SIGINT or SIGHUP come before. (With --on-full drop it is
/// started, too, when there is no space yet to make the log in.) Its exit code is ours.
///
/// SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH are sent on to CMD, and end us only when CMD
/// ends. SIGINT, SIGQUIT and SIGWINCH from a terminal are not, since the terminal sends them to CMD
/// itself. What was ignored when we were started (nohup) stays ignored, by CMD too, and what was
/// blocked stays blocked. SIGPIPE and SIGCHLD are exceptions: CMD always begins with their default actions, and
/// where it is to ignore SIGPIPE, a shell can see to that (`sh -c 'trap "" PIPE; exec "$0" "$@"' CMD`).
///
/// When CMD has ended, what lies in its pipes is stored, and that is the end: processes that CMD left
/// behind with its output open are not waited for, and what they write later meets a closed pipe
/// (SIGPIPE, EPIPE). --until-closed waits for them.
///
/// While the disk is full, or a stopped process is in the way, CMD's output waits in its pipes, and CMD
/// with it once they are full. With --on-full drop CMD goes on: what it writes is read and dropped, and when
/// there is space the log gets a line that says so, as mmlogctl-append(1) has it, with the time and the
/// --prefix; if there is none before the end, standard error has the line, and the exit code is 1 where
/// that of CMD is 0. A pipe that cannot be read is said and tried again. After SIGTERM, SIGINT or SIGQUIT, and when the log cannot be used any more, CMD goes on,
/// too: its output is read and not stored, and how much it was is said at the end.
#[derive(Args, Debug)]
pub struct ExecArgs {
    #[command(flatten)]
    storing: Storing,
    /// Put TEXT before each line of standard error, instead of that of --prefix.
    #[arg(long, value_name = "TEXT")]
    stderr_prefix: Option<String>,
    /// Copy what was stored: of standard output to standard output, of standard error to standard error.
    /// A copy that cannot be written any more (its reader went away) is said, and CMD goes on without it.
    #[arg(long)]
    tee: bool,
    /// The same, and when a copy cannot be written any more, close the pipe of that stream: CMD meets what it
    /// would without us (SIGPIPE, EPIPE), and the exit code is what CMD makes of it.
    #[arg(long)]
    tee_ends: bool,
    /// Go on after CMD has ended, until all processes have closed the output that they inherited from it,
    /// or until SIGTERM, SIGINT or SIGQUIT.
    #[arg(long)]
    until_closed: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl ExecArgs {
    pub(crate) const fn storing(&self) -> &Storing {
        &self.storing
    }
}

/// Runs the program to its end. The exit code is the program's, unless it was not started, or was
/// successful and some of its output was not stored.
pub fn run(args: &ExecArgs, out: &mut Output) -> ExitCode {
    let failed = |failure: &Failure, out: &mut Output| {
        out.report(failure);
        ExitCode::from(NotRun::Failed)
    };
    let (signals, raise) = match Signals::by_hand() {
        Ok(both) => both,
        Err(e) => return failed(&args.storing.uncaught(&e), out),
    };
    let on_full = match args.storing.on_full {
        OnFull::Fail => {
            out.notice("--on-full fail is now called drop: what comes is stored again when there is space");
            OnFull::Drop
        }
        other => other,
    };
    let output = (args.tee || args.tee_ends).then_some(place::Stream::Output);
    let ours: Vec<_> = [place::Stream::Error].into_iter().chain(output).collect();
    if let Err(failure) = place::refuse_named(&args.storing.log, &ours) {
        return failed(&failure, out);
    }
    let wanted = Wanted { args: &args.storing, streams: &ours, begins_a_line: true, is_all: false };
    let store = match Store::open(wanted, on_full, &signals, Progress::hidden(), out) {
        Ok(store) => store,
        Err(failure) => return failed(&failure, out),
    };
    // Nothing of ours may fail, for want of memory, once there is a program.
    let streams = match streams(args) {
        Ok(streams) => streams,
        Err(failure) => return failed(&failure, out),
    };
    let mut child = match Child::start(&args.command, raise) {
        Ok(child) => child,
        Err((not_run, text)) => {
            out.notice(&text);
            // Nothing was appended; what is wrong with the log now is the next one's business.
            let _ = store.close(out);
            return not_run.into();
        }
    };
    let stored = Pump::new(store, &mut child, streams, args).run(out);
    match (child.code(), stored) {
        (0, Err(NotAll)) => ExitCode::FAILURE,
        (code, _) => ExitCode::from(code),
    }
}

fn streams(args: &ExecArgs) -> Result<[Stream; 2], Failure> {
    let storing = &args.storing;
    let of_error = match &args.stderr_prefix {
        Some(prefix) => storing.lines_prefixed(prefix),
        None => storing.lines(),
    };
    let copies = |to| Copies::asked(args.tee, args.tee_ends, to);
    Ok([
        Stream::of_lines(storing.lines(), copies(Standard::Output))?,
        Stream::of_lines(of_error, copies(Standard::Error))?,
    ])
}
