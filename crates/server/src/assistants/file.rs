//! The connections on the disk: `assistants.json` in the data folder.
//!
//! Owns: its format, and that only its owner can read it. Must not know: what a connection is good for. Invariants: the
//! file is whole or not there, and never readable by others, because keys that people typed stand in it; a file that
//! cannot be read stops the start instead of being written over.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use roundtable_assistant::{Provider, Secret};
use roundtable_protocol::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// The file's name.
pub const NAME: &str = "assistants.json";
/// The format that is written. A newer one is not read.
const VERSION: u32 = 1;

/// A model that somebody connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What settings of sessions hold.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// What the endpoint speaks.
    pub provider: Provider,
    /// What the endpoint calls the model.
    pub model: String,
    /// Where it is.
    pub url: Secret,
    /// Where the key comes from.
    pub key: KeyFrom,
    /// Whether answers cost money; then somebody has confirmed it.
    pub paid: bool,
    /// Whether it runs on this machine.
    pub local: bool,
    /// Whether its address was chosen by somebody who came from elsewhere: then only some may be called.
    pub limited: bool,
    /// The longest prompt that the model itself takes. Unit: tokens.
    pub context_tokens: Option<u32>,
    /// When.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: UserId,
}

/// Where a key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    /// There is none.
    Nowhere,
    /// Somebody typed it.
    Typed(Secret),
    /// It stands in this variable.
    Environment(String),
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The connections, oldest first.
    pub connections: Vec<Connection>,
    /// The assistant of sessions that name none.
    pub usual: Option<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("cannot use {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is not what this version writes.
    #[error("cannot read {path}: {why}. Mend it, or move it away and connect the models again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl FileError {
    /// Returns whether the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull)
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct File(PathBuf);

impl File {
    /// Returns the file of a data folder.
    pub fn in_folder(data: &Path) -> Self {
        Self(super::file_in(data))
    }

    /// Reads it; nothing when it is not there. A file that others can read is closed to them.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn read(&self) -> Result<Stored, FileError> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::default()),
            Err(error) => return Err(self.failed(error)),
        };
        close_to_others(&self.0).map_err(|error| self.failed(error))?;
        let content = |why: String| FileError::Content { path: self.0.clone(), why };
        // The parser's own words may hold part of a key.
        let shape: Shape = serde_json::from_slice(&bytes).map_err(|error| {
            content(format!("it is not of the expected shape (line {}, column {})", error.line(), error.column()))
        })?;
        if shape.version > VERSION {
            return Err(content("a newer version of Roundtable wrote it".to_owned()));
        }
        let connections: Result<Vec<_>, String> = shape.assistants.into_iter().map(Row::into_connection).collect();
        Ok(Stored { connections: connections.map_err(content)?, usual: shape.usual })
    }

    /// Writes it anew: to a file beside it, which then takes its place.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn write(&self, stored: &Stored) -> Result<(), FileError> {
        let rows = stored.connections.iter().map(Row::of).collect();
        let shape = Shape { version: VERSION, usual: stored.usual.clone(), assistants: rows };
        let text = serde_json::to_vec_pretty(&shape).expect("rows serialise: string keys, no failing parts");
        self.replace(&text).map_err(|error| self.failed(error))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let beside = self.0.with_extension("json.new");
        // What is left of a write that was cut short may have another mode.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = for_owner_only(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, &self.0)?;
        sync_folder(folder)
    }

    fn failed(&self, error: io::Error) -> FileError {
        FileError::Io { path: self.0.clone(), error }
    }
}

/// Makes what is opened readable by its owner alone.
pub(crate) fn for_owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    tracing::warn!("the file with the keys of assistants was readable by others; it is closed to them now");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn close_to_others(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Shape {
    version: u32,
    #[serde(default)]
    usual: Option<String>,
    #[serde(default)]
    assistants: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    label: String,
    provider: String,
    model: String,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_variable: Option<String>,
    paid: bool,
    local: bool,
    limited: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context_tokens: Option<u32>,
    created_at: Timestamp,
    created_by: UserId,
}

impl Row {
    fn of(connection: &Connection) -> Self {
        let (key, key_variable) = match &connection.key {
            KeyFrom::Nowhere => (None, None),
            KeyFrom::Typed(key) => (Some(key.expose().to_owned()), None),
            KeyFrom::Environment(variable) => (None, Some(variable.clone())),
        };
        Self {
            name: connection.name.clone(),
            label: connection.label.clone(),
            provider: connection.provider.name().to_owned(),
            model: connection.model.clone(),
            url: connection.url.expose().to_owned(),
            key,
            key_variable,
            paid: connection.paid,
            local: connection.local,
            limited: connection.limited,
            context_tokens: connection.context_tokens,
            created_at: connection.created_at,
            created_by: connection.created_by,
        }
    }

    fn into_connection(self) -> Result<Connection, String> {
        let provider = Provider::of_name(&self.provider)
            .ok_or_else(|| format!("the assistant {} has a provider that there is not", self.name))?;
        let key = match (self.key, self.key_variable) {
            (Some(key), _) => KeyFrom::Typed(Secret::new(key)),
            (None, Some(variable)) => KeyFrom::Environment(variable),
            (None, None) => KeyFrom::Nowhere,
        };
        Ok(Connection {
            name: self.name,
            label: self.label,
            provider,
            model: self.model,
            url: Secret::new(self.url),
            key,
            paid: self.paid,
            local: self.local,
            limited: self.limited,
            context_tokens: self.context_tokens,
            created_at: self.created_at,
            created_by: self.created_by,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(name: &str, key: KeyFrom) -> Connection {
        Connection {
            name: name.to_owned(),
            label: "m · Ollama on this machine".to_owned(),
            provider: Provider::Ollama,
            model: "m".to_owned(),
            url: Secret::new("http://127.0.0.1:11434"),
            key,
            paid: false,
            local: true,
            limited: false,
            context_tokens: Some(8192),
            created_at: Timestamp::UNIX_EPOCH,
            created_by: UserId::NIL,
        }
    }

    fn file() -> (tempfile::TempDir, File) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = File::in_folder(folder.path());
        (folder, file)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (_folder, file) = file();
        assert_eq!(file.read().expect("nothing there"), Stored::default());
        let stored = Stored {
            connections: vec![
                connection("a", KeyFrom::Nowhere),
                connection("b", KeyFrom::Typed(Secret::new("sk-canary"))),
                connection("c", KeyFrom::Environment("OPENAI_API_KEY".to_owned())),
            ],
            usual: Some("b".to_owned()),
        };
        file.write(&stored).expect("written");
        assert_eq!(file.read().expect("read"), stored);
        file.write(&Stored::default()).expect("written over");
        assert_eq!(file.read().expect("read"), Stored::default());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, file) = file();
        let mode = || fs::metadata(&file.0).expect("there").permissions().mode() & 0o777;
        file.write(&Stored::default()).expect("written");
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o644)).expect("opened");
        file.read().expect("read");
        assert_eq!(mode(), 0o600, "closed again");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_without_its_content() {
        let (_folder, file) = file();
        for (text, words) in [
            (r#"{"version": 1, "assistants": [{"key": "sk-canary", "name": 7}]}"#, "expected shape"),
            (r#"{"version": 2}"#, "newer version"),
            ("sk-canary", "expected shape"),
        ] {
            fs::write(&file.0, text).expect("written");
            let error = file.read().expect_err(text).to_string();
            assert!(error.contains(words) && error.contains(NAME) && !error.contains("canary"), "{error}");
        }
    }
}
