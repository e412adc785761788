//! Whether a gallery's file is sound.

use rusqlite::Connection;

use super::{Gallery, sql, vector};
use crate::error::Result;

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 100;

pub(super) fn problems(gallery: &Gallery) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    gallery.read(|connection| {
        // What SQLite finds wrong here is the answer, not a failure to answer.
        for look in [structure, vectors] {
            if let Err(error) = look(connection, &mut problems) {
                problems.push(error.to_string());
            }
        }
        Ok(())
    })?;
    problems.truncate(MAX_PROBLEMS);
    Ok(problems)
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
