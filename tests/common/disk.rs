//! A small disk of a test's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A small tmpfs, unmounted at the end.
pub struct Disk(pub tempfile::TempDir);

impl Disk {
    pub fn new(bytes: u64) -> Option<Self> {
        Self::with(&format!("size={bytes}"))
    }

    pub fn with(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(dir.path()).output();
        if mounted.is_ok_and(|m| m.status.success()) {
            return Some(Self(dir));
        }
        println!("SKIPPED: cannot mount a tmpfs here (needs root)");
        None
    }

    pub fn log(&self) -> PathBuf {
        self.0.path().join("app.log")
    }

    /// Takes that much of the space.
    pub fn ballast(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, vec![1; bytes as usize]).unwrap();
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
