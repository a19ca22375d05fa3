//! One file a kernel facility. All `unsafe` of the library is here, in `layout` (a marker), and in
//! `chunks` (a pin says that its chunk is mapped).

pub(crate) mod alloc;
pub(crate) mod barrier;
pub(crate) mod cache;
pub(crate) mod cgroup;
pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod fork;
pub(crate) mod fs;
pub(crate) mod futex;
pub(crate) mod holders;
pub(crate) mod last_run;
pub(crate) mod lock;
pub(crate) mod map;
pub(crate) mod mounts;
pub(crate) mod open_logs;
pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod sigbus;
pub(crate) mod together;

/// Bytes of a page of this host.
pub(crate) fn page_size() -> u64 {
    rustix::param::page_size() as u64
}
