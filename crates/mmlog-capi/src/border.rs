//! The border to C: no panic crosses it, and each call leaves what was wrong with it to its thread.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_char, c_int};
use mmlog_process::Entry;

use crate::codes::{self, Facts, Failure, Outcome};

thread_local! {
    // Has no destructor: asked, and set, also while the thread's other things go.
    static CODE: Cell<c_int> = const { Cell::new(0) };
    static TEXT: RefCell<CString> = RefCell::default();
}

/// Whether a call of this process ever failed. Until then no thread has a code to clear, and an append need not ask where its
/// thread's is, which takes longer than all else here. Relaxed: a thread sees its own store.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// Runs a call; `Err` is its code, with the text and errno left to the thread. `broken` is called when it panicked.
#[inline]
pub(crate) fn call<T>(what: impl FnOnce() -> Outcome<T>, broken: impl FnOnce()) -> Result<T, c_int> {
    if HAS_FAILED.load(Ordering::Relaxed) {
        CODE.set(0);
    }
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(failed(failure)),
        Err(_) => {
            broken();
            Err(failed(Failure::new(
                codes::MMLOG_INTERNAL,
                "internal error of libmmlog: the handle refuses from now on",
            )))
        }
    }
}

/// Runs a call on the log of a handle, which refuses after a panic; its code.
#[inline]
pub(crate) fn on(handle: Outcome<&'static Entry>, what: impl FnOnce(&'static Entry) -> Outcome<()>) -> c_int {
    let entry = handle.as_ref().ok().copied();
    code(call(
        || what(handle?),
        || {
            if let Some(entry) = entry {
                entry.break_off();
            }
        },
    ))
}

/// 0 is success.
#[inline]
pub(crate) fn code(done: Result<(), c_int>) -> c_int {
    done.err().unwrap_or(0)
}

/// What a call found, where the caller wants it.
///
/// # Safety
/// Null or valid.
#[allow(unsafe_code, reason = "the caller's pointer")]
#[inline]
pub(crate) unsafe fn give<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, and the caller's promise.
        unsafe { std::ptr::write(to, value) };
    }
}

/// Leaves null where a pointer is to be given, so that a call that fails gives none; fails with that text where there is no place.
///
/// # Safety
/// `to` is null or valid.
#[allow(unsafe_code, reason = "what C gave a place for")]
pub(crate) unsafe fn empty<T>(to: *mut *mut T, without: &'static str) -> Outcome<()> {
    if to.is_null() {
        return Err(Failure::invalid(without));
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { std::ptr::write(to, std::ptr::null_mut()) };
    Ok(())
}

pub(crate) fn last_code() -> c_int {
    CODE.get()
}

#[cold]
fn failed(failure: Failure) -> c_int {
    let Facts { code, errno, text } = failure.facts();
    let text = CString::new(text.replace('\0', "?")).unwrap_or_default();
    // Gone in a thread that ends: then there is the code's own text.
    let _ = TEXT.try_with(|kept| kept.replace(text));
    HAS_FAILED.store(true, Ordering::Relaxed);
    CODE.set(code);
    set_errno(errno);
    code
}

#[allow(unsafe_code, reason = "errno is a C object")]
fn set_errno(errno: c_int) {
    // SAFETY: takes nothing, and has a place for every thread.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: this thread's, and valid as long as the thread is.
    unsafe { *place = errno };
}

/// Valid until the thread's next call.
pub(crate) fn last_text() -> *const c_char {
    let code = CODE.get();
    let constant: &'static CStr = codes::constant(code);
    if code == 0 {
        return constant.as_ptr();
    }
    TEXT.try_with(|text| text.borrow().as_ptr()).unwrap_or(constant.as_ptr())
}

#[cfg(test)]
#[allow(clippy::panic, reason = "the panic that is kept from C")]
mod tests {
    use super::*;

    fn text() -> String {
        #[allow(unsafe_code, reason = "a text of this very module")]
        // SAFETY: a C string, valid until the next call.
        let text = unsafe { CStr::from_ptr(last_text()) };
        text.to_string_lossy().into_owned()
    }

    #[test]
    fn a_panic_does_not_cross_the_border_and_breaks_what_it_was_in() {
        let mut is_broken = false;
        let done = call(|| -> Outcome<()> { panic!("a bug") }, || is_broken = true);
        assert_eq!((done, is_broken, last_code()), (Err(codes::MMLOG_INTERNAL), true, codes::MMLOG_INTERNAL));
        assert!(text().contains("internal error"));
    }

    #[test]
    fn a_call_that_works_leaves_no_error_of_the_one_before() {
        assert_eq!(call(|| Err::<(), _>(Failure::invalid("no\0t so")), || {}), Err(codes::MMLOG_INVALID));
        assert_eq!((last_code(), text().as_str()), (codes::MMLOG_INVALID, "no?t so"));
        assert_eq!(call(|| Ok(7), || {}), Ok(7));
        assert_eq!((last_code(), text().as_str()), (0, "success"));
    }

    #[test]
    fn each_thread_has_an_error_of_its_own() {
        let _ = call(|| Err::<(), _>(Failure::invalid("here")), || {});
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!((last_code(), text().as_str()), (0, "success")));
        });
        assert_eq!(text(), "here");
    }
}
