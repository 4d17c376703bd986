//! Content that is too large for rows: files named by the SHA-256 of what is in them.
//!
//! Owns: how content comes in part by part, where it lies, how it is read. Must not know: what it is attached to, nor
//! when it goes (rows say that). Invariant: a name holds its whole content or does not exist: content is written beside,
//! synced, then given its name.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::types::{BlobHash, StoreError};

/// Content as it is read, part by part.
pub type Content = BoxStream<'static, io::Result<Bytes>>;

/// How much is read at once. Unit: bytes.
const PART: usize = 64 * 1024;
/// Where content lies that has no name yet.
const UNNAMED: &str = "unnamed";

/// Content on its way in. Dropped before it is kept, it leaves nothing behind.
#[derive(Debug)]
pub struct NewBlob {
    hasher: Sha256,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(File, Unnamed),
}

/// A file that goes when it is dropped, unless it has been given a name.
#[derive(Debug)]
struct Unnamed(PathBuf);

impl Drop for Unnamed {
    fn drop(&mut self) {
        // It is gone when it has been given its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl NewBlob {
    pub(crate) fn in_memory() -> Self {
        Self { hasher: Sha256::new(), place: Place::Memory(Vec::new()) }
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// The disk is full, or cannot be written.
    pub async fn write(&mut self, part: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(part);
        match &mut self.place {
            Place::Memory(all) => all.extend_from_slice(part),
            Place::File(file, _) => file.write_all(part).await.map_err(|error| unwritten(&error))?,
        }
        Ok(())
    }

    /// Returns the SHA-256 of what has come so far.
    pub fn hash(&self) -> BlobHash {
        self.hasher.clone().finalize().into()
    }

    pub(crate) fn into_memory(self) -> Option<(BlobHash, Bytes)> {
        match self.place {
            Place::Memory(all) => Some((self.hasher.finalize().into(), all.into())),
            Place::File(..) => None,
        }
    }
}

/// The files of a data folder.
#[derive(Debug)]
pub(crate) struct Blobs {
    folder: PathBuf,
    /// Held while a name is given with the row that refers to it, and while names without rows are taken away.
    pub(crate) gate: Mutex<()>,
}

impl Blobs {
    /// Prepares the folder; what a process that died had not named goes.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        let unnamed = folder.join(UNNAMED);
        match std::fs::remove_dir_all(&unnamed) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        std::fs::create_dir_all(unnamed)?;
        Ok(Self { folder, gate: Mutex::new(()) })
    }

    /// Begins new content.
    pub(crate) async fn begin(&self) -> Result<NewBlob, StoreError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let path = self.folder.join(UNNAMED).join(Uuid::from_bytes(random).simple().to_string());
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        let file = options.open(&path).await.map_err(|error| unwritten(&error))?;
        Ok(NewBlob { hasher: Sha256::new(), place: Place::File(file, Unnamed(path)) })
    }

    /// Puts content on the disk; it has no name yet.
    pub(crate) async fn seal(&self, blob: NewBlob) -> Result<Sealed, StoreError> {
        let Place::File(mut file, path) = blob.place else {
            return Err(StoreError::Unavailable("this content belongs to another store".to_owned()));
        };
        file.flush().await.map_err(|error| unwritten(&error))?;
        file.sync_all().await.map_err(|error| unwritten(&error))?;
        Ok(Sealed { hash: blob.hasher.finalize().into(), path })
    }

    /// Gives content its name. The caller holds the gate.
    pub(crate) async fn name(&self, sealed: Sealed) -> Result<(), StoreError> {
        let path = self.path(&sealed.hash);
        let moved = tokio::task::spawn_blocking(move || {
            if path.exists() {
                return Ok(());
            }
            let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
            std::fs::create_dir_all(&folder)?;
            std::fs::rename(&sealed.path.0, &path)?;
            // A name is on the disk once its folder is, and the folder once the folder above is.
            sync(&folder)?;
            folder.parent().map_or(Ok(()), sync)
        });
        match moved.await {
            Ok(moved) => moved.map_err(|error| unwritten(&error)),
            Err(_) => Err(StoreError::Unavailable("naming a file has failed".to_owned())),
        }
    }

    /// Takes a name and its content away. The caller holds the gate.
    pub(crate) async fn remove(&self, hash: &BlobHash) -> Result<(), StoreError> {
        let path = self.path(hash);
        match tokio::fs::remove_file(&path).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unwritten(&error)),
        }
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let synced = tokio::task::spawn_blocking(move || sync(&folder)).await;
        synced.unwrap_or(Ok(())).map_err(|error| unwritten(&error))
    }

    /// The same before anything runs.
    pub(crate) fn remove_at_start(&self, hash: &BlobHash) -> io::Result<()> {
        match std::fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Opens content for reading.
    pub(crate) async fn read(&self, hash: &BlobHash) -> Result<Option<Content>, StoreError> {
        match File::open(self.path(hash)).await {
            Ok(file) => Ok(Some(parts(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    fn path(&self, hash: &BlobHash) -> PathBuf {
        let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let (folder, file) = name.split_at(2);
        self.folder.join(folder).join(file)
    }
}

/// Content that is on the disk and has no name yet.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) hash: BlobHash,
    path: Unnamed,
}

/// Returns content that is in memory.
pub(crate) fn whole(content: Bytes) -> Content {
    stream::iter([Ok(content)]).boxed()
}

fn parts(file: File) -> Content {
    let next = |mut file: File| async move {
        let mut part = vec![0; PART];
        match file.read(&mut part).await {
            Ok(0) => None,
            Ok(n) => {
                part.truncate(n);
                Some((Ok(Bytes::from(part)), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    };
    // Fused: some readers ask again after the end.
    stream::unfold(file, next).fuse().boxed()
}

fn unwritten(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => StoreError::Full,
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Puts a folder's names on the disk, where the system can do that.
fn sync(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
