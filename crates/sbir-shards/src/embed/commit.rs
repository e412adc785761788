//! Writing pieces, each by one write that never replaces, while the next ones are made.

use crossbeam_channel::{Receiver, Sender};
use sbir_objects::{Key, Place};

use crate::error::{Error, Result};
use crate::job::Job;
use crate::piece::{Piece, START};

/// What became of a finished piece.
pub(super) enum Outcome {
    /// It was written now.
    Written,
    /// Another run wrote it first.
    There,
}

/// Writes pieces until there are no more; ends with the first that cannot be written.
pub(super) fn commit(
    job: &Job,
    out: &Place,
    pieces: &Receiver<Piece>,
    outcomes: &Sender<Result<Outcome>>,
) {
    for piece in pieces {
        let outcome = write(job, out, &piece);
        let failed = outcome.is_err();
        if outcomes.send(outcome).is_err() || failed {
            return;
        }
    }
}

fn write(job: &Job, out: &Place, piece: &Piece) -> Result<Outcome> {
    let key = Job::key(piece.header.number)?;
    let bytes =
        piece.encode().map_err(|problem| Error::Piece { name: out.name_of(&key), problem })?;
    if out.put_new(&key, bytes.into())? {
        return Ok(Outcome::Written);
    }
    check(job, out, &key, piece.header.number)?;
    Ok(Outcome::There)
}

/// Whether a piece is there already.
pub(super) fn is_there(job: &Job, out: &Place, number: u64) -> Result<bool> {
    let key = Job::key(number)?;
    match check(job, out, &key, number) {
        Ok(()) => Ok(true),
        Err(Error::Objects(error)) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Checks that a file is a piece of this job, by its first bytes.
fn check(job: &Job, out: &Place, key: &Key, number: u64) -> Result<()> {
    let start = out.get_start(key, START)?;
    let name = out.name_of(key);
    let bad = |problem| Error::Piece { name: name.clone(), problem };
    let header = Piece::decode_header(&start).map_err(bad)?;
    job.check(&name, &header.manifest, &header.space)?;
    if header.number == number {
        Ok(())
    } else {
        Err(bad(format!("it says that it is piece {}", header.number)))
    }
}
