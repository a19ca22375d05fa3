//! What the border to C costs: appends by the Rust library, and by the shared library as a C program calls it, in turns.
//!
//! ```text
//! cargo build --release -p mmlog-capi
//! cargo run --release -p mmlog-capi --example cost -- target/release/libmmlog_capi.so [BYTES]
//! ```
#![allow(clippy::print_stdout, reason = "a measuring program prints what it measured")]
#![allow(unsafe_code, reason = "calls the shared library as C does")]

use std::error::Error;
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use mmlog::Log;

/// Short ones, so that most are not interrupted.
const ROUNDS: usize = 4000;
const APPENDS: u32 = 500;

type Open = unsafe extern "C" fn(*const c_char, *const c_void, *mut *mut c_void) -> c_int;
type Append = unsafe extern "C" fn(*mut c_void, *const c_void, usize, *mut u64) -> c_int;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let library = CString::new(arguments.next().ok_or("which shared library?")?)?;
    let bytes = arguments.next().map_or(Ok(128), |n| n.parse::<usize>())?;
    let message = vec![b'x'; bytes];
    let dir = tempfile::tempdir_in("/dev/shm")?;

    // SAFETY: a path, and nothing that runs when it is loaded.
    let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
    // SAFETY: a library, or the program itself, which has none of these.
    let function = |name: &std::ffi::CStr| unsafe { libc::dlsym(handle, name.as_ptr()) };
    let (open, append) = (function(c"mmlog_open_with"), function(c"mmlog_append"));
    if handle.is_null() || open.is_null() || append.is_null() {
        return Err("that is not libmmlog".into());
    }
    // SAFETY: the header's prototype.
    let open = unsafe { std::mem::transmute::<*mut c_void, Open>(open) };
    // SAFETY: the header's prototype.
    let append = unsafe { std::mem::transmute::<*mut c_void, Append>(append) };

    let mut log_of_c = std::ptr::null_mut();
    let path = CString::new(dir.path().join("c.log").as_os_str().as_bytes())?;
    // SAFETY: a path, the default options, and a place for the handle.
    if unsafe { open(path.as_ptr(), std::ptr::null(), &raw mut log_of_c) } != 0 {
        return Err("libmmlog opens no log".into());
    }
    let log = Log::options().open_or_create(dir.path().join("rust.log"))?;
    let mut writer = log.writer()?;

    let (mut rust, mut c) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..APPENDS {
            writer.append(&message)?;
        }
        rust.push(begun.elapsed().as_nanos() as f64 / f64::from(APPENDS));
        let begun = Instant::now();
        for _ in 0..APPENDS {
            let mut at = 0;
            // SAFETY: an open handle, and the message.
            if unsafe { append(log_of_c, message.as_ptr().cast(), bytes, &raw mut at) } != 0 {
                return Err("an append failed".into());
            }
        }
        c.push(begun.elapsed().as_nanos() as f64 / f64::from(APPENDS));
    }
    let mut more: Vec<f64> = rust.iter().zip(&c).map(|(rust, c)| c - rust).collect();
    for (name, times) in [("Rust", &mut rust), ("C", &mut c), ("more", &mut more)] {
        times.sort_by(f64::total_cmp);
        println!(
            "{name:<4} {:.1} ns, from {:.1} to {:.1}",
            times[ROUNDS / 2],
            times[ROUNDS / 4],
            times[ROUNDS * 3 / 4]
        );
    }
    Ok(())
}
