//! Decoding in a process of its own, for formats whose decoders are ports of C, have `unsafe` inside or cannot be stopped
//! ([`InputFormat::is_apart`](crate::codec::InputFormat::is_apart)).
//!
//! The child is this very program. It shuts itself off before it reads a byte of the picture ([`restrict`]): no file, no socket, no other
//! process or thread, no more memory and time than the picture may take. It gets one file, gives pixels back, and is gone, so
//! that no picture ever meets what another has left. What it says is not believed but checked ([`wire`]). Whatever becomes of it costs one request.

pub mod child;
mod mode;
mod outcome;
#[cfg(target_os = "linux")]
mod parent;
#[cfg(target_os = "linux")]
mod restrict;
#[cfg(target_os = "linux")]
mod wire;

use std::{ffi::OsString, io, path::PathBuf};

use crate::codec::{Budget, CodecError};
use crate::pixels::{Pixmap, Stop};

pub use self::child::{Act, Fault, Task};
pub use self::mode::{Mode, ModeError};
pub use self::outcome::Outcome;
#[cfg(target_os = "linux")]
pub use self::parent::Sandbox;

/// The exit code of a child that could not shut itself off, or was not told what to do.
#[cfg(target_os = "linux")]
const FAILED: u8 = 70;

/// Memory that a child takes beside the picture and its file: the program itself, and its tables.
const CHILD_BYTES: u64 = 8 << 20;

/// One of the walls around the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layer {
    /// Landlock: no file system, no network.
    Landlock,
    /// Limits of the process: memory, processor time, files, processes.
    Limits,
    /// Seccomp: no call of the kernel but those that decoding needs.
    Seccomp,
}

impl Layer {
    /// All of them, in the order in which they are put up.
    pub const ALL: [Self; 3] = [Self::Landlock, Self::Limits, Self::Seccomp];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }
}

/// What starts a child: a program, and what makes it decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program: this one, usually.
    pub program: PathBuf,
    /// What comes before what the parent asks for.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// This very program, asked to decode. `None` where the system does not say where it is.
    #[must_use]
    pub fn of_this_program() -> Option<Self> {
        // On Linux by the name that is right even after the file was replaced: the child is to understand what it is told.
        let own = PathBuf::from("/proc/self/exe");
        let found = matches!(own.try_exists(), Ok(true)).then_some(own);
        let program = found.or_else(|| std::env::current_exe().ok())?;
        Some(Self { program, arguments: vec!["decode".into()] })
    }
}

/// Why there is no sandbox although one is to be.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Another system than Linux.
    #[error("a sandbox for decoders is there on Linux only: start with --sandbox auto or off")]
    Elsewhere,
    /// Nobody said what to start.
    #[error("this program does not know where it is itself, and cannot start a decoder")]
    NoProgram,
    /// A decoder cannot be started, or ends at once.
    #[error("a decoder in a sandbox cannot be started: {cause}")]
    Start {
        /// Why not.
        cause: String,
    },
    /// The kernel, or what stands around this process, does not have a layer.
    #[error("the sandbox for decoders is not whole: {missing}")]
    Missing {
        /// What is not there, and why.
        missing: String,
    },
    /// Something was tried in the sandbox and could be done.
    #[error("the sandbox for decoders does not hold: in it one can {acts}")]
    Open {
        /// What.
        acts: String,
    },
    /// The system refused a call.
    #[error("a decoder in a sandbox cannot be watched")]
    Io(#[from] io::Error),
}

/// What decodes in the sandbox until `stop`; `None` where there is none.
#[must_use]
pub fn decoder<'a>(
    sandbox: Option<&'a Sandbox>,
    stop: &'a Stop,
) -> Option<impl Fn(&[u8], &Budget) -> Result<Pixmap, CodecError>> {
    sandbox.map(|sandbox| move |bytes: &[u8], budget: &Budget| sandbox.decode(bytes, budget, stop))
}

/// Memory that a child takes beside what decoding does in this process: it has the file once more. The picture is there twice only when
/// the decoder is done, which holds more while it works.
#[must_use]
pub fn child_bytes(sandbox: Option<&Sandbox>, file_bytes: u64) -> u64 {
    sandbox.map_or(0, |_| file_bytes.saturating_add(CHILD_BYTES))
}

/// What became of all children, by name: nothing where there is no sandbox.
#[must_use]
pub fn outcomes(sandbox: Option<&Sandbox>) -> [(&'static str, u64); Outcome::ALL.len()] {
    let counts = sandbox.map_or([0; Outcome::ALL.len()], Sandbox::outcomes);
    let mut counts = counts.into_iter();
    Outcome::ALL.map(|outcome| (outcome.name(), counts.next().unwrap_or_default()))
}

/// There is none here.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Sandbox {
    none: std::convert::Infallible,
}

#[cfg(not(target_os = "linux"))]
impl Sandbox {
    /// No sandbox.
    ///
    /// # Errors
    /// [`SandboxError::Elsewhere`] where one was asked for.
    pub fn start(mode: Mode, _: Option<&Program>, _: &std::path::Path) -> Result<Option<Self>, SandboxError> {
        match mode {
            Mode::On => Err(SandboxError::Elsewhere),
            Mode::Auto | Mode::Off => Ok(None),
        }
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn decode(&self, _: &[u8], _: &Budget, _: &Stop) -> Result<Pixmap, CodecError> {
        match self.none {}
    }

    /// Never called.
    #[must_use]
    pub fn outcomes(&self) -> [u64; Outcome::ALL.len()] {
        match self.none {}
    }
}
