//! Asking an endpoint which models it has.
//!
//! Owns: the shapes of those lists. Must not know: who is asked first. Invariant: what is returned is bounded in number
//! and length, whatever the other side sends.

use futures_util::StreamExt;
use serde_json::Value;

use super::fault::Fault;
use super::{ModelDriver, PROBE_TIMEOUT, Provider, Shared};
use crate::driver::Failure;

/// Most names that are returned.
const MOST: usize = 50;
/// The longest name. Unit: bytes.
const LONGEST_NAME: usize = 200;
/// The largest answer that is read; one cloud lists hundreds of models in half a megabyte. Unit: bytes.
const LARGEST: usize = 4 * 1024 * 1024;

/// What an endpoint says of its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// These, at most 50.
    Models(Vec<String>),
    /// It has no such list, or more than is read.
    NoList,
}

impl ModelDriver {
    /// Asks the endpoint for its models. Whether this uses a key is up to the configuration.
    ///
    /// # Errors
    /// The endpoint cannot be reached or refuses the key.
    pub async fn list(&self) -> Result<Listed, Failure> {
        self.0.list().await
    }

    /// Returns the longest prompt that the model itself says it takes. Only Ollama says so. Unit: tokens.
    pub async fn context_length(&self) -> Option<u32> {
        let shared = &self.0;
        if shared.config.provider != Provider::Ollama {
            return None;
        }
        let mut url = shared.endpoint.models.clone();
        let path = url.path().strip_suffix("tags")?.to_owned();
        url.set_path(&format!("{path}show"));
        let body = serde_json::json!({"model": shared.config.model});
        let response = shared.http.post(url).json(&body).timeout(PROBE_TIMEOUT).send().await.ok()?;
        let shown: Value = serde_json::from_slice(&read(response).await?).ok()?;
        let info = shown.get("model_info")?.as_object()?;
        let (_, length) = info.iter().find(|(name, _)| name.ends_with(".context_length"))?;
        u32::try_from(length.as_u64()?).ok()
    }
}

impl Shared {
    pub(super) async fn list(&self) -> Result<Listed, Failure> {
        let request = self.http.get(self.endpoint.models.clone()).timeout(PROBE_TIMEOUT);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(Fault::of_reqwest(&error, &self.endpoint).failure),
        };
        if let Some(fault) = Fault::of_probe(response.status(), &self.endpoint) {
            return Err(fault.failure);
        }
        if !response.status().is_success() {
            return Ok(Listed::NoList);
        }
        let names = read(response).await.and_then(|bytes| serde_json::from_slice(&bytes).ok()).and_then(|v| names(&v));
        Ok(names.map_or(Listed::NoList, Listed::Models))
    }
}

/// Reads a body, unless it is too large.
pub(super) async fn read(response: reqwest::Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.ok()?);
        if bytes.len() > LARGEST {
            return None;
        }
    }
    Some(bytes)
}

/// Returns the names in a list of OpenAI's or Anthropic's shape (`data[].id`) or Ollama's (`models[].name`).
pub(super) fn names(body: &Value) -> Option<Vec<String>> {
    let (list, key) = match (body["data"].as_array(), body["models"].as_array()) {
        (Some(list), _) => (list, "id"),
        (None, Some(list)) => (list, "name"),
        (None, None) => return None,
    };
    let names = list.iter().filter_map(|model| model[key].as_str());
    let shown = names.filter(|name| is_name(name)).take(MOST);
    Some(shown.map(str::to_owned).collect())
}

/// Returns whether a text may be a model's name: short, and nothing in it that a reader would not see.
fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_shapes_of_lists_are_read() {
        let openai = json!({"object": "list", "data": [{"id": "a"}, {"id": "b/c"}, {"name": "no id"}]});
        assert_eq!(names(&openai).expect("a list"), ["a", "b/c"]);
        let ollama = json!({"models": [{"name": "llama3.2:latest", "size": 1}]});
        assert_eq!(names(&ollama).expect("a list"), ["llama3.2:latest"]);
        assert_eq!(names(&json!({"message": "hello"})), None);
    }

    #[test]
    fn a_list_is_bounded_and_holds_names_only() {
        let many: Vec<Value> = (0..200).map(|n| json!({"id": format!("m{n}")})).collect();
        assert_eq!(names(&json!({"data": many})).expect("a list").len(), MOST);
        let odd = json!({"data": [{"id": "a\nb"}, {"id": " "}, {"id": "x".repeat(201)}, {"id": 7}, {"id": "good"}]});
        assert_eq!(names(&odd).expect("a list"), ["good"]);
    }
}
