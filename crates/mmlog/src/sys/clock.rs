//! Whether the wall clock goes on through a reboot, so that no two boots have the same boot time.
//!
//! `adjtimex(2)` would say, too, where somebody keeps the wall clock right. It is not asked: the kernel kills who is under
//! a filter of system calls like systemd's `@system-service`, which has none of clocks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::process;

/// By how much a clock that keeps local time differs from one that keeps UTC, and some.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where the kernel always has a clock to begin with: CMOS, the firmware's or the hypervisor's.
const ALWAYS_HAS_ONE: bool =
    cfg!(any(target_arch = "x86_64", target_arch = "s390x", target_arch = "powerpc64"));

/// Whether the kernel took the wall clock from a clock that runs through reboots.
pub(crate) fn runs_through_reboots() -> bool {
    by_hardware_clock(Path::new("/sys/class/rtc")).unwrap_or(ALWAYS_HAS_ONE)
}

/// Whether the hardware clock that the kernel took the wall clock from still agrees with it; `None` where there is none,
/// or none to be seen. Where the battery is empty, something else has set the wall clock, perhaps the same at each boot.
fn by_hardware_clock(directory: &Path) -> Option<bool> {
    let mut clocks = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let said = |clock: &Path, what: &str| fs::read_to_string(clock.join(what)).unwrap_or_default();
    let clock = clocks.find(|clock| said(clock, "hctosys").trim() == "1")?;
    let (seconds, now) = (said(&clock, "since_epoch"), Duration::from_nanos(process::now_ns()));
    Some(seconds.trim().parse().is_ok_and(|seconds| Duration::from_secs(seconds).abs_diff(now) < DAY))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_clock_is_believed_where_the_wall_clock_is_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let said = |name: &str, hctosys: &str, since_epoch: u64| {
            let clock = directory.path().join(name);
            fs::create_dir_all(&clock).unwrap();
            fs::write(clock.join("hctosys"), format!("{hctosys}\n")).unwrap();
            fs::write(clock.join("since_epoch"), format!("{since_epoch}\n")).unwrap();
            by_hardware_clock(directory.path())
        };
        let now = process::now_ns() / 1_000_000_000;
        assert_eq!(by_hardware_clock(&directory.path().join("none")), None);
        assert_eq!(said("rtc0", "0", now), None);
        // In local time.
        assert_eq!(said("rtc1", "1", now - 14 * 3600), Some(true));
        // An empty battery.
        assert_eq!(said("rtc1", "1", 946_684_800), Some(false));
    }
}
