//! One server per data folder.
//!
//! An advisory lock on a file of its own: it goes with the process however that ends, and other programs can still
//! open the database to look at it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::OpenError;

/// Holds the folder until dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Makes the folder if it is not there and locks it.
    pub(super) fn acquire(folder: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Folder { folder: folder.to_owned(), source };
        if !folder.is_dir() {
            make_private(folder).map_err(io)?;
        }
        let path = folder.join("lock");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(io)?;
                return Err(OpenError::InUse { folder: folder.to_owned(), pid: pid.trim().parse().ok() });
            }
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        // Only for the message of whoever comes second; the lock itself is the kernel's. Not being able to write it,
        // as on a full disk, is no reason not to start.
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            tracing::warn!(%error, "could not write the process id into the lock file");
        }
        Ok(Self { _file: file })
    }
}

/// Returns which process holds a folder, without taking it: nobody, or the id that it left, if it did.
pub(super) fn holder(folder: &Path) -> std::io::Result<Option<Option<u32>>> {
    let mut file = match File::open(folder.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid)?;
            Ok(Some(pid.trim().parse().ok()))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a folder that only its owner may enter: the log holds what people say.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
