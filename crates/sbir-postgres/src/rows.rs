//! Rows of an answer, no more than were asked for.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row, ToStatement};

use crate::fault::Fault;

/// What a statement finds, of which there must be at most so many.
///
/// # Errors
/// If there are more, or one is not what it should be.
pub(crate) async fn all<T>(
    client: &impl GenericClient,
    statement: &(impl ToStatement + Sync + Send + ?Sized),
    values: &[&(dyn ToSql + Sync)],
    most: usize,
    read: impl Fn(&Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut rows = pin!(client.query_raw(statement, values.iter().copied()).await?);
    let mut items = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if items.len() == most {
            return Err(Fault::Answer(format!("more rows than the {most} that were asked for")));
        }
        items.push(read(&row)?);
    }
    Ok(items)
}
