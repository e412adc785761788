//! The `sbir` binary: flags and glue.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
