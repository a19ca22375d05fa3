//! A SIGBUS that is not a log's: the handler that was there, or what the kernel does without one.
#![allow(unsafe_code, reason = "handlers, and a mapping of a file that is no log")]

use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::libc::{self, c_int, c_void, siginfo_t};

use crate::common::{Actor, log_path, parameter, say, scene, wait};
use crate::{cut, options};

/// Where the store goes that traps.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn plain(signal: c_int) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(if signal == libc::SIGBUS { 10 } else { 1 }) }
}

extern "C" fn with_facts(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: it was installed with SA_SIGINFO, so the kernel passes a live siginfo.
    let facts = unsafe { &*info };
    // SAFETY: a SIGBUS has an address, or some number in its place.
    let address = unsafe { facts.si_addr() } as usize;
    let right = address == ADDRESS.load(Ordering::Relaxed) && !context.is_null() && signal == libc::SIGBUS;
    // SAFETY: ends the process.
    unsafe { libc::_exit(if right { 11 } else { 2 }) }
}

fn install(handler: usize, flags: c_int) {
    // SAFETY: zeros are a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    // SAFETY: the handler is one of those above, as its flags say, or a constant.
    assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, &action, null_mut()) }, 0);
}

/// Has one kind of handler, then the guard, which catches its own; then a SIGBUS of another kind.
pub(crate) fn other() {
    match parameter::<String>("HANDLER").as_str() {
        "plain" => install(plain as *const () as usize, 0),
        "facts" => install(with_facts as *const () as usize, libc::SA_SIGINFO),
        "ignored" => install(libc::SIG_IGN, 0),
        _ => install(libc::SIG_DFL, 0),
    }
    mmlog::guard_against_sigbus().unwrap();
    let log = options().open_or_create(log_path()).unwrap();
    let mut writer = log.writer().unwrap();
    writer.append(b"one\n").unwrap();
    cut(&log_path(), 0);
    writer.append(b"two\n").unwrap_err();
    say("guarded");
    if parameter::<String>("SIGNAL") == "sent" {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGBUS).unwrap();
    } else {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let (protection, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: a new mapping, of a file that is there.
        let page = unsafe { libc::mmap(null_mut(), 4096, protection, libc::MAP_SHARED, fd, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        ADDRESS.store(page as usize, Ordering::Relaxed);
        file.set_len(0).unwrap();
        // SAFETY: inside the mapping, which nobody else knows; that it traps is the point.
        unsafe { page.cast::<u8>().write_volatile(1) };
    }
    say("alive");
}

/// How the process ends: its exit code, or the signal, negative.
fn ends(handler: &str, signal: &str) -> i32 {
    let scene = scene();
    let log = scene.log.display().to_string();
    let mut actor =
        Actor::new("other", &[("LOG", log), ("HANDLER", handler.into()), ("SIGNAL", signal.into())]);
    assert_eq!(actor.hear(), "guarded");
    let status = wait(&mut actor.child);
    status.code().unwrap_or_else(|| -status.signal().unwrap())
}

#[test]
fn a_trap_elsewhere_goes_to_the_handler_that_was_there() {
    assert_eq!(ends("plain", "trap"), 10);
    assert_eq!(ends("facts", "trap"), 11);
    assert_eq!(ends("default", "trap"), -libc::SIGBUS);
    assert_eq!(ends("ignored", "trap"), -libc::SIGBUS, "as the kernel has it");
}

#[test]
fn a_sigbus_that_somebody_sends_goes_there_too() {
    assert_eq!(ends("plain", "sent"), 10);
    assert_eq!(ends("facts", "sent"), 2, "it has no address");
    assert_eq!(ends("default", "sent"), -libc::SIGBUS);
    assert_eq!(ends("ignored", "sent"), 0);
}
