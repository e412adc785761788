//! Serving a gallery from the command line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::util::Dir;

/// `sbir serve` on a port of its own, ended when dropped.
pub(crate) struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    fn start(dir: &Dir, args: &[&str]) -> Self {
        Self::of(dir, "g.sbir", args, &[])
    }

    /// Serves a gallery of any kind.
    pub(crate) fn of(dir: &Dir, gallery: &str, args: &[&str], env: &[(&str, String)]) -> Self {
        let fixed = ["serve", "--gallery", gallery, "--listen", "127.0.0.1:0", "--no-open"];
        let mut child = dir
            .command(&[&fixed, args].concat())
            .env_remove("SBIR_TOKEN")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("sbir is at ").unwrap_or_default().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line:?}");
        Self { child, url }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        self.url["http://".len()..].split('/').next().unwrap()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The status and body of an answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let host = self.address();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// What it said on standard error, after Ctrl-C, and its exit code.
    #[cfg(unix)]
    fn stop(mut self) -> (Option<i32>, String) {
        let killed = std::process::Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let code = self.child.wait().unwrap().code();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (code, said)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_folder_is_indexed_searched_and_left_in_order() {
    let dir = Dir::new();
    dir.fscoco();
    let serving = Serving::start(&dir, &["fscoco/images"]);
    let began = Instant::now();
    loop {
        let (status, body) = serving.send("GET", "/api/index", "");
        let state: Value = serde_json::from_str(&body).unwrap();
        if state["phase"] == "idle" && state["photos"] == 24 {
            break;
        }
        assert!(status == 200 && began.elapsed() < Duration::from_secs(120), "{state}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let drawing = r#"{"canvas": 100, "strokes": [[[10, 10], [80, 20], [50, 90], [10, 10]]]}"#;
    let (status, body) = serving.send("POST", "/api/search?k=5", drawing);
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, answer["hits"].as_array().unwrap().len()), (200, 5));
    #[cfg(unix)]
    {
        let (code, said) = serving.stop();
        assert_eq!(code, Some(130));
        assert!(said.contains("g.sbir") && !said.contains("token"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_name_from_elsewhere_needs_a_token_and_says_so() {
    let dir = Dir::new();
    dir.fscoco();
    let serving = Serving::start(&dir, &["fscoco/images", "--host", "photos.home"]);
    let token = serving.url.split("/?token=").nth(1).expect("no token").to_owned();
    assert_eq!(serving.send("GET", "/api/health", "").0, 401);
    assert_eq!(serving.send("GET", &format!("/?token={token}"), "").0, 303);
    let (_, said) = serving.stop();
    assert!(said.contains("token") && said.contains("photos.home"), "{said}");
    assert!(!said.contains(&token), "{said}");
}

#[test]
fn what_cannot_be_served_is_one_line() {
    let dir = Dir::new();
    dir.run(&["serve", "nowhere", "--gallery", "g.sbir"]).fails(1, &["nowhere"]);
    dir.fscoco();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = ["serve", "fscoco/images", "--gallery", "g.sbir", "--no-open", "--listen"];
    dir.run(&[&args[..], &[&address]].concat()).fails(1, &[&address, "--listen"]);
    let free = [&args[..], &["127.0.0.1:0", "--host", "http://a"]].concat();
    dir.run(&free).fails(1, &["http://a"]);
}
