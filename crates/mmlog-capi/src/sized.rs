//! Structs that begin with their own size, so that they can grow: a program may be older or newer than the library.
#![allow(unsafe_code, reason = "a caller's struct, as long as it says")]

use std::mem::MaybeUninit;
use std::{ptr, slice};

use crate::codes::{Failure, Outcome};

const HEAD: usize = size_of::<usize>();

/// A struct whose first field is its size in bytes.
///
/// # Safety
/// `repr(C)` without padding, begins with a `usize`, and may be all zeros.
pub(crate) unsafe trait SaysItsSize: Copy {}

/// # Safety
/// As many bytes as its first field says.
unsafe fn size<T: SaysItsSize>(of: *const T) -> Outcome<usize> {
    // SAFETY: the caller's promise.
    let size = unsafe { ptr::read_unaligned(of.cast::<usize>()) };
    match size >= HEAD && isize::try_from(size).is_ok() {
        true => Ok(size),
        false => Err(Failure::invalid("the first field of a struct is its size: sizeof the struct")),
    }
}

/// A caller's struct; what an older program does not know is 0.
///
/// # Safety
/// As many bytes as its first field says.
pub(crate) unsafe fn read<T: SaysItsSize>(from: *const T) -> Outcome<T> {
    let ours = size_of::<T>();
    // SAFETY: the caller's promise.
    let size = unsafe { size(from) }?;
    // SAFETY: as long as it says.
    let given = unsafe { slice::from_raw_parts(from.cast::<u8>(), size) };
    if given.iter().skip(ours).any(|byte| *byte != 0) {
        return Err(Failure::invalid(format!(
            "a struct has {size} bytes, and this libmmlog ({}) knows {ours}: the program was built for a newer one",
            env!("CARGO_PKG_VERSION")
        )));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: within both.
    unsafe { ptr::copy_nonoverlapping(given.as_ptr(), value.as_mut_ptr().cast::<u8>(), size.min(ours)) };
    // SAFETY: all zeros, and over it what the caller says.
    Ok(unsafe { value.assume_init() })
}

/// Fills a caller's struct; its size stays as it is.
///
/// # Safety
/// As many bytes as its first field says.
pub(crate) unsafe fn write<T: SaysItsSize>(to: *mut T, value: &T) -> Outcome<()> {
    // SAFETY: the caller's promise.
    let size = unsafe { size(to) }?;
    // SAFETY: as long as it says.
    let to = unsafe { slice::from_raw_parts_mut(to.cast::<u8>(), size) };
    // SAFETY: no padding.
    let from = unsafe { slice::from_raw_parts(ptr::from_ref(value).cast::<u8>(), size_of::<T>()) };
    let mut from = from.iter().skip(HEAD);
    to.iter_mut().skip(HEAD).for_each(|byte| *byte = from.next().copied().unwrap_or(0));
    Ok(())
}
