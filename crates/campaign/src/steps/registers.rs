//! What differs between processors: registers and instructions. Elsewhere than on x86_64 nothing is
//! stepped.

pub(super) use here::*;

#[cfg(target_arch = "x86_64")]
mod here {
    use nix::errno::Errno;
    use nix::libc::c_long;
    use nix::sys::ptrace;
    use nix::unistd::Pid;

    pub(in crate::steps) fn instruction(pid: Pid) -> Result<u64, Errno> {
        Ok(ptrace::getregs(pid)?.rip)
    }

    /// `syscall` is 0f 05.
    pub(in crate::steps) fn is_call(word: c_long) -> bool {
        word & 0xffff == 0x050f
    }

    /// `rep stosb` is f3 aa, `rep stosq` f3 48 ab: how memory is set to zeros. It stops behind each store.
    pub(in crate::steps) fn length_of_fill(word: c_long) -> Option<u64> {
        match (word & 0xffff, word & 0xff_ffff) {
            (0xaaf3, _) => Some(2),
            (_, 0xab_48f3) => Some(3),
            _ => None,
        }
    }

    /// `int3` in place of the first byte of `word`: it stops behind that byte.
    pub(in crate::steps) fn with_breakpoint(word: c_long) -> c_long {
        word & !0xff | 0xcc
    }

    /// From behind a breakpoint at `address`, which is no more, back to the instruction there.
    pub(in crate::steps) fn leave_breakpoint(pid: Pid, address: u64) -> Result<(), Errno> {
        let mut registers = ptrace::getregs(pid)?;
        if registers.rip != address + 1 {
            return Ok(());
        }
        registers.rip = address;
        ptrace::setregs(pid, registers)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod here {
    use nix::errno::Errno;
    use nix::libc::c_long;
    use nix::unistd::Pid;

    pub(in crate::steps) fn instruction(_: Pid) -> Result<u64, Errno> {
        Err(Errno::ENOSYS)
    }

    pub(in crate::steps) fn is_call(_: c_long) -> bool {
        false
    }

    pub(in crate::steps) fn length_of_fill(_: c_long) -> Option<u64> {
        None
    }

    pub(in crate::steps) fn with_breakpoint(word: c_long) -> c_long {
        word
    }

    pub(in crate::steps) fn leave_breakpoint(_: Pid, _: u64) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}
