//! The parent's side: starts a child for each picture, watches the clock and the caller, believes nothing.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::child::Act;
use super::wire::{self, Order, Reply};
use super::{FAILED, Layer, Mode, Outcome, Program, SandboxError};
use crate::codec::{self, Budget, CodecError, InputFormat};
use crate::pixels::{Layout, Pixmap, Stop, Stopped};

/// How often the parent looks whether anybody still waits.
const LOOK: Duration = Duration::from_millis(10);

/// How long a child that has said its last may take to end.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// The longest that the check at start may take.
const CHECK_TIME: Duration = Duration::from_secs(20);

/// More than a check says.
const MAX_SAID_BYTES: usize = 64 << 10;

/// What reading a picture is done with; one that is done.
type Progress<T> = Result<Option<T>, CodecError>;

/// Decodes pictures, each in a process of its own.
#[derive(Debug)]
pub struct Sandbox {
    program: Program,
    /// Those that were in force when the server started, in the order of [`Layer::ALL`].
    layers: [bool; 3],
    /// What became of the children so far, in the order of [`Outcome::ALL`].
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

impl Sandbox {
    /// Has a child shut itself off and try what it must not be able to do, files in `folder` among it. `None` where everything is decoded
    /// here: by `off`, or with `auto` where no child can be started.
    ///
    /// # Errors
    /// With `on`, [`SandboxError`] says what is not there or does not hold.
    pub fn start(mode: Mode, program: Option<&Program>, folder: &Path) -> Result<Option<Self>, SandboxError> {
        if mode == Mode::Off {
            return Ok(None);
        }
        let started = program.ok_or(SandboxError::NoProgram).and_then(|program| Self::check(mode, program, folder));
        match (started, mode) {
            (Ok(sandbox), _) => Ok(Some(sandbox)),
            (Err(error), Mode::On) => Err(error),
            (Err(error), Mode::Auto | Mode::Off) => {
                tracing::warn!("everything is decoded in this process: {error}");
                Ok(None)
            }
        }
    }

    fn check(mode: Mode, program: &Program, folder: &Path) -> Result<Self, SandboxError> {
        let said = ask(program, folder)?;
        let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split('\t').collect()).collect();
        let layers = Layer::ALL.map(|layer| lines.iter().any(|line| line[..] == ["layer", layer.name(), "in force"]));
        let missing = lines.iter().filter_map(|line| match line[..] {
            ["layer", layer, "missing", why] => Some(format!("{layer} is missing ({why})")),
            _ => None,
        });
        let missing = missing.collect::<Vec<_>>().join(", ");
        let refused = |act: &&Act| !lines.iter().any(|line| line.starts_with(&["act", act.name(), "refused"]));
        let acts = Act::ALL.iter().filter(refused).map(|act| act.name()).collect::<Vec<_>>().join(", ");
        if layers == [true; 3] && acts.is_empty() {
            tracing::info!("AVIF, HEIC, JPEG XL and SVG are decoded in a sandbox");
            return Ok(Self { program: program.clone(), layers, outcomes: Default::default() });
        }
        let fault = if layers == [true; 3] { SandboxError::Open { acts } } else { SandboxError::Missing { missing } };
        if mode == Mode::On {
            return Err(fault);
        }
        tracing::warn!("AVIF, HEIC, JPEG XL and SVG are decoded in processes of their own, but {fault}");
        Ok(Self { program: program.clone(), layers, outcomes: Default::default() })
    }

    /// The picture in the file, as [`codec::decode`] gives it, by a child of its own. That is killed at the deadline, and when the
    /// job is stopped.
    ///
    /// # Errors
    /// What the child refuses; [`CodecError::Crashed`] when it ends or says what makes no sense; [`CodecError::TimedOut`];
    /// [`CodecError::NoDecoder`] when there is none.
    pub fn decode(&self, bytes: &[u8], budget: &Budget, stop: &Stop) -> Result<Pixmap, CodecError> {
        let format = codec::sniff(bytes).ok_or(CodecError::NotAnImage)?;
        let decoded = self.decode_as(format, bytes, budget, stop);
        let outcome = outcome(&decoded, budget, stop);
        for (count, _) in self.outcomes.iter().zip(Outcome::ALL).filter(|(_, one)| *one == outcome) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        decoded
    }

    /// What became of the children so far, in the order of [`Outcome::ALL`].
    #[must_use]
    pub fn outcomes(&self) -> [u64; Outcome::ALL.len()] {
        self.outcomes.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    fn decode_as(&self, format: InputFormat, bytes: &[u8], budget: &Budget, stop: &Stop) -> Result<Pixmap, CodecError> {
        let broken = |error: io::Error| CodecError::NoDecoder { cause: error.to_string() };
        let order = Order::new(bytes.len() as u64, self.layers, budget);
        let order = wire::framed(&order).map_err(|error| broken(error.into()))?;
        let mut running = Running::start(&self.program, &[], Stdio::piped()).map_err(broken)?;
        let mut down = Down { pipe: running.child.stdin.take(), order: &order, file: bytes };
        if let Some(pipe) = &down.pipe {
            rustix::io::ioctl_fionbio(pipe, true).map_err(|error| broken(error.into()))?;
        }
        let mut up = Up { format, budget, state: State::Length([0; wire::LENGTH_BYTES]), filled: 0 };
        loop {
            if stop.check().is_err() {
                return Err(CodecError::TimedOut);
            }
            budget.check_deadline()?;
            let left = budget.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let (reads, writes) = ready(&running.stdout, down.pipe.as_ref(), left).map_err(broken)?;
            if writes {
                down.write();
            }
            if reads {
                match running.stdout.read(up.slot()) {
                    Ok(0) => return Err(running.ended(format)),
                    Ok(count) => {
                        if let Some(picture) = up.took(count)? {
                            return Ok(picture);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(broken(error)),
                }
            }
        }
    }
}

/// What became of the child that gave this.
fn outcome(decoded: &Result<Pixmap, CodecError>, budget: &Budget, stop: &Stop) -> Outcome {
    let Err(error) = decoded else { return Outcome::Done };
    if matches!(error, CodecError::Crashed { .. }) {
        Outcome::Crashed
    } else if matches!(error, CodecError::NoDecoder { .. }) {
        Outcome::NotStarted
    } else if !matches!(error, CodecError::TimedOut) {
        Outcome::Refused
    } else {
        // Who waits is answered at the deadline and leaves: the job may hear of that before it looks at the clock.
        let mut deadlines = [budget.deadline, stop.deadline()].into_iter().flatten();
        let is_over = deadlines.any(|deadline| Instant::now() >= deadline);
        if stop.check() == Err(Stopped::Dropped) && !is_over { Outcome::Stopped } else { Outcome::TimedOut }
    }
}

/// What a child says that checks itself.
fn ask(program: &Program, folder: &Path) -> Result<String, SandboxError> {
    let failed = |cause: String| SandboxError::Start { cause };
    let arguments = ["--check".as_ref(), folder.as_os_str()];
    let mut running = Running::start(program, &arguments, Stdio::null()).map_err(|error| failed(error.to_string()))?;
    let (began, mut said, mut chunk) = (Instant::now(), Vec::new(), [0; 4096]);
    loop {
        let left = CHECK_TIME.saturating_sub(began.elapsed());
        if left.is_zero() || said.len() > MAX_SAID_BYTES {
            return Err(failed("it does not end".to_owned()));
        }
        if ready(&running.stdout, None, Some(left))?.0 {
            match running.stdout.read(&mut chunk)? {
                0 => break,
                count => said.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
    }
    match running.status() {
        Some(status) if status.success() => Ok(String::from_utf8_lossy(&said).into_owned()),
        Some(status) => Err(failed(format!("it ended with {status}"))),
        None => Err(failed("it does not end".to_owned())),
    }
}

/// A child, with nothing of this process but two pipes. It is killed and reaped when this is dropped.
struct Running {
    child: Child,
    stdout: ChildStdout,
}

impl Running {
    fn start(program: &Program, more: &[&std::ffi::OsStr], stdin: Stdio) -> io::Result<Self> {
        let mut command = Command::new(&program.program);
        // The one thing that it is to know: the allocator is not to reserve a gibibyte before there are limits, within which it could
        // then do as it likes.
        command.args(&program.arguments).args(more).env_clear().env("MIMALLOC_DISALLOW_ARENA_ALLOC", "1");
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, stdout })
    }

    /// How it ended; `None` when it does not.
    fn status(&mut self) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < LAST_BREATH {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// What to say of one that says no more before it has said all.
    fn ended(&mut self, format: InputFormat) -> CodecError {
        let status = self.status();
        if status.and_then(|status| status.code()) == Some(FAILED.into()) {
            return CodecError::NoDecoder { cause: "it could not shut itself off".to_owned() };
        }
        crashed(format, status.map_or_else(|| "it went silent".to_owned(), |status| status.to_string()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; killed, it is gone at once.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn crashed(format: InputFormat, how: impl Into<String>) -> CodecError {
    CodecError::Crashed { format: format.name(), how: how.into() }
}

/// Waits until the child has said something, or takes more, or it is time to look up. Whether one can read, and write.
fn ready(stdout: &ChildStdout, stdin: Option<&ChildStdin>, left: Option<Duration>) -> io::Result<(bool, bool)> {
    let wait = left.map_or(LOOK, |left| left.min(LOOK));
    let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
    let reading = PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN);
    let mut both = vec![reading];
    both.extend(stdin.map(|stdin| PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::OUT)));
    match poll(&mut both, Some(&wait)) {
        Ok(_count) => {}
        Err(rustix::io::Errno::INTR) => return Ok((false, false)),
        Err(error) => return Err(error.into()),
    }
    let is_ready = |at: usize| both.get(at).is_some_and(|one| !one.revents().is_empty());
    Ok((is_ready(0), is_ready(1)))
}

/// What goes down: the order, then the file.
struct Down<'a> {
    /// Until all is there, or the child takes no more.
    pipe: Option<ChildStdin>,
    order: &'a [u8],
    file: &'a [u8],
}

impl Down<'_> {
    fn write(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let rest = if self.order.is_empty() { &mut self.file } else { &mut self.order };
        match pipe.write(rest) {
            Ok(count) => *rest = rest.get(count..).unwrap_or_default(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // It has ended, or refuses what it has not read: what it says tells which.
            Err(_closed) => self.pipe = None,
        }
        if self.order.is_empty() && self.file.is_empty() {
            self.pipe = None;
        }
    }
}

/// What comes up, piece by piece.
struct Up<'a> {
    format: InputFormat,
    budget: &'a Budget,
    state: State,
    /// Bytes that are there of what the state waits for.
    filled: usize,
}

enum State {
    Length([u8; wire::LENGTH_BYTES]),
    Json(Vec<u8>),
    Pixels { width: u32, height: u32, layout: Layout, data: Vec<u8> },
}

impl Up<'_> {
    /// Where the next bytes go; never empty.
    fn slot(&mut self) -> &mut [u8] {
        let all = match &mut self.state {
            State::Length(bytes) => &mut bytes[..],
            State::Json(bytes) | State::Pixels { data: bytes, .. } => bytes,
        };
        all.get_mut(self.filled..).unwrap_or_default()
    }

    /// Goes on when `count` bytes have come into the slot.
    fn took(&mut self, count: usize) -> Progress<Pixmap> {
        self.filled += count;
        if !self.slot().is_empty() {
            return Ok(None);
        }
        self.filled = 0;
        let no_sense = || crashed(self.format, "it said what makes no sense");
        match &mut self.state {
            State::Length(length) => {
                let json_bytes = wire::json_bytes(*length).ok_or_else(no_sense)?;
                self.state = State::Json(vec![0; json_bytes]);
                Ok(None)
            }
            State::Json(json) => match wire::read(json).ok_or_else(no_sense)? {
                Reply::Refused(refusal) => Err(refusal.into_error(self.format)),
                Reply::Picture { width, height, channels } => {
                    let layout = wire::layout(channels).ok_or_else(no_sense)?;
                    let data = vec![0; size(width, height, layout, self.budget).ok_or_else(no_sense)?];
                    self.state = State::Pixels { width, height, layout, data };
                    Ok(None)
                }
            },
            State::Pixels { width, height, layout, data } => {
                Pixmap::new(*width, *height, *layout, std::mem::take(data)).map(Some).map_err(|_misfit| no_sense())
            }
        }
    }
}

/// Bytes of a picture that the budget allows; `None` of any other.
fn size(width: u32, height: u32, layout: Layout, budget: &Budget) -> Option<usize> {
    budget.check_size(width, height).ok()?;
    let bytes =
        (u64::from(width) * u64::from(height)).checked_mul(layout.channels() as u64).filter(|bytes| *bytes > 0)?;
    budget.check_memory(bytes).ok()?;
    usize::try_from(bytes).ok()
}
