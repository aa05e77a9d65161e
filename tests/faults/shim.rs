//! `shim.c`, compiled, and what it is told through the environment.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The compiled shim. `None`, said by name, where there is no C compiler.
pub(crate) fn shim() -> Option<&'static Path> {
    SHIM.get_or_init(|| compiled("shim")).as_deref()
}

/// `name.c` of this folder as a library. `None`, said by name, where there is no C compiler.
pub(crate) fn compiled(name: &str) -> Option<PathBuf> {
    if Command::new("cc").arg("--version").output().is_err() {
        println!("skipped: no C compiler");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults").join(name).with_extension("c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.so", std::process::id()));
    let mut command = Command::new("cc");
    command.args(["-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"]).args([&library, &source]);
    let built = command.args(["-ldl", "-lpthread"]).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(library)
}

/// Errors of the operating system.
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

/// A call that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: &'static str,
    /// The number of the first call that does.
    pub(crate) from: u64,
    pub(crate) count: u64,
    pub(crate) error: i32,
    /// What its path has in it.
    pub(crate) place: &'static str,
}

impl Fault {
    pub(crate) fn text(&self) -> String {
        format!("{} {} {} {} {}", self.kind, self.from, self.count, self.error, self.place)
    }
}

/// Loads the shim into this server on `data`.
pub(crate) fn load(command: &mut Command, shim: &Path, data: &Path) {
    fs::create_dir_all(data).unwrap();
    command.env("LD_PRELOAD", shim).env("SHIM_ROOT", data.canonicalize().unwrap());
}
