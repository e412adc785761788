//! A server's process: started, watched, stalled, killed.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The user that servers run as where the tests run as root: Debian's "nobody".
const NOBODY: u32 = 65534;

/// Installs a server and gives what the script printed last, a path. The script downloads once and checks hashes.
///
/// # Errors
/// What the script said.
pub fn install(server: &str) -> io::Result<PathBuf> {
    // Cargo says where the tested package is; what was compiled in may be of another clone with the same target folder.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let script = package.join("../../scripts/servers.sh");
    let output = Command::new("bash").arg(script).arg(server).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("scripts/servers.sh {server}: {said}")));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = said.lines().last().filter(|line| Path::new(line).is_absolute());
    path.map(PathBuf::from).ok_or_else(|| io::Error::other(format!("{server}: no path in {said}")))
}

/// What a test does without its server: it fails in CI, and says elsewhere that it was skipped.
///
/// # Panics
/// With `CI` set.
#[allow(clippy::print_stdout)]
pub fn skipped(what: &str, error: &io::Error) {
    assert!(std::env::var_os("CI").is_none(), "{what}: {error}");
    println!("skipped: {what}: {error}");
}

/// Ports on loopback that are free now.
///
/// # Errors
/// If the system has none.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Asks until the answer is yes.
///
/// # Errors
/// If it is not within the time.
pub fn wait_for(what: &str, within: Duration, mut yes: impl FnMut() -> bool) -> io::Result<()> {
    let began = Instant::now();
    while !yes() {
        if began.elapsed() > within {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{what}: not within {within:?}"),
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A server that runs in a process group of its own, and is killed with this value.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in a folder that it may write to, with its output in `log.txt` there. As root it is started as
    /// another user, whose the folder becomes.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: &[(&str, String)],
        folder: &Path,
    ) -> io::Result<Self> {
        let log = folder.join("log.txt");
        let output = fs_err::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.file().try_clone()?)
            .stderr(output.into_parts().0);
        unprivileged(&mut command, folder)?;
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        })?;
        Ok(Self { name, child, log })
    }

    /// Waits until the server is ready, or says how it ended.
    ///
    /// # Errors
    /// If it ended, or is not ready within the time; with the end of its log.
    pub fn wait_until(
        &mut self,
        within: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> io::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "{} ended, {status}: {}",
                    self.name,
                    self.last_words()
                )));
            }
            if ready() {
                return Ok(());
            }
            if began.elapsed() > within {
                let words = self.last_words();
                return Err(io::Error::other(format!(
                    "{} is not ready within {within:?}: {words}",
                    self.name
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a program that ends by itself has done its work.
    ///
    /// # Errors
    /// If it fails, or is not done within the time; with the end of its log.
    pub fn finish(&mut self, within: Duration) -> io::Result<()> {
        let mut status = None;
        let done = wait_for(&self.name, within, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                Err(io::Error::other(format!("{}, {status}: {}", self.name, self.last_words())))
            }
            None => done,
        }
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without notice (SIGKILL), with all that it started, and waits until it has gone.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGINT, which PostgreSQL takes as a fast shutdown), waits, and kills it if it does not.
    pub fn stop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::INT);
        }
        let ended = wait_for(&self.name, Duration::from_secs(15), || {
            !matches!(self.child.try_wait(), Ok(None))
        });
        if ended.is_err() {
            self.kill();
        }
    }

    /// Stalls it: connections stay open and nothing answers.
    pub fn stall(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::STOP);
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::CONT);
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn last_words(&self) -> String {
        let mut log = String::new();
        if let Ok(mut file) = fs_err::File::open(&self.log) {
            let _ = file.read_to_string(&mut log);
        }
        let lines: Vec<_> = log.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// A group of its own, and where this is root another user, whose the folder becomes.
#[cfg(unix)]
fn unprivileged(command: &mut Command, folder: &Path) -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY))?;
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(())
}
