//! Completions and manual pages, made from the flag list.

use std::io::Write;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use fs_err as fs;

use super::failure::Failure;

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "sbir", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}

/// Prints the manual page, or writes one per command into `folder`.
pub(crate) fn man(folder: Option<&Path>, command: Command) -> Result<(), Failure> {
    let page = |command: Command| -> Result<Vec<u8>, Failure> {
        let mut roff = Vec::new();
        clap_mangen::Man::new(command).render(&mut roff)?;
        Ok(roff)
    };
    let Some(folder) = folder else {
        std::io::stdout().write_all(&page(command)?)?;
        return Ok(());
    };
    fs::create_dir_all(folder)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("sbir-{}", sub.get_name());
        let named = sub.clone().name(name.clone()).display_name(name.clone());
        fs::write(folder.join(format!("{name}.1")), page(named)?)?;
    }
    fs::write(folder.join("sbir.1"), page(command)?)?;
    Ok(())
}
