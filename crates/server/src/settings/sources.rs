//! From file, environment and flags to one set of values, each of which knows where it came from.

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::keys::{self, KEYS, Key};
use super::{SettingsError, Sources, usual_file};

/// Variables with our prefix that are no settings.
const OTHER_VARIABLES: &[&str] = &["ROUNDTABLE_DEV_SERVER"];

/// Returns the defaults alone.
pub(super) fn defaults() -> Result<Config, SettingsError> {
    Ok(Config::builder().add_source(Given::defaults()).build()?)
}

/// Returns all sources, each over the one before it.
pub(super) fn merged(sources: &Sources) -> Result<Config, SettingsError> {
    let mut builder = Config::builder().add_source(Given::defaults());
    let file = match &sources.file {
        Some(path) => Some(path.as_path()),
        None => Some(usual_file()).filter(|path| path.exists()),
    };
    if let Some(path) = file {
        let origin = path.display().to_string();
        let source = File::from(path).format(FileFormat::Toml).required(true);
        refuse_unknown(&source, &origin)?;
        builder = builder.add_source(source);
    }
    builder = builder.add_source(environment(&sources.environment)?);
    Ok(builder.add_source(flags(&sources.flags)).build()?)
}

/// Returns where the value of a key came from.
pub(super) fn origin(values: &Config, key: &str) -> Option<String> {
    let mut names = key.split('.');
    let mut value = values.collect().ok()?.remove(names.next()?)?;
    for name in names {
        value = value.into_table().ok()?.remove(name)?;
    }
    value.origin().map(str::to_owned)
}

fn refuse_unknown(source: &dyn Source, origin: &str) -> Result<(), SettingsError> {
    for (name, value) in source.collect()? {
        let unknown = |key: String| SettingsError::Unknown { key, origin: origin.to_owned() };
        if keys::find(&name).is_some() {
            continue;
        }
        let is_table = KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == name));
        let ValueKind::Table(inner) = value.kind else { return Err(unknown(name)) };
        if !is_table {
            return Err(unknown(name));
        }
        if let Some(key) = inner.keys().map(|key| format!("{name}.{key}")).find(|key| keys::find(key).is_none()) {
            return Err(unknown(key));
        }
    }
    Ok(())
}

fn environment(variables: &[(String, String)]) -> Result<Given, SettingsError> {
    let mut given = Vec::new();
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("ROUNDTABLE_")) {
        if OTHER_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| key.variable() == *name) else {
            return Err(SettingsError::Unknown { key: name.clone(), origin: "the environment".to_owned() });
        };
        given.push((key, name.clone(), value.split(',').map(|part| part.trim().to_owned()).collect(), value.clone()));
    }
    Ok(Given(given.into_iter().map(|(key, origin, parts, whole)| One::new(key, origin, parts, whole)).collect()))
}

fn flags(flags: &[(&'static str, String, &'static str)]) -> Given {
    let mut all: Vec<One> = Vec::new();
    for (name, value, flag) in flags {
        let Some(key) = keys::find(name) else { continue };
        match all.iter_mut().find(|one| one.key.name == *name) {
            Some(one) if key.list => one.parts.push(value.clone()),
            _ => all.push(One::new(key, (*flag).to_owned(), vec![value.clone()], value.clone())),
        }
    }
    Given(all)
}

/// Values that were written as text.
#[derive(Clone, Debug)]
struct Given(Vec<One>);

#[derive(Clone, Debug)]
struct One {
    key: &'static Key,
    origin: String,
    parts: Vec<String>,
    whole: String,
}

impl One {
    fn new(key: &'static Key, origin: String, parts: Vec<String>, whole: String) -> Self {
        Self { key, origin, parts, whole }
    }

    fn value(&self) -> Value {
        let text = |text: &String| Value::new(Some(&self.origin), ValueKind::String(text.clone()));
        if self.key.list {
            let parts = self.parts.iter().filter(|part| !part.is_empty()).map(text).collect();
            Value::new(Some(&self.origin), ValueKind::Array(parts))
        } else {
            text(&self.whole)
        }
    }
}

impl Given {
    fn defaults() -> Self {
        let one = |key: &'static Key| {
            let parts = key.default.split(',').map(str::to_owned).collect();
            One::new(key, "the defaults".to_owned(), parts, key.default.to_owned())
        };
        Self(KEYS.iter().map(one).collect())
    }
}

impl Source for Given {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.iter().map(|one| (one.key.name.to_owned(), one.value())).collect())
    }
}
