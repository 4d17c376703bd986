//! From a wish to a checked connection, and the end of one.
//!
//! Owns: what is checked before a model is connected, the names of connections. Must not know: who may connect.
//! Invariants: a connection is on the disk before anybody is told of it; what costs money is not called, not even for a
//! check, before a person has confirmed it; a name is made of the call's key, so that a repeated call makes nothing new.

use roundtable_assistant::model::{Listed, ModelConfigError};
use roundtable_assistant::{Failure, FailureCode, ModelDriver, Provider, Secret};
use roundtable_hub::clock;
use roundtable_protocol::{Code, Problem, UserId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::file::{Connection, FileError, KeyFrom, Stored};
use super::{Assistant, Assistants, GUIDE, MODEL, config_of, driver_of, places};

/// How many connections there may be.
const MOST: usize = 100;
/// The longest part of a name that is taken from the model's. Unit: characters.
const LONGEST_SLUG: usize = 28;
/// The longest name of a model. Unit: bytes.
const LONGEST_MODEL: usize = 200;
/// The longest address. Unit: bytes.
const LONGEST_URL: usize = 2000;

/// What somebody wants to connect.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where it is.
    pub what: What,
    /// What the endpoint calls the model.
    pub model: String,
    /// Whether the person has confirmed that it may cost money.
    pub confirmed: bool,
    /// Whether new sessions are to get it; absent: when it is free and only the guide stands against it.
    pub usual: Option<bool>,
}

/// Where the model of a wish is.
#[derive(Clone, Debug)]
pub enum What {
    /// Something that was found.
    Found(String),
    /// An endpoint that the person names.
    Own {
        /// What it speaks.
        provider: Provider,
        /// Where it is; empty: at the provider's usual address.
        url: Secret,
        /// Its key, if it wants one.
        key: Secret,
    },
}

impl Assistants {
    /// Connects a model and returns the assistant that it is now. The same `key` again returns the same one.
    ///
    /// # Errors
    /// A field is wrong, the endpoint does not answer or refuses, the person has not confirmed the costs, or the disk
    /// refuses.
    pub async fn connect(&self, wish: Wish, key: Uuid, by: UserId) -> Result<Assistant, Problem> {
        let name = name_of(&wish.model, key);
        if let Some(made) = self.assistant(&name) {
            return Ok(made);
        }
        let settings = &self.0.settings;
        let model = checked_model(&wish.model)?;
        let mut connection = Connection { name, model, created_by: by, ..self.draft(&wish)? };
        if let Some(same) = self.same(&connection) {
            return Ok(same);
        }
        let pointers = Pointers::of(&wish.what);
        let config = config_of(&connection, settings).map_err(|failure| pointers.refused(&failure))?;
        let driver = ModelDriver::new(config).map_err(|error| pointers.unusable(&error))?;
        connection.local |= driver.is_local();
        connection.paid = connection.paid && !connection.local;
        if connection.paid && !wish.confirmed {
            return Err(Problem::new(Code::ConfirmationNeeded));
        }
        let listed = driver.list().await.map_err(|failure| pointers.refused(&failure))?;
        if let (Provider::Ollama, Listed::Models(models)) = (connection.provider, &listed)
            && !models.iter().any(|known| is_same_model(known, &connection.model))
            && models.len() < 50
        {
            return Err(field(
                "/model",
                "Ollama has not got this model; fetch it with \"ollama pull\", or choose another",
            ));
        }
        connection.context_tokens = driver.context_length().await;
        connection.label = label(&connection, driver.endpoint(), self.found_label(&wish.what).as_deref());
        self.keep(connection, wish.usual).await
    }

    /// Ends a connection. Running answers of it are finished; later ones fail with words.
    ///
    /// # Errors
    /// There is none of that name, it is not one that people made, or the disk refuses.
    pub async fn disconnect(&self, name: &str) -> Result<(), Problem> {
        if name == GUIDE || (name == MODEL && self.knows(MODEL)) {
            return Err(Problem::new(Code::AssistantFixed));
        }
        let _writing = self.0.writing.lock().await;
        let mut stored = self.stored();
        let before = stored.connections.len();
        stored.connections.retain(|connection| connection.name != name);
        if stored.connections.len() == before {
            return Err(Problem::new(Code::AssistantNotFound));
        }
        stored.usual = stored.usual.filter(|usual| usual != name);
        self.save(&stored).await?;
        let mut state = self.write();
        state.drivers.remove(name);
        state.connections = stored.connections;
        state.usual = stored.usual;
        tracing::info!(assistant = name, "an assistant was disconnected");
        Ok(())
    }

    async fn keep(&self, connection: Connection, usual: Option<bool>) -> Result<Assistant, Problem> {
        let _writing = self.0.writing.lock().await;
        let mut stored = self.stored();
        if let Some(made) = self.assistant(&connection.name).or_else(|| self.same(&connection)) {
            return Ok(made);
        }
        if stored.connections.len() >= MOST {
            return Err(field("", &format!("there are {MOST} connections already; disconnect one that nobody uses")));
        }
        let only_guide = self.usual() == GUIDE;
        if usual.unwrap_or(only_guide && !connection.paid) {
            stored.usual = Some(connection.name.clone());
        }
        let name = connection.name.clone();
        let driver = driver_of(&connection, &self.0.settings);
        stored.connections.push(connection.clone());
        self.save(&stored).await?;
        {
            let mut state = self.write();
            state.drivers.insert(name.clone(), driver);
            state.connections = stored.connections;
            state.usual = stored.usual;
        }
        tracing::info!(
            assistant = name,
            provider = connection.provider.name(),
            paid = connection.paid,
            local = connection.local,
            user.id = %connection.created_by,
            "an assistant was connected"
        );
        self.assistant(&name).ok_or_else(|| Problem::new(Code::AssistantNotFound))
    }

    fn stored(&self) -> Stored {
        let state = self.read();
        Stored { connections: state.connections.clone(), usual: state.usual.clone() }
    }

    async fn save(&self, stored: &Stored) -> Result<(), Problem> {
        let (file, stored) = (self.0.file.clone(), stored.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&stored)).await;
        written.expect("writing the file does not panic").map_err(|error: FileError| {
            tracing::error!(%error, "the connections could not be written; nothing was changed");
            if error.is_full() {
                Problem::new(Code::StorageFull)
            } else {
                Problem::new(Code::Unavailable).with_detail("the data folder cannot be written")
            }
        })
    }

    fn assistant(&self, name: &str) -> Option<Assistant> {
        self.all().into_iter().find(|assistant| assistant.name == name)
    }

    /// Returns the assistant that is the same thing under an earlier name.
    fn same(&self, wanted: &Connection) -> Option<Assistant> {
        let state = self.read();
        let is_same = |connection: &&Connection| {
            let (a, b) = (connection, wanted);
            a.provider == b.provider && a.model == b.model && a.url == b.url && a.key == b.key
        };
        let name = state.connections.iter().find(is_same)?.name.clone();
        state.all().into_iter().find(|assistant| assistant.name == name)
    }

    fn found_label(&self, what: &What) -> Option<String> {
        match what {
            What::Found(id) => self.found_by_id(id).map(|found| found.label),
            What::Own { .. } => None,
        }
    }

    /// Returns what the wish says of a connection, without its name and model.
    fn draft(&self, wish: &Wish) -> Result<Connection, Problem> {
        let settings = &self.0.settings;
        let blank = Connection {
            name: String::new(),
            label: String::new(),
            provider: Provider::OpenAiCompatible,
            model: String::new(),
            url: Secret::default(),
            key: KeyFrom::Nowhere,
            paid: false,
            local: false,
            limited: false,
            context_tokens: None,
            created_at: clock::now(),
            created_by: UserId::NIL,
        };
        match &wish.what {
            What::Found(id) => {
                let gone = || field("/found_id", "nothing of that id was found; look again");
                let found = self.found_by_id(id).ok_or_else(gone)?;
                let (provider, url, key) = (found.provider, found.url, found.key);
                Ok(Connection { provider, url, key, paid: found.paid, local: found.local, ..blank })
            }
            What::Own { provider, url, key } => {
                let usual = || provider.usual_url().filter(|_| url.is_empty()).map(Secret::new);
                let url = usual().unwrap_or_else(|| url.clone());
                if url.is_empty() {
                    return Err(field("/url", "is missing: write where the endpoint is"));
                }
                if url.expose().len() > LONGEST_URL {
                    return Err(field("/url", "is too long"));
                }
                let paid = !key.is_empty() && !places::is_private_literal(url.expose());
                let key = if key.is_empty() { KeyFrom::Nowhere } else { KeyFrom::Typed(key.clone()) };
                let limited = !settings.only_this_device();
                Ok(Connection { provider: *provider, url, key, paid, limited, ..blank })
            }
        }
    }
}

/// Which fields of the call a failure is about.
struct Pointers {
    place: &'static str,
    key: &'static str,
}

impl Pointers {
    fn of(what: &What) -> Self {
        match what {
            What::Found(_) => Self { place: "/found_id", key: "/found_id" },
            What::Own { .. } => Self { place: "/url", key: "/key" },
        }
    }

    fn unusable(&self, error: &ModelConfigError) -> Problem {
        let pointer = match error {
            ModelConfigError::Key => self.key,
            ModelConfigError::Name => "/model",
            ModelConfigError::Url | ModelConfigError::OutOfReach | ModelConfigError::Client(_) => self.place,
        };
        field(pointer, &error.to_string())
    }

    fn refused(&self, failure: &Failure) -> Problem {
        let pointer = if failure.code == FailureCode::ModelRefusedKey { self.key } else { self.place };
        field(pointer, &failure.message)
    }
}

fn field(pointer: &str, detail: &str) -> Problem {
    Problem::new(Code::InvalidField).with_detail(detail).with_field(pointer, Code::InvalidField, detail)
}

fn checked_model(model: &str) -> Result<String, Problem> {
    let model = model.trim();
    if model.is_empty() {
        return Err(field("/model", "is missing: write what the endpoint calls the model"));
    }
    if model.len() > LONGEST_MODEL || model.chars().any(char::is_control) {
        return Err(field("/model", "is no name of a model: at most 200 bytes, no control characters"));
    }
    Ok(model.to_owned())
}

/// Ollama's names may leave out `:latest`.
fn is_same_model(known: &str, wanted: &str) -> bool {
    known == wanted || known.strip_suffix(":latest") == Some(wanted)
}

/// Makes a name that settings can hold: of the model's, and of the call's key, so that no other call makes the same.
fn name_of(model: &str, key: Uuid) -> String {
    let mut slug = String::new();
    for c in model.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == LONGEST_SLUG {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    let digest = Sha256::digest(key.as_bytes());
    let suffix: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    if slug.is_empty() { format!("model-{suffix}") } else { format!("{slug}-{suffix}") }
}

/// Says for people what answers: the model, and who runs it.
fn label(connection: &Connection, endpoint: &str, found: Option<&str>) -> String {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    let by = match (found, connection.provider, connection.local) {
        (Some(found), _, _) => found.to_owned(),
        (None, Provider::Ollama, true) => "Ollama on this machine".to_owned(),
        (None, _, true) => "this machine".to_owned(),
        (None, Provider::OpenAi | Provider::Anthropic, _) if is_own_cloud(connection) => {
            connection.provider.label().to_owned()
        }
        (None, _, false) => host.to_owned(),
    };
    format!("{} · {by}", connection.model)
}

fn is_own_cloud(connection: &Connection) -> bool {
    connection.provider.usual_url() == Some(connection.url.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_settings_and_never_meet() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for model in ["llama3.2:latest", "org/Model::Tag", "модель", "", &"x".repeat(300), "--", "a/b/c-d e"] {
            let name = name_of(model, a);
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.len() <= 40 && name.chars().all(word) && !name.starts_with('-'), "{name}");
            assert_eq!(name, name_of(model, a));
            assert_ne!(name, name_of(model, b));
        }
        assert!(name_of("llama3.2:latest", a).starts_with("llama3-2-latest-"));
    }

    #[test]
    fn ollamas_latest_may_be_left_out() {
        assert!(is_same_model("llama3.2:latest", "llama3.2") && is_same_model("a:7b", "a:7b"));
        assert!(!is_same_model("a:7b", "a") && !is_same_model("a", "a:latest"));
    }
}
