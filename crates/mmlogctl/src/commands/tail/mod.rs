//! `mmlogctl tail`: the end of logs, and what is appended to them.
//!
//! - `plan` is what the options mean, `shared` the output that all logs share and the orders
//!   they get, `one_log` a log on its way to the output, `held` what keeps prune from it.
//! - Without -f one log follows the other and the command ends. With -f each log has a thread
//!   (`follow`), so that a line is written by the thread that was woken for it, and the main
//!   thread watches for signals, processes and a reader that goes away (`supervise`).

mod acks;
mod args;
mod delivery;
mod follow;
mod held;
mod one_log;
mod plan;
mod shared;
mod supervise;
mod waiting;

pub use args::{By, Count, TailArgs};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::reading;
use crate::reading::copy::Stopped;
use crate::signals;
use one_log::{Appearance, OneLog};
use plan::{Follow, Plan};
use shared::Shared;

/// Prints the logs; one that fails does not keep the others from being printed.
///
/// # Errors
/// When standard output or the cursor-file cannot be written.
pub fn run(args: &TailArgs, out: &mut Output) -> Result<Exit, Failure> {
    let plan = Plan::new(args, out)?;
    if args.retry && plan.follow == Follow::No {
        out.notice("--retry is ignored: it is of use only when following (-f, --follow=name)");
    }
    for remark in plan.times.remarks() {
        out.notice(&remark);
    }
    reading::widen_pipe(out);
    // Where a place is kept, the main thread has to see what the reader has taken.
    if plan.follow == Follow::No && plan.cursor_file.is_none() {
        signals::end_by_them();
        return print_once(&Shared::new(plan));
    }
    supervise::run(plan, &args.pids, args.ack, out)
}

fn print_once(shared: &Shared) -> Result<Exit, Failure> {
    for index in 0..shared.plan().logs.len() {
        if signals::came() {
            break;
        }
        match print_one(index, shared) {
            Err(Failure::OutputClosed) => {
                shared.fail(Failure::OutputClosed);
                break;
            }
            Err(failure) => shared.fail(failure),
            Ok(()) => {}
        }
    }
    shared.ended()
}

fn print_one(index: usize, shared: &Shared) -> Result<(), Failure> {
    let log = reading::open(&shared.plan().logs[index], shared.plan().trust, &shared.plan().old)?;
    let mut one = OneLog::begin(index, log, Appearance::Present, shared)?;
    match one.print_present(shared)? {
        Stopped::Complete => one.finish(shared),
        Stopped::Ordered => Err(one.stopped(shared)),
    }
}
