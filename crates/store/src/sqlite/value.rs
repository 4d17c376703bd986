//! How values become columns and come back.

use roundtable_protocol::grant::Role;
use roundtable_protocol::{Stream, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};
use uuid::Uuid;

/// A number that is below 2^63 by its nature.
pub(super) fn int(n: u64) -> i64 {
    n.cast_signed()
}

pub(super) fn uint(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// A limit, which callers may leave at `usize::MAX`.
pub(super) fn limit(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Microseconds since 1970.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(super) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    time_of(row.get(column)?, column)
}

pub(super) fn time_if_any(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?.map(|micros| time_of(micros, column)).transpose()
}

fn time_of(micros: i64, column: usize) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|e| Error::FromSqlConversionFailure(column, Type::Integer, Box::new(e)))
}

pub(super) fn uuid(row: &Row<'_>, column: usize) -> Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

pub(super) fn role_number(role: Role) -> u8 {
    role as u8
}

pub(super) fn role(row: &Row<'_>, column: usize) -> Result<Role> {
    let n: u8 = row.get(column)?;
    Role::ALL.get(usize::from(n)).copied().ok_or_else(|| out_of_range(column, n))
}

pub(super) fn stream(row: &Row<'_>, column: usize) -> Result<Stream> {
    let n = row.get(column)?;
    Stream::from_number(n).ok_or_else(|| out_of_range(column, n))
}

fn out_of_range(column: usize, n: u8) -> Error {
    Error::IntegralValueOutOfRange(column, i64::from(n))
}
