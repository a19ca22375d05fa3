//! Named crash points, one after every side effect that another process can see. A test counts those that an
//! operation passes, and ends a process at each. In release builds they are nothing at all.

#[cfg(debug_assertions)]
static HOOK: std::sync::OnceLock<fn(&'static str)> = std::sync::OnceLock::new();

/// Calls `hook` at every crash point that this process passes from now on. Only in debug builds, only once.
#[cfg(debug_assertions)]
pub fn set_hook(hook: fn(&'static str)) {
    let _ = HOOK.set(hook);
}

/// Passes the crash point of that name. For crates of this workspace that have such points of their own.
#[inline(always)]
pub fn crash_point(name: &'static str) {
    #[cfg(debug_assertions)]
    if let Some(hook) = HOOK.get() {
        hook(name);
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
