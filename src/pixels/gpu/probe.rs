//! Opens a device in a process of its own first, because a driver may end the process that opens it.
//!
//! The child does what the parent is about to do: enumerate, open, compile, verify ([`open`]). Only when it comes back whole does
//! the parent go on. What a device does later is watched over by its thread.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::machine::Machine;
use super::{DeviceError, Want};

/// A command that opens a device: `program`, `arguments`, and then `hardware` or `software`: it says what it found on stdout
/// and ends with one of [`Verdict`]'s codes. With [`ADAPTERS`] instead it lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The program: this one, usually.
    pub program: PathBuf,
    /// What makes it a probe.
    pub arguments: Vec<OsString>,
    /// The longest it may take.
    pub timeout: Duration,
}

/// The argument for a list of all adapters.
pub const ADAPTERS: &str = "adapters";

/// The first compilation of all shaders on a cold disk takes a second or two.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// How often the parent looks whether the child has ended.
const LOOK: Duration = Duration::from_millis(2);

/// The most that is read of what a child says.
const MAX_SAID_BYTES: u64 = 4096;

/// What a child came to, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The device opens and computes right.
    Works = 0,
    /// It does not.
    Fails = 10,
    /// There is none of the kind.
    Absent = 11,
}

impl Probe {
    /// This very program, asked to `probe`. `None` where the system does not say where it is.
    #[must_use]
    pub fn of_this_program() -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        Some(Self { program, arguments: vec!["probe".into()], timeout: TIMEOUT })
    }

    /// Has a process open a device of this kind.
    ///
    /// # Errors
    /// [`DeviceError::NoAdapter`], or [`DeviceError::Unsafe`] with what the child said or how it ended. A command that cannot be started is
    /// no reason to do without a device.
    pub fn run(&self, want: Want) -> Result<(), DeviceError> {
        let Some((status, said)) = self.ask(&want.to_string())? else { return Ok(()) };
        match status.code().and_then(Verdict::from_code) {
            Some(Verdict::Works) => Ok(()),
            Some(Verdict::Absent) => Err(DeviceError::NoAdapter { wanted: want, found: said }),
            Some(Verdict::Fails) => Err(DeviceError::Unsafe { reason: said }),
            None => Err(ended(status)),
        }
    }

    /// What a process says of all adapters. `None` when it cannot be started.
    ///
    /// # Errors
    /// [`DeviceError::Unsafe`] with how it ended.
    pub fn adapters(&self) -> Result<Option<String>, DeviceError> {
        let Some((status, said)) = self.ask(ADAPTERS)? else { return Ok(None) };
        if status.success() { Ok(Some(said)) } else { Err(ended(status)) }
    }

    /// Runs the command with one more argument; how it ended and what it said. `None` when it cannot be started.
    fn ask(&self, argument: &str) -> Result<Option<(ExitStatus, String)>, DeviceError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(argument);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                tracing::warn!(%error, program = %self.program.display(), "a device is opened without a probe");
                return Ok(None);
            }
        };
        let status = self.wait(&mut child)?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            // What is not text is not said.
            let _ = stdout.take(MAX_SAID_BYTES).read_to_string(&mut said);
        }
        Ok(Some((status, said.trim().to_owned())))
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus, DeviceError> {
        let broken = |error: std::io::Error| DeviceError::Unsafe { reason: error.to_string() };
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(broken)? {
                return Ok(status);
            }
            if started.elapsed() > self.timeout {
                child.kill().and_then(|()| child.wait()).map_err(broken)?;
                let reason = format!("a process that opened it was not done within {:?}", self.timeout);
                return Err(DeviceError::Unsafe { reason });
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn ended(status: ExitStatus) -> DeviceError {
    DeviceError::Unsafe { reason: format!("a process that opened it ended with {status}") }
}

impl Verdict {
    const ALL: [Self; 3] = [Self::Works, Self::Fails, Self::Absent];

    fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| *verdict as i32 == code)
    }
}

/// What the child does: opens, compiles and verifies a device, and lets it go. The second part is what to say on stdout.
#[must_use]
pub fn open(want: Want) -> (Verdict, String) {
    const SMALL_BUDGET_BYTES: u64 = 64 << 20;
    match Machine::start(want, SMALL_BUDGET_BYTES, TIMEOUT) {
        Ok(machine) => (Verdict::Works, machine.description().to_owned()),
        Err(DeviceError::NoAdapter { found, .. }) => (Verdict::Absent, found),
        Err(error) => (Verdict::Fails, error.to_string()),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn probe(script: &str) -> Result<(), DeviceError> {
        let arguments = ["-c", script, "probe"].map(OsString::from).to_vec();
        Probe { program: "/bin/sh".into(), arguments, timeout: Duration::from_millis(300) }.run(Want::Hardware)
    }

    #[test]
    fn what_a_child_comes_to_is_what_is_reported() {
        assert_eq!(probe("exit 0"), Ok(()));
        let found = "none".to_owned();
        assert_eq!(probe("echo none; exit 11"), Err(DeviceError::NoAdapter { wanted: Want::Hardware, found }));
        assert_eq!(probe("echo it is wrong; exit 10"), Err(DeviceError::Unsafe { reason: "it is wrong".to_owned() }));
        let told = |script| probe(script).unwrap_err().to_string();
        assert!(told("kill -ABRT $$").contains("signal: 6"), "{}", told("kill -ABRT $$"));
        assert!(told("exit 1").contains("exit status: 1"), "another program's failure is no verdict");
        assert!(told("sleep 60").contains("not done within 300ms"));
        assert!(probe("test $1 = hardware || exit 10").is_ok());
    }

    #[test]
    fn a_probe_that_cannot_be_started_stops_nothing() {
        let probe = Probe { program: "/nonexistent/glimt".into(), arguments: Vec::new(), timeout: TIMEOUT };
        assert_eq!(probe.run(Want::Hardware), Ok(()));
    }
}
