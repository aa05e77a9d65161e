//! What the child does: shuts itself off, decodes one picture, and ends. And what it can be asked to do for a test: try what it must
//! not be able to, or fail in one way or another.

use std::path::PathBuf;

use super::Layer;

/// What a child is asked for on its command line. The picture's own order comes on stdin.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Task {
    /// Decode nothing: try what must not be possible, files in this folder among it, and say on stdout what was.
    #[arg(long, value_name = "FOLDER")]
    pub check: Option<PathBuf>,

    /// Leave a layer out, as a kernel does that lacks it: for tests.
    #[arg(long, value_name = "LAYER")]
    pub without: Vec<Layer>,

    /// Fail in this way when the picture has been read: for tests.
    #[arg(long, value_name = "FAULT")]
    pub fault: Option<Fault>,
}

/// What a decoder that has gone wrong might do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// End the process with a signal.
    Abort,
    /// Use up the stack.
    Overflow,
    /// Never end.
    Hang,
    /// Take all the memory there is.
    Grow,
    /// Say what makes no sense.
    Garbage,
    /// Say that the picture is larger than any.
    Huge,
    /// Say that the picture is of another size than it is.
    Other,
    /// End in the middle of the pixels.
    Cut,
}

/// What must not be possible in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read a file.
    ReadFile,
    /// Make a file.
    WriteFile,
    /// Read from a descriptor that was left open.
    ReadDescriptor,
    /// Open a socket.
    Socket,
    /// Start a process.
    Process,
    /// Start a thread.
    Thread,
    /// Signal another process.
    Signal,
    /// Take more memory than is allowed.
    Memory,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ReadFile,
        Self::WriteFile,
        Self::ReadDescriptor,
        Self::Socket,
        Self::Process,
        Self::Thread,
        Self::Signal,
        Self::Memory,
    ];

    /// Its name: what one can do.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadFile => "read a file",
            Self::WriteFile => "write a file",
            Self::ReadDescriptor => "read a descriptor left open",
            Self::Socket => "open a socket",
            Self::Process => "start a process",
            Self::Thread => "start a thread",
            Self::Signal => "signal another process",
            Self::Memory => "take too much memory",
        }
    }
}

/// There is no sandbox here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn run(_: &Task) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}

#[cfg(target_os = "linux")]
pub use self::linux::run;

#[cfg(target_os = "linux")]
mod linux {
    use std::fmt::Write as _;
    use std::fs::File;
    use std::hint::black_box;
    use std::io::{self, Read, Write};
    use std::net::UdpSocket;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::path::Path;
    use std::process::{Command, ExitCode};

    use super::super::restrict::{Limits, shut};
    use super::super::wire::{self, Order, Reply};
    use super::super::{FAILED, Layer};
    use super::{Act, Fault, Task};
    use crate::codec;

    /// What a child may take that only tries.
    const CHECK: Limits = Limits { memory_bytes: 16 << 20, cpu_secs: Some(20) };

    /// More than that.
    const TOO_MUCH_BYTES: usize = 256 << 20;

    /// Does what it is asked, and is done.
    #[must_use]
    pub fn run(task: &Task) -> ExitCode {
        let done = match &task.check {
            Some(folder) => check(folder, &task.without),
            None => decode(task),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _unheard = writeln!(io::stderr(), "{error}");
                ExitCode::from(FAILED)
            }
        }
    }

    fn decode(task: &Task) -> io::Result<()> {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let (mut incoming, mut outgoing) = (Pipe(stdin.as_fd()), Pipe(stdout.as_fd()));
        let order: Order = message(&mut incoming)?;
        let limits = Limits { memory_bytes: order.memory_bytes(), cpu_secs: order.cpu_secs() };
        for ((layer, is_there), needed) in Layer::ALL.into_iter().zip(shut(limits, &task.without)).zip(order.layers) {
            // What was in force when the server started has to be in force now.
            if let (Err(why), true) = (is_there, needed) {
                return Err(io::Error::other(format!("{}: {why}", layer.name())));
            }
        }
        let mut file = vec![0; usize::try_from(order.file_bytes).map_err(io::Error::other)?];
        incoming.read_exact(&mut file)?;
        if let Some(fault) = task.fault {
            return fail(fault, &mut outgoing);
        }
        let decoded = codec::decode(&file, &order.budget());
        drop(file);
        match decoded {
            Ok(picture) => {
                outgoing.write_all(&wire::framed(&Reply::from(&picture))?)?;
                outgoing.write_all(picture.data())
            }
            Err(error) => outgoing.write_all(&wire::framed(&Reply::Refused(error.into()))?),
        }
    }

    fn message(from: &mut impl Read) -> io::Result<Order> {
        let mut length = [0; wire::LENGTH_BYTES];
        from.read_exact(&mut length)?;
        let no_order = || io::Error::other("this is started by the server, and by nobody else");
        let mut json = vec![0; wire::json_bytes(length).ok_or_else(no_order)?];
        from.read_exact(&mut json)?;
        wire::read(&json).ok_or_else(no_order)
    }

    fn fail(fault: Fault, to: &mut impl Write) -> io::Result<()> {
        let picture = |side| wire::framed(&Reply::Picture { width: side, height: side, channels: 3 });
        match fault {
            Fault::Abort => std::process::abort(),
            Fault::Overflow => to.write_all(&[overflow(&[1; 1024])]),
            Fault::Hang => loop {
                std::hint::spin_loop();
            },
            Fault::Grow => {
                let mut held = Vec::new();
                loop {
                    held.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            Fault::Garbage => to.write_all(&[b'?'; 100_000]),
            Fault::Huge => to.write_all(&picture(u32::MAX)?),
            Fault::Other => to.write_all(&picture(10)?).and_then(|()| to.write_all(&[0; 300])),
            Fault::Cut => to.write_all(&picture(100)?).and_then(|()| to.write_all(&[0; 29_999])),
        }
    }

    #[expect(unconditional_recursion, reason = "that is what it is for")]
    fn overflow(above: &[u8; 1024]) -> u8 {
        let mut own = black_box(*above);
        own[0] = own[0].wrapping_add(overflow(&own));
        black_box(own)[1]
    }

    /// Shuts itself off and tries everything: a line for each layer and each act.
    fn check(folder: &Path, without: &[Layer]) -> io::Result<()> {
        let mut before = Before { left_open: File::open("/proc/self/exe")?, parent: rustix::process::getppid() };
        let layers = shut(CHECK, without);
        let mut said = String::new();
        for (layer, is_there) in Layer::ALL.into_iter().zip(layers) {
            let is_there = is_there.map_or_else(|why| format!("missing\t{why}"), |()| "in force".to_owned());
            // Writing to a string does not fail.
            let _ = writeln!(said, "layer\t{}\t{is_there}", layer.name());
        }
        for act in Act::ALL {
            let done = attempt(act, folder, &mut before);
            let done = done.map_or_else(|error| format!("refused\t{error}"), |()| "done".to_owned());
            let _ = writeln!(said, "act\t{}\t{done}", act.name());
        }
        Pipe(io::stdout().as_fd()).write_all(said.as_bytes())
    }

    /// What a child has from the time before it shut itself off.
    struct Before {
        left_open: File,
        parent: Option<rustix::process::Pid>,
    }

    fn attempt(act: Act, folder: &Path, before: &mut Before) -> io::Result<()> {
        match act {
            Act::ReadFile => File::open("/etc/passwd").map(drop),
            Act::WriteFile => {
                let path = folder.join("sandbox-check");
                File::create(&path)?;
                std::fs::remove_file(path)
            }
            Act::ReadDescriptor => before.left_open.read_exact(&mut [0]),
            Act::Socket => UdpSocket::bind("127.0.0.1:0").map(drop),
            // It ends at once, and says why on stderr.
            Act::Process => Command::new("/proc/self/exe").arg("--no-such-option").status().map(drop),
            Act::Thread => {
                let thread = std::thread::Builder::new().name("check".to_owned()).spawn(|| {})?;
                thread.join().map_err(|_panicked| io::Error::other("it panicked"))
            }
            Act::Signal => {
                let parent = before.parent.ok_or(io::ErrorKind::NotFound)?;
                Ok(rustix::process::test_kill_process(parent)?)
            }
            Act::Memory => {
                let mut bytes = Vec::<u8>::new();
                bytes.try_reserve_exact(TOO_MUCH_BYTES).map_err(io::Error::other)?;
                black_box(&bytes);
                Ok(())
            }
        }
    }

    /// A descriptor without a buffer: nothing of the picture is read before it is time.
    struct Pipe<'a>(BorrowedFd<'a>);

    impl Read for Pipe<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            Ok(rustix::io::read(self.0, buf)?)
        }
    }

    impl Write for Pipe<'_> {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            Ok(rustix::io::write(self.0, buf)?)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
