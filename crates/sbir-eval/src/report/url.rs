//! Addresses of files, seen from the page.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;

/// The absolute folder of a page.
pub(super) fn folder_of(page: &Path) -> io::Result<PathBuf> {
    let mut folder = absolute(page)?;
    folder.pop();
    Ok(folder)
}

/// The address of `file` from `folder` (absolute): relative, or a `file:` address where the two share no root.
///
/// Symbolic links are not followed: a data folder linked into the working folder stays `fscoco/…`, as the page's reader
/// sees it.
pub(super) fn from_folder(folder: &Path, file: &Path) -> String {
    let file = absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let from: Vec<Component<'_>> = folder.components().collect();
    let to: Vec<Component<'_>> = file.components().collect();
    let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    if shared == 0 {
        return absolute_url(&to);
    }
    let mut url = "../".repeat(from.len() - shared);
    push_names(&mut url, &to[shared..]);
    url
}

/// A path without `.` and `..`.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let Some(last) =
        path.components().collect::<Vec<_>>().iter().rposition(|&c| c == Component::ParentDir)
    else {
        return Ok(path);
    };
    // `link/..` is the folder that holds what the link points to, so only the file system can tell.
    let prefix: PathBuf = path.components().take(last + 1).collect();
    let mut resolved = fs::canonicalize(prefix).unwrap_or_else(|_| collapse(&path, last + 1));
    resolved.extend(path.components().skip(last + 1));
    Ok(resolved)
}

/// Takes away `name/..` by the text alone: for paths that do not exist.
fn collapse(path: &Path, components: usize) -> PathBuf {
    let mut collapsed = PathBuf::new();
    for component in path.components().take(components) {
        match component {
            Component::ParentDir => {
                collapsed.pop();
            }
            other => collapsed.push(other),
        }
    }
    collapsed
}

fn absolute_url(components: &[Component<'_>]) -> String {
    let mut url = String::from("file://");
    for component in components {
        match component {
            // `C:`, or `\\server\share`.
            Component::Prefix(prefix) => {
                let prefix = prefix.as_os_str().to_string_lossy().replace('\\', "/");
                let prefix = prefix.trim_start_matches("//?/");
                if let Some(share) = prefix.strip_prefix("//") {
                    push_encoded(&mut url, OsStr::new(share), b"/");
                } else {
                    url.push('/');
                    push_encoded(&mut url, OsStr::new(prefix), b":");
                }
            }
            Component::RootDir => url.push('/'),
            _ => {}
        }
    }
    let names: Vec<_> =
        components.iter().copied().filter(|c| matches!(c, Component::Normal(_))).collect();
    push_names(&mut url, &names);
    url
}

fn push_names(url: &mut String, components: &[Component<'_>]) {
    for (place, component) in components.iter().enumerate() {
        if place > 0 {
            url.push('/');
        }
        push_encoded(url, component.as_os_str(), b"");
    }
}

/// Percent-encodes all but the unreserved characters of RFC 3986 and `kept`: the result is safe in HTML and CSS, and a
/// name like `a:b.jpg` cannot pass for a scheme. Names that are not UTF-8 keep their bytes.
fn push_encoded(url: &mut String, name: &OsStr, kept: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in name.as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.push(char::from(DIGITS[usize::from(byte >> 4)]));
            url.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn seen(folder: &str, file: &str) -> String {
        from_folder(Path::new(folder), Path::new(file))
    }

    #[test]
    fn files_below_and_beside_the_page() {
        assert_eq!(
            seen("/w", "/w/fscoco/images/1/000000000139.jpg"),
            "fscoco/images/1/000000000139.jpg"
        );
        assert_eq!(seen("/w/out", "/w/photo/a.png"), "../photo/a.png");
        assert_eq!(seen("/w/out/", "/elsewhere/a.png"), "../../elsewhere/a.png");
        assert_eq!(seen("/", "/a.png"), "a.png");
        assert_eq!(seen("/w/./out", "/w/out/./a.png"), "a.png");
        // No such folders: taken by the text.
        assert_eq!(seen("/w/out", "/w/none/../photo/a.png"), "../photo/a.png");
    }

    #[test]
    fn hostile_names_are_encoded() {
        assert_eq!(seen("/w", "/w/a b#c?d%e&f.jpg"), "a%20b%23c%3Fd%25e%26f.jpg");
        assert_eq!(seen("/w", "/w/javascript:alert(1)"), "javascript%3Aalert%281%29");
        assert_eq!(seen("/w", "/w/\"'><é\\\n"), "%22%27%3E%3C%C3%A9%5C%0A");
    }

    #[test]
    fn names_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let file = Path::new("/w").join(OsStr::from_bytes(b"\xff\xfe.jpg"));
        assert_eq!(from_folder(Path::new("/w"), &file), "%FF%FE.jpg");
    }

    #[test]
    fn links_stay_and_parents_are_resolved() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("data/deep")).unwrap();
        fs::create_dir(root.join("work")).unwrap();
        fs::os::unix::fs::symlink(root.join("data/deep"), root.join("work/link")).unwrap();
        let work = root.join("work");
        assert_eq!(from_folder(&work, &work.join("link/a.png")), "link/a.png");
        // The parent of what the link points to is data, not work.
        assert_eq!(from_folder(&work, &work.join("link/../a.png")), "../data/a.png");
    }

    #[test]
    fn other_roots_give_absolute_addresses() {
        let components: Vec<_> = Path::new("/a b/c.png").components().collect();
        assert_eq!(absolute_url(&components), "file:///a%20b/c.png");
    }
}
