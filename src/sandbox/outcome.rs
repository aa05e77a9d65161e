//! What becomes of the children.

/// What became of a child, and with it of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave the picture.
    Done,
    /// It said what is wrong with the file.
    Refused,
    /// It ended before that, or said what makes no sense.
    Crashed,
    /// It was killed at the deadline, or gave up at it.
    TimedOut,
    /// It was killed because nobody waited any more.
    Stopped,
    /// It could not be started, or not shut itself off.
    NotStarted,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Refused, Self::Crashed, Self::TimedOut, Self::Stopped, Self::NotStarted];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Crashed => "crashed",
            Self::TimedOut => "timed_out",
            Self::Stopped => "stopped",
            Self::NotStarted => "not_started",
        }
    }
}
