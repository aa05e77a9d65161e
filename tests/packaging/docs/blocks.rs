//! The fenced blocks of a Markdown file, with what a comment above each says of it.

use std::fmt;

/// What a comment right above a block says: how its commands are to be taken. Nothing said: they are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// Needs the nginx of this page in front of the server.
    BehindNginx,
    /// Builds or measures, for minutes: what it names is looked for.
    Builds,
    /// A service for compose.
    Compose,
    /// Needs docker: what it names is looked for.
    NeedsDocker,
    /// Changes the machine: what it names is looked for.
    NeedsRoot,
    /// Needs rsync, which not every machine has.
    NeedsRsync,
    /// A scrape of Prometheus.
    Prometheus,
    /// Ends in a server: it has to answer, and to end well when it is told to.
    StartsAServer,
    /// Is run with less to do.
    TakesAMinute,
    /// The server that the rest of the page talks to.
    TheServerOfThisPage,
    /// What a run has printed that takes minutes.
    WasMeasured,
    /// A server has the data directory meanwhile.
    WhileAServerRuns,
    /// No server has it.
    WhileNoServerRuns,
}

impl Mark {
    /// All there are.
    pub(super) const ALL: [Self; 13] = [
        Self::BehindNginx,
        Self::Builds,
        Self::Compose,
        Self::NeedsDocker,
        Self::NeedsRoot,
        Self::NeedsRsync,
        Self::Prometheus,
        Self::StartsAServer,
        Self::TakesAMinute,
        Self::TheServerOfThisPage,
        Self::WasMeasured,
        Self::WhileAServerRuns,
        Self::WhileNoServerRuns,
    ];

    /// As it stands in the comment.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::BehindNginx => "behind nginx",
            Self::Builds => "builds",
            Self::Compose => "compose",
            Self::NeedsDocker => "needs docker",
            Self::NeedsRoot => "needs root",
            Self::NeedsRsync => "needs rsync",
            Self::Prometheus => "prometheus",
            Self::StartsAServer => "starts a server",
            Self::TakesAMinute => "takes a minute",
            Self::TheServerOfThisPage => "the server of this page",
            Self::WasMeasured => "was measured",
            Self::WhileAServerRuns => "while a server runs",
            Self::WhileNoServerRuns => "while no server runs",
        }
    }
}

/// A block, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The file, from the top of the repository.
    pub(super) page: String,
    /// The line of its fence, from 1.
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) marks: Vec<Mark>,
    /// Its lines, each with its end.
    pub(super) text: String,
}

impl Block {
    pub(super) fn has(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }

    /// Its commands: lines joined after a `\`, without comments and without empty ones.
    pub(super) fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let lines = joined.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.page, self.line)
    }
}

/// The marks in a comment, if `line` is one.
///
/// # Errors
/// Names what is no mark.
fn marks(line: &str) -> Result<Vec<Mark>, String> {
    let Some(comment) = line.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) else {
        return Ok(Vec::new());
    };
    let mark = |name: &str| {
        let known = Mark::ALL.into_iter().find(|mark| mark.name() == name);
        known.ok_or_else(|| format!("{name:?} is none of {:?}", Mark::ALL.map(Mark::name)))
    };
    comment.split(';').map(|name| mark(name.trim())).collect()
}

/// The blocks of a file, in their order.
///
/// # Errors
/// Says what is wrong with one: a comment above that is no mark, no language, no end.
pub(super) fn blocks(page: &str, markdown: &str) -> Result<Vec<Block>, String> {
    let (mut found, mut open, mut above) = (Vec::new(), None::<Block>, "");
    for (at, line) in markdown.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(language)) => {
                let line = at + 1;
                let here = |told| format!("{page}:{line}: {told}");
                if language.is_empty() {
                    return Err(here("a block without a language".to_owned()));
                }
                let (page, language) = (page.to_owned(), language.to_owned());
                let marks = marks(above).map_err(here)?;
                open = Some(Block { page, line, language, marks, text: String::new() });
            }
            (None, None) => {}
        }
        above = line;
    }
    match open {
        Some(block) => Err(format!("{block}: the block does not end")),
        None => Ok(found),
    }
}

#[test]
fn blocks_are_read_with_their_marks() {
    let page = "x\n<!-- needs rsync; while a server runs -->\n```sh\na \\\n  b   # c\n# d\n\ne '#f'\n```\n\n```json\n{}\n```\n";
    let read = blocks("p.md", page).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].line, read[0].language.as_str()), (3, "sh"));
    assert_eq!(read[0].marks, [Mark::NeedsRsync, Mark::WhileAServerRuns]);
    assert_eq!(read[0].commands(), ["a    b", "e '#f'"]);
    assert_eq!(read[0].to_string(), "p.md:3");
    assert_eq!((read[1].marks.len(), read[1].text.as_str()), (0, "{}\n"));
    assert!(
        blocks("p.md", "<!-- needs magic -->\n```sh\n```").unwrap_err().contains("p.md:2: \"needs magic\" is none of")
    );
    assert!(blocks("p.md", "```\nx\n```").unwrap_err().contains("without a language"));
    assert!(blocks("p.md", "```sh\nx\n").unwrap_err().contains("does not end"));
}
