//! What cargo does not say to the linker: the name that programs look for, and that the library stays loaded, since threads
//! give their writers back when they end.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmmlog.so.{}", env!("CARGO_PKG_VERSION_MAJOR"));
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
