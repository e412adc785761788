//! Whether a gallery is sound, and whether its photos are as they were.

use std::io::Read as _;
use std::path::PathBuf;

use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use super::photo_file::{RootFolder, mtime_ns};
use super::{Gallery, Verification, sql, vector};
use crate::error::Result;
use crate::store::{Photo, VectorStore as _};

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 100;

pub(super) fn verify(gallery: &Gallery, contents: bool) -> Result<Verification> {
    let mut found = Verification::default();
    gallery.read(|connection| {
        // What SQLite finds wrong here is the answer, not a failure to answer.
        if let Err(error) = structure(connection, &mut found.problems) {
            found.problems.push(error.to_string());
        }
        if let Err(error) = vectors(connection, &mut found.problems) {
            found.problems.push(error.to_string());
        }
        Ok(())
    })?;
    found.problems.truncate(MAX_PROBLEMS);
    if !found.problems.is_empty() {
        found.photos = gallery.stats().map_or(0, |stats| stats.photos);
        return Ok(found);
    }
    let mut root: Option<(PathBuf, Option<RootFolder>)> = None;
    let mut after = None;
    loop {
        let page = gallery.list(None, after, 1000)?;
        for photo in page.items {
            found.photos += 1;
            if root.as_ref().is_none_or(|(path, _)| *path != photo.root) {
                root = Some((photo.root.clone(), RootFolder::open(&photo.root).ok()));
            }
            let folder = root.as_ref().and_then(|(_, folder)| folder.as_ref());
            match state(folder, &photo, contents) {
                State::Same => {}
                State::Changed => found.changed += 1,
                State::Missing => found.missing += 1,
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

fn structure(connection: &Connection, problems: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            problems.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(())
}

fn vectors(connection: &Connection, problems: &mut Vec<String>) -> rusqlite::Result<()> {
    for (query, problem) in [
        (
            "SELECT count(*) FROM photo WHERE id NOT IN (SELECT id FROM embedding)",
            "without a vector",
        ),
        (
            "SELECT count(*) FROM embedding WHERE id NOT IN (SELECT id FROM photo)",
            "in vectors only",
        ),
        ("SELECT count(*) FROM photo WHERE root NOT IN (SELECT id FROM root)", "without a root"),
    ] {
        let count: i64 = connection.query_row(query, [], |row| row.get(0))?;
        if count > 0 {
            problems.push(format!("{count} photos {problem}"));
        }
    }
    let Some(space) = sql::space(connection)? else { return Ok(()) };
    let mut statement = connection.prepare("SELECT id, vector, checksum FROM embedding")?;
    let mut rows = statement.query([])?;
    let mut halves = Vec::new();
    while let Some(row) = rows.next()? {
        halves.clear();
        if let Err(error) = vector::read(row, 0, space.dimension, &mut halves) {
            problems.push(error.to_string());
            if problems.len() >= MAX_PROBLEMS {
                break;
            }
        }
    }
    Ok(())
}

enum State {
    Same,
    Changed,
    Missing,
}

fn state(folder: Option<&RootFolder>, photo: &Photo, contents: bool) -> State {
    let Some(Ok(mut file)) = folder.map(|folder| folder.open_file(&photo.path)) else {
        return State::Missing;
    };
    let Ok(metadata) = file.metadata() else { return State::Missing };
    if metadata.len() != photo.size || (!contents && mtime_ns(&metadata) != photo.mtime_ns) {
        return State::Changed;
    }
    if contents {
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hash.update(&buffer[..count]),
                Err(_) => return State::Missing,
            }
        }
        if hash.finalize()[..] != photo.hash {
            return State::Changed;
        }
    }
    State::Same
}
