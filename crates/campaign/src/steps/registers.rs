//! What differs between processors: registers, instructions, breakpoints. Elsewhere than on x86_64 nothing is
//! stepped.

pub(super) use here::*;

#[cfg(target_arch = "x86_64")]
mod here {
    use std::mem::offset_of;

    use nix::errno::Errno;
    use nix::libc::{c_long, user};
    use nix::sys::ptrace::{self, AddressType};
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

    /// A breakpoint in the first debug register, or none.
    pub(in crate::steps) fn break_at(pid: Pid, address: Option<u64>) -> Result<(), Errno> {
        const REGISTERS: usize = offset_of!(user, u_debugreg);
        const CONTROL: usize = REGISTERS + 7 * size_of::<u64>();
        let enabled = c_long::from(address.is_some());
        if let Some(address) = address {
            ptrace::write_user(pid, REGISTERS as AddressType, address.cast_signed())?;
        }
        ptrace::write_user(pid, CONTROL as AddressType, enabled)
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

    pub(in crate::steps) fn break_at(_: Pid, _: Option<u64>) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}
