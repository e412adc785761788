//! Passwords from the environment, as libpq finds them.

use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest file of passwords that is read.
const MAX_FILE: u64 = 1 << 20;

/// The password for a database, if the environment has one: `PGPASSWORD`, else a line of the file that `PGPASSFILE`
/// names, else of `~/.pgpass`.
///
/// # Errors
/// If the file of passwords may be read by others, or cannot be read.
pub(crate) fn find(
    hosts: &[(String, u16)],
    database: &str,
    user: &str,
) -> Result<Option<String>, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(password) = set("PGPASSWORD") {
        return password.into_string().map(Some).map_err(|_| "PGPASSWORD is not UTF-8".into());
    }
    let (path, asked) = match (set("PGPASSFILE"), set("HOME")) {
        (Some(path), _) => (PathBuf::from(path), true),
        (None, Some(home)) => (Path::new(&home).join(".pgpass"), false),
        (None, None) => return Ok(None),
    };
    if !asked && !path.exists() {
        return Ok(None);
    }
    let text = read(&path)?;
    let found = hosts.iter().find_map(|(host, port)| {
        let host = if host.starts_with('/') { "localhost" } else { host };
        text.lines().find_map(|line| matching(line, [host, &port.to_string(), database, user]))
    });
    Ok(found)
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| error.to_string();
    let file = fs_err::File::open(path).map_err(failed)?;
    private(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(unix)]
fn private(path: &Path, metadata: &std::fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "{}: others may read the passwords in it; chmod 600 it",
            path.display()
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps)]
fn private(_: &Path, _: &std::fs::Metadata) -> Result<(), String> {
    Ok(())
}

/// The password of a line `host:port:database:user:password`, if the line is about these.
fn matching(line: &str, asked: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => field.extend(characters.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            _ => field.push(character),
        }
    }
    fields.push(field);
    let [named @ .., password] = <[String; 5]>::try_from(fields).ok()?;
    // An escaped star is a star of the name, which no host has.
    named.iter().zip(asked).all(|(field, asked)| field == "*" || field == asked).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_matched_as_libpq_does() {
        let asked = ["db", "5432", "photos", "me"];
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(matching("db:5432:photos:me:secret", asked), some("secret"));
        assert_eq!(matching("*:*:*:me:a\\:b\\\\c", asked), some("a:b\\c"));
        assert_eq!(matching("*:*:*:me:a:b", asked), some("a:b"));
        assert_eq!(matching("d\\b:5432:photos:me:", asked), some(""));
        for line in
            ["", "#db:5432:photos:me:x", "db:5432:photos:me", "db:5433:photos:me:x", "*:*:*:you:x"]
        {
            assert_eq!(matching(line, asked), None, "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs_err::write(&path, "db:1:x:y:z\n").unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).unwrap_err().contains("chmod 600"));
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap(), "db:1:x:y:z\n");
    }
}
