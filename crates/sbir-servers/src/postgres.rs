//! A PostgreSQL server with pgvector.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Process, free_ports, install, wait_for};

const USER: &str = "sbir";
/// A start after a crash replays the log.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of its own, empty, on loopback, with scram passwords and `fsync` on. It and its data go with this value.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    /// None while it is stopped.
    process: Mutex<Option<Process>>,
}

impl Postgres {
    /// The password of the user that owns everything.
    pub const PASSWORD: &str = "a password of tests";

    /// Installs a server where it is not there yet, and starts it.
    ///
    /// # Errors
    /// If it cannot be installed or started.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with settings of `postgresql.conf` as `name=value`.
    ///
    /// # Errors
    /// If it cannot be installed or started.
    pub fn start_with(settings: &[&str]) -> io::Result<Self> {
        let programs = install("postgres")?;
        let folder = tempfile::Builder::new().prefix("sbir-postgres").tempdir()?;
        let password = folder.path().join("password");
        fs_err::write(&password, Self::PASSWORD)?;
        let arguments = [
            "--pgdata=data",
            "--username=sbir",
            "--pwfile=password",
            "--auth-host=scram-sha-256",
            "--auth-local=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        let mut initdb = Process::start(&programs.join("initdb"), arguments, &[], folder.path())?;
        initdb.finish(PATIENCE)?;
        fs_err::remove_file(&password)?;
        let [port] = free_ports()?;
        let server = Self {
            programs,
            folder,
            port,
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            process: Mutex::new(None),
        };
        server.restart()?;
        Ok(server)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user that owns everything.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// What names a database here, without the password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database, whose name needs no quotes.
    ///
    /// # Errors
    /// If there is one of this name.
    pub fn create_database(&self, name: &str) -> io::Result<()> {
        self.sql("postgres", &format!("CREATE DATABASE {name}")).map(drop)
    }

    /// Runs statements in a database and gives what `psql` prints: a row a line, columns parted by `|`.
    ///
    /// # Errors
    /// What the server says.
    pub fn sql(&self, database: &str, statements: &str) -> io::Result<String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--host=127.0.0.1"])
            .args([&format!("--port={}", self.port), "--username", USER, "--dbname", database])
            .args(["--command", statements])
            .env("PGPASSWORD", Self::PASSWORD)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Starts it again with the data it had, and waits until it answers. One that runs is stopped before.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&self) -> io::Result<()> {
        self.stop();
        let port = format!("port={}", self.port);
        let mut arguments = vec!["-D", "data"];
        let fixed = ["listen_addresses=127.0.0.1", &port, "unix_socket_directories=", "fsync=on"];
        // A container's /dev/shm may be too small for parallel builds of an index.
        let fixed = fixed.into_iter().chain(["dynamic_shared_memory_type=mmap"]);
        for setting in fixed.chain(self.settings.iter().map(String::as_str)) {
            arguments.extend(["-c", setting]);
        }
        let program = self.programs.join("postgres");
        let mut process = Process::start(&program, arguments, &[], self.folder.path())?;
        process.wait_until(PATIENCE, || self.answers())?;
        *self.held() = Some(process);
        Ok(())
    }

    /// Ends it in order: open transactions are rolled back, nothing is left to replay.
    pub fn stop(&self) {
        if let Some(mut process) = self.held().take() {
            signal_all(&process, Signal::CONT);
            process.stop();
        }
    }

    /// Ends it and its sessions without notice (SIGKILL).
    pub fn kill(&self) {
        if let Some(mut process) = self.held().take() {
            // Stopped before it is killed, so that it starts no more sessions.
            signal(process.id(), Signal::STOP);
            let sessions = children(process.id());
            process.kill();
            sessions.iter().for_each(|id| signal(*id, Signal::KILL));
            // A server does not start while the memory that they share is still held.
            let _ = wait_for("the sessions' end", PATIENCE, || {
                sessions.iter().all(|id| has_ended(*id))
            });
        }
    }

    /// Stalls it with all sessions: connections are taken and stay open, and nothing answers.
    pub fn stall(&self) {
        if let Some(process) = &*self.held() {
            signal_all(process, Signal::STOP);
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(process) = &*self.held() {
            signal_all(process, Signal::CONT);
        }
    }

    /// The resident memory of the server with its sessions in bytes, shared pages counted once: for measurements.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn memory(&self) -> io::Result<u64> {
        let held = self.held();
        let Some(process) = &*held else { return Ok(0) };
        let mut bytes = 0;
        for id in children(process.id()).into_iter().chain([process.id()]) {
            // A session may end meanwhile.
            let Ok(text) = fs_err::read_to_string(format!("/proc/{id}/smaps_rollup")) else {
                continue;
            };
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kilobytes =
                line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            bytes += kilobytes.unwrap_or(0) * 1024;
        }
        Ok(bytes)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn answers(&self) -> bool {
        let status = Command::new(self.programs.join("pg_isready"))
            .args(["--quiet", "--host=127.0.0.1", &format!("--port={}", self.port)])
            .stdin(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Every session of PostgreSQL leads a process group of its own, so that one signal does not reach all. The server comes
/// first: once it stands still there are no more of them.
fn signal_all(process: &Process, sent: Signal) {
    signal(process.id(), sent);
    children(process.id()).into_iter().for_each(|id| signal(id, sent));
}

/// Whether a process is gone, or waits for nothing but somebody to hear of it.
fn has_ended(id: u32) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{id}/stat"));
    stat.map_or(true, |text| {
        text.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    })
}

/// The processes that another started, as Linux lists them.
fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs_err::read_dir("/proc") else { return Vec::new() };
    let parent_of = |stat: &Path| -> Option<u32> {
        let text = fs_err::read_to_string(stat).ok()?;
        // The name in parentheses may hold anything.
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let ids = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        (parent_of(&entry.path().join("stat")) == Some(parent)).then_some(id)
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_outlives_a_kill() {
        let server = match Postgres::start() {
            Ok(server) => server,
            Err(error) => return crate::skipped("PostgreSQL", &error),
        };
        server.create_database("one").unwrap();
        server.sql("one", "CREATE EXTENSION vector; CREATE TABLE t (i int)").unwrap();
        server.sql("one", "INSERT INTO t VALUES (7)").unwrap();
        let ids = children(server.held().as_ref().unwrap().id());
        assert!(ids.len() >= 4, "{ids:?}");
        server.kill();
        assert!(server.sql("one", "SELECT 1").is_err());
        assert!(ids.iter().all(|id| has_ended(*id)));
        server.restart().unwrap();
        assert_eq!(server.sql("one", "SELECT i, 'x' FROM t").unwrap(), "7|x");
        assert!(server.memory().unwrap() > 1 << 20);
    }
}
