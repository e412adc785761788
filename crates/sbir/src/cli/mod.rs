//! The command line.

mod args;
mod compute;
mod convert;
mod doctor;
mod embed;
mod embedder;
mod eval;
mod failure;
mod gallery;
mod index;
mod interrupt;
mod load;
mod manifest;
mod model;
mod output;
mod pages;
mod pairs;
mod progress;
mod report;
mod search;
mod serve;
mod shards;
mod sketchify;
mod store;
mod train;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};

/// Parses, runs, and turns the outcome into an exit code: 0 done, 1 failed, 2 wrong usage, 130 after
/// Ctrl-C.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    interrupt::survive_size_limits();
    let outcome = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Manifest(args) => manifest::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Index(args) => index::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Gallery(args) => gallery::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Sketchify(args) => sketchify::run(&args),
        Command::Completions { shell } => pages::completions(shell, Cli::command()),
        Command::Man { folder } => pages::man(folder.as_deref(), Cli::command()),
        Command::Adapters => compute::print_adapters(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
