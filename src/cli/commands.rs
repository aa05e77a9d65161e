//! What the program can do.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Subcommand, ValueEnum};
use clap_complete::Shell;

use super::{Options, read::parse_secs};
use crate::{domain::Secret, pixels::Backend, sandbox};

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve, as is done when no command is given
    Serve {
        /// How to serve.
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Print the options that are in effect as a TOML file, and where each came from; exit code 0 if they are enough to serve
    Config {
        /// As the server takes them.
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Ask a running server whether it is well; exit code 0 if it is.
    Healthcheck {
        /// The server's address; the one this environment configures when not given.
        #[arg(short, long, value_name = "ADDR")]
        addr: Option<SocketAddr>,

        /// Ask over TLS, as is done where the environment names a certificate. The server's is not verified.
        #[arg(long)]
        tls: bool,
    },
    /// Show the adapters there are, the engine that would be used and why, and where jobs would go.
    GpuInfo {
        /// The engine to ask for; what the environment says, or auto, when not given.
        #[arg(long, value_name = "BACKEND")]
        backend: Option<Backend>,
    },
    /// Verify that every picture has its bytes and its names, while no server runs; exit code 0 if nothing is wrong
    Check {
        /// Data directory; what the environment says when not given.
        #[arg(short, long, value_name = "PATH")]
        path: Option<PathBuf>,

        /// Mend what is wrong: forget pictures whose bytes are lost, move damaged files to damaged/, delete files of nothing.
        #[arg(long)]
        repair: bool,
    },
    /// Write all metadata into a folder that any later version can import, while no server runs
    Export {
        /// The folder; what is there already is not written again.
        #[arg(value_name = "FOLDER")]
        to: PathBuf,

        /// Data directory; what the environment says when not given.
        #[arg(short, long, value_name = "PATH")]
        path: Option<PathBuf>,

        /// The pictures too.
        #[arg(long)]
        files: bool,
    },
    /// Take in what export wrote, the data directory of pict-rs 0.2 or 0.3, or all pictures in a folder, while no server runs;
    /// exit code 0 if none was refused
    Import {
        /// That folder, and those in it; it is only read.
        #[arg(value_name = "FOLDER")]
        from: PathBuf,

        /// For a folder of pictures: a list of path, alias and delete token of each, as tab-separated values. What stands in it
        /// is not taken in again; import.tsv in the data directory when not given.
        #[arg(long, value_name = "FILE")]
        list: Option<PathBuf>,

        /// Data directory; what the environment says when not given.
        #[arg(short, long, value_name = "PATH")]
        path: Option<PathBuf>,
    },
    /// Make one picture as a server here would, without one: glimt process in.jpg 'thumbnail=256&blur=3' out.webp
    Process {
        /// The picture.
        #[arg(value_name = "IN")]
        from: PathBuf,

        /// Filters in their order, and quality, as in the query of a request; '' for none.
        #[arg(value_name = "OPS")]
        ops: String,

        /// The file to make; its extension says the format: jpg, png, webp, avif, gif or apng.
        #[arg(value_name = "OUT")]
        to: PathBuf,

        /// The engine to ask for; what the environment says, or auto, when not given.
        #[arg(long, value_name = "BACKEND")]
        backend: Option<Backend>,
    },
    /// Find out in about a minute what this machine can carry, and which limits to set; on the disk of the data directory, in a
    /// folder of its own that is deleted afterwards
    Bench {
        /// How long it takes in all, about, in seconds.
        #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
        secs: u32,

        /// Of what size the pictures are, in megapixels.
        #[arg(long, value_name = "MP", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=40))]
        megapixels: u32,

        /// Data directory; what the environment says, or this folder, when not given.
        #[arg(short, long, value_name = "PATH")]
        path: Option<PathBuf>,

        /// The engine to ask for; what the environment says, or auto, when not given.
        #[arg(long, value_name = "BACKEND")]
        backend: Option<Backend>,

        /// Threads that decode, process and encode; what the environment says, or one a core, when not given.
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        workers: Option<i64>,
    },
    /// Print a script that completes commands and options in a shell
    Completions {
        /// Which one.
        shell: Shell,
    },
    /// Print the manual page, for man: glimt man | man -l -
    Man {
        /// Of one of the commands; of all when not given.
        #[arg(value_name = "COMMAND")]
        of: Option<String>,
    },
    /// Print an address with a signature behind it, for servers that ask for one
    Sign {
        /// The path with its query, or the whole URL: '/image/process.webp?src=asdf.png&thumbnail=256'
        #[arg(value_name = "PATH")]
        target: String,

        /// For how long it counts: 90s, 15m, 24h or 30d; for ever when not given
        #[arg(long, value_name = "TIME", value_parser = parse_secs)]
        expires_in: Option<u64>,

        /// The key, if not the one that environment or file have
        #[arg(long, value_name = "KEY")]
        signing_key: Option<Secret>,

        /// A file with the key in its first line
        #[arg(long, value_name = "FILE")]
        signing_key_file: Option<PathBuf>,

        /// The server's TOML file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Open a device and say what came of it: the server runs this before it opens one itself.
    #[command(hide = true)]
    Probe {
        /// What to open.
        what: ProbeOf,
    },
    /// Decode the picture on stdin in a sandbox: the server runs this, and nobody else.
    #[command(hide = true)]
    Decode {
        /// What is asked for.
        #[command(flatten)]
        task: sandbox::Task,
    },
}

/// What a probe opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProbeOf {
    /// A graphics processor.
    Hardware,
    /// The shaders on the processor.
    Software,
    /// All drivers, for a list of adapters.
    Adapters,
}
