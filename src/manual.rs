//! `glimt completions` and `glimt man`: what a shell and a reader are told, from the same words as `--help`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Command, CommandFactory as _, builder::StyledStr};
use clap_complete::Shell;

use crate::{cli::Cli, domain::hint};

/// Prints a script that completes commands and options in this shell.
#[must_use]
pub fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(&Cli::command()), "glimt", &mut script);
    print(&script)
}

/// Prints the manual page of glimt, or of one of its commands.
#[must_use]
pub fn man(of: Option<&str>) -> ExitCode {
    let mut command = visible(&Cli::command());
    command.build();
    if let Some(of) = of {
        let Some(found) = command.find_subcommand(of) else {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let hint = hint(of, known.iter().copied());
            let _unheard = writeln!(io::stderr(), "error: {of:?} is no command: {} are{hint}", known.join(", "));
            return ExitCode::FAILURE;
        };
        command = found.clone().version(env!("CARGO_PKG_VERSION"));
    }
    let mut page = Vec::new();
    match clap_mangen::Man::new(command).render(&mut page) {
        Ok(()) => print(&page),
        Err(_unwritable) => ExitCode::FAILURE,
    }
}

/// The program as it is for people: without the commands that it runs itself by.
fn visible(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let text = |text: Option<&StyledStr>| text.cloned().unwrap_or_default();
    Command::new("glimt")
        .version(env!("CARGO_PKG_VERSION"))
        .about(text(command.get_about()))
        .after_help(text(command.get_after_help()))
        .args(command.get_arguments())
        .subcommands(shown)
}

fn print(bytes: &[u8]) -> ExitCode {
    match io::stdout().write_all(bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::FAILURE,
    }
}
