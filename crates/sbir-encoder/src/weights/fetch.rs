//! Fetching ImageNet weights: cached, resumed, verified.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Error;
use super::error::shown;

/// Where torchvision's weights are.
pub const TORCHVISION_URL: &str = "https://download.pytorch.org/models";

/// ConvNeXt weights trained on ImageNet-1k, as torchvision 0.26 names them
/// (`torchvision.models.ConvNeXt_Small_Weights.DEFAULT.url`); BSD-3-Clause. The digits are the
/// start of the file's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pretrained {
    /// 29 M parameters, 109 MiB.
    Tiny,
    /// 50 M parameters, 192 MiB.
    Small,
    /// 89 M parameters, 338 MiB.
    Base,
    /// 198 M parameters, 755 MiB.
    Large,
}

impl Pretrained {
    /// Those there are.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::Small, Self::Base, Self::Large];

    /// The encoder's name: `convnext_small`.
    pub fn encoder(self) -> &'static str {
        match self {
            Self::Tiny => "convnext_tiny",
            Self::Small => "convnext_small",
            Self::Base => "convnext_base",
            Self::Large => "convnext_large",
        }
    }

    /// The file's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::Tiny => "convnext_tiny-983f1562.pth",
            Self::Small => "convnext_small-0c510722.pth",
            Self::Base => "convnext_base-6075fbad.pth",
            Self::Large => "convnext_large-ea097f82.pth",
        }
    }
}

/// Where from, where to and how patiently.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Address of the folder that holds the files.
    pub base_url: String,
    /// Folder of the downloaded files. Created when missing.
    pub folder: PathBuf,
    /// Longest time to look up the server and connect.
    pub connect_timeout: Duration,
    /// Longest time without a byte from the server.
    pub read_timeout: Duration,
    /// Largest file accepted, in bytes.
    pub max_bytes: u64,
}

impl FetchOptions {
    /// From `SBIR_WEIGHTS_URL`, else torchvision's address, into [`weights_folder`]; 20 s to
    /// connect, 30 s without a byte, 2 GiB at most.
    ///
    /// # Errors
    ///
    /// [`Error::NoCacheFolder`].
    pub fn from_env() -> Result<Self, Error> {
        let base_url = env::var("SBIR_WEIGHTS_URL").ok().filter(|url| !url.is_empty());
        Ok(Self {
            base_url: base_url.unwrap_or_else(|| TORCHVISION_URL.to_owned()),
            folder: weights_folder()?,
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(30),
            max_bytes: 2 << 30,
        })
    }
}

/// The folder of everything that is cached: `$SBIR_CACHE`, else `sbir` in the user's cache folder
/// (`$XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows).
///
/// # Errors
///
/// [`Error::NoCacheFolder`] when the environment names none.
pub fn cache_folder() -> Result<PathBuf, Error> {
    cache_folder_in(|name| env::var_os(name)).ok_or(Error::NoCacheFolder)
}

/// The folder of downloaded weights: `weights` in [`cache_folder`].
///
/// # Errors
///
/// [`Error::NoCacheFolder`].
pub fn weights_folder() -> Result<PathBuf, Error> {
    cache_folder().map(|folder| folder.join("weights"))
}

fn cache_folder_in(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification ignores relative paths; in SBIR_CACHE they are meant.
    let absolute = |name: &str| folder(name).filter(|path| path.is_absolute());
    let user = || {
        if cfg!(windows) {
            absolute("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            absolute("HOME").map(|home| home.join("Library/Caches"))
        } else {
            absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        }
    };
    folder("SBIR_CACHE").or_else(|| user().map(|folder| folder.join("sbir")))
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another process is fetching the same file; waiting for it.
    Waiting,
    /// Bytes here so far, earlier attempts included, and in all where the server says.
    Bytes {
        /// So far.
        done: u64,
        /// In all.
        total: Option<u64>,
    },
}

/// Gives the path of a weights file, fetching it when it is not in the folder yet.
///
/// `file` ends in `-<digits>.pth` (or another extension), its digits the start of the SHA-256. The
/// download goes to `<file>.part` and is renamed once its checksum is right. A download that broke
/// off or stalled is resumed by the next call, unless the server's file has changed. Of two
/// processes one fetches and the other waits.
///
/// # Errors
///
/// [`Error::Fetch`] when there is no network, the server refuses, breaks off or stalls, or the file
/// is larger than `max_bytes`; it names the address and the place for a download by hand.
/// [`Error::DownloadChecksum`] when the content is not what the name promises: it is deleted.
/// [`Error::Io`] when the folder cannot be written.
pub fn fetch(
    file: &str,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, Error> {
    let path = options.folder.join(file);
    if path.is_file() {
        return Ok(path);
    }
    fs_err::create_dir_all(&options.folder)?;
    // Held until it is dropped, or the process ends however it may.
    let lock = fs_err::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(options.folder.join(format!(".{file}.lock")))?;
    if lock.try_lock().is_err() {
        progress(Progress::Waiting);
        lock.lock()?;
    }
    if path.is_file() {
        return Ok(path);
    }
    let download = Download {
        file,
        url: format!("{}/{file}", options.base_url.trim_end_matches('/')),
        part: options.folder.join(format!("{file}.part")),
        tag: options.folder.join(format!("{file}.part.tag")),
        path,
        options,
    };
    download.run(progress)?;
    Ok(download.path)
}

struct Download<'a> {
    file: &'a str,
    url: String,
    /// What has come so far.
    part: PathBuf,
    /// The server's mark of the version that `part` is a part of (ETag or Last-Modified).
    tag: PathBuf,
    path: PathBuf,
    options: &'a FetchOptions,
}

impl Download<'_> {
    fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        let expected = self.expected_digits()?;
        let resumable = self.resumable();
        let response = self.request(resumable.as_ref())?;
        let (response, have) = match (response.status().as_u16(), resumable) {
            (206, Some((have, _))) if range_start(&response) == Some(have) => (response, have),
            (200, _) => (response, 0),
            // A range that the server cannot give: from the start, then.
            (206 | 416, Some(_)) => {
                let response = self.request(None)?;
                match response.status().as_u16() {
                    200 => (response, 0),
                    status => return Err(self.failed(format!("HTTP status {status}"))),
                }
            }
            (status, _) => return Err(self.failed(format!("HTTP status {status}"))),
        };
        let digest = self.receive(response, have, progress)?;
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let found = digits[..expected.len()].to_owned();
        if found != expected {
            self.discard()?;
            let url = self.url.clone();
            return Err(Error::DownloadChecksum { url, expected, found });
        }
        fs_err::rename(&self.part, &self.path)?;
        remove(&self.tag)
    }

    /// Length and version mark of an earlier attempt.
    fn resumable(&self) -> Option<(u64, String)> {
        let have = fs_err::metadata(&self.part).ok()?.len();
        let tag = fs_err::read_to_string(&self.tag).ok()?;
        let valid =
            !tag.is_empty() && tag.len() < 512 && tag.bytes().all(|b| (b' '..0x7f).contains(&b));
        (have > 0 && valid).then_some((have, tag))
    }

    fn request(
        &self,
        resumable: Option<&(u64, String)>,
    ) -> Result<ureq::http::Response<ureq::Body>, Error> {
        let config = ureq::Agent::config_builder()
            .https_only(self.options.base_url.starts_with("https:"))
            .http_status_as_error(false)
            .user_agent(concat!("sbir/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(self.options.connect_timeout))
            .timeout_connect(Some(self.options.connect_timeout))
            .timeout_recv_response(Some(self.options.read_timeout))
            .timeout_per_read(Some(self.options.read_timeout))
            .build();
        let mut request = ureq::Agent::new_with_config(config).get(&self.url);
        if let Some((have, tag)) = resumable {
            request = request.header("Range", format!("bytes={have}-")).header("If-Range", tag);
        }
        request.call().map_err(|error| self.failed(reason(&error, self.options.read_timeout)))
    }

    /// Appends the body to what there is; gives the SHA-256 of the whole.
    fn receive(
        &self,
        response: ureq::http::Response<ureq::Body>,
        have: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<[u8; 32], Error> {
        let total = response.body().content_length().map(|rest| have.saturating_add(rest));
        if total.is_some_and(|total| total > self.options.max_bytes) {
            return Err(self.failed(format!("it is larger than {} bytes", self.options.max_bytes)));
        }
        let mut hasher = Sha256::new();
        let mut file = self.open_part(&response, have, &mut hasher)?;
        let mut done = have;
        progress(Progress::Bytes { done, total });
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    file.sync_all()?;
                    let reason = reason(&ureq::Error::from(error), self.options.read_timeout);
                    return Err(self.failed(format!("after {done} bytes: {reason}")));
                }
            };
            done += count as u64;
            if done > self.options.max_bytes {
                self.discard()?;
                let limit = self.options.max_bytes;
                return Err(self.failed(format!("it is larger than {limit} bytes")));
            }
            file.write_all(&buffer[..count])?;
            hasher.update(&buffer[..count]);
            progress(Progress::Bytes { done, total });
        }
        file.sync_all()?;
        match total {
            Some(total) if done < total => {
                Err(self.failed(format!("it broke off after {done} of {total} bytes")))
            }
            _ => Ok(hasher.finalize().into()),
        }
    }

    /// Opens the partial file at `have`: hashed up to there, or empty with the server's mark noted.
    fn open_part(
        &self,
        response: &ureq::http::Response<ureq::Body>,
        have: u64,
        hasher: &mut Sha256,
    ) -> Result<fs_err::File, Error> {
        let mut file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&self.part)?;
        file.set_len(have)?;
        if have == 0 {
            remove(&self.tag)?;
            if let Some(tag) = version(response) {
                fs_err::write(&self.tag, tag)?;
            }
        } else {
            let mut buffer = vec![0; 1 << 16];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    count => hasher.update(&buffer[..count]),
                }
            }
        }
        file.seek(SeekFrom::Start(have))?;
        Ok(file)
    }

    /// The digits that the file's name promises.
    fn expected_digits(&self) -> Result<String, Error> {
        let stem = self.file.rsplit_once('.').map_or(self.file, |(stem, _)| stem);
        let digits = stem.rsplit_once('-').map_or("", |(_, digits)| digits);
        let valid = (8..=64).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        if valid {
            Ok(digits.to_owned())
        } else {
            Err(self.failed("its name does not end in the start of its SHA-256".to_owned()))
        }
    }

    fn discard(&self) -> Result<(), Error> {
        remove(&self.part)?;
        remove(&self.tag)
    }

    fn failed(&self, reason: String) -> Error {
        Error::Fetch {
            file: self.file.to_owned(),
            url: self.url.clone(),
            path: self.path.clone(),
            reason,
        }
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn header<'a>(response: &'a ureq::http::Response<ureq::Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// What `If-Range` may name: a strong ETag, else the date of the last change.
fn version(response: &ureq::http::Response<ureq::Body>) -> Option<&str> {
    header(response, "ETag")
        .filter(|tag| tag.starts_with('"'))
        .or_else(|| header(response, "Last-Modified"))
}

/// The first byte of `Content-Range: bytes <first>-<last>/<total>`.
fn range_start(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    header(response, "Content-Range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Why a request failed, in few words.
fn reason(error: &ureq::Error, read_timeout: Duration) -> String {
    match error {
        ureq::Error::Timeout(ureq::Timeout::PerRead | ureq::Timeout::RecvResponse) => {
            format!("the server sent nothing for {} s", read_timeout.as_secs_f32())
        }
        ureq::Error::HostNotFound => "no such server, or no network".to_owned(),
        other => shown(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn the_cache_folder_follows_the_environment() {
        let with = |variables: &[(&str, &str)]| {
            cache_folder_in(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            })
        };
        let home = ("HOME", "/home/a");
        assert_eq!(with(&[("SBIR_CACHE", "here"), home]), Some("here".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), home]), Some("/x/sbir".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "x"), home]), Some("/home/a/.cache/sbir".into()));
        assert_eq!(with(&[("SBIR_CACHE", ""), home]), Some("/home/a/.cache/sbir".into()));
        assert_eq!(with(&[]), None);
    }
}
