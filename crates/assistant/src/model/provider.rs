//! Which interface an endpoint speaks.
//!
//! Owns: the providers, their names, paths, headers and usual addresses. Must not know: what is asked. Invariant: a
//! name is for ever, because it is stored and stands in answers of the API.

use genai::adapter::AdapterKind;
use genai::chat::ReasoningEffort;

/// Which interface an endpoint speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// OpenAI's own chat completions.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Ollama's own chat, as newline-delimited JSON.
    Ollama,
    /// Anybody else's chat completions in OpenAI's shape.
    OpenAiCompatible,
}

impl Provider {
    /// Every provider.
    pub const ALL: &'static [Self] = &[Self::OpenAi, Self::Anthropic, Self::Ollama, Self::OpenAiCompatible];

    /// Returns the name in settings, files and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::OpenAiCompatible => "openai_compatible",
        }
    }

    /// Returns the provider of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|provider| provider.name() == name)
    }

    /// Returns what people call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Ollama => "Ollama",
            Self::OpenAiCompatible => "OpenAI-compatible",
        }
    }

    /// Returns the address that is meant when none is given.
    pub fn usual_url(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::Ollama => Some("http://127.0.0.1:11434"),
            Self::OpenAiCompatible => None,
        }
    }

    pub(super) fn adapter(self) -> AdapterKind {
        match self {
            Self::OpenAi | Self::OpenAiCompatible => AdapterKind::OpenAI,
            Self::Anthropic => AdapterKind::Anthropic,
            Self::Ollama => AdapterKind::Ollama,
        }
    }

    /// Returns the effort that keeps the library from reading one out of a model's name ("qwen-high" would be asked for
    /// as "qwen") and sends as little as possible about it.
    pub(super) fn effort(self) -> Option<ReasoningEffort> {
        match self {
            // Sends nothing on this wire.
            Self::OpenAi | Self::OpenAiCompatible => Some(ReasoningEffort::Budget(0)),
            // Sends nothing but to models that would think without being asked to.
            Self::Anthropic => Some(ReasoningEffort::Zero),
            // Reads nothing out of names; anything sent is refused by models that cannot think.
            Self::Ollama => None,
        }
    }

    /// Returns the paths of the call and of the list of models below a base path. People paste either end of it.
    pub(super) fn paths(self, base: &str) -> (String, String) {
        let strip = |ends: &[&str]| {
            ends.iter().fold(base.trim_end_matches('/').to_owned(), |path, end| {
                path.strip_suffix(end).map_or(path.clone(), str::to_owned)
            })
        };
        match self {
            Self::OpenAi | Self::OpenAiCompatible => {
                let path = strip(&["/chat/completions"]);
                (format!("{path}/chat/completions"), format!("{path}/models"))
            }
            Self::Anthropic => {
                let path = strip(&["/messages", "/v1"]);
                (format!("{path}/v1/messages"), format!("{path}/v1/models"))
            }
            Self::Ollama => {
                let path = strip(&["/chat", "/api", "/v1"]);
                (format!("{path}/api/chat"), format!("{path}/api/tags"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for provider in Provider::ALL {
            assert_eq!(Provider::of_name(provider.name()), Some(*provider));
        }
        assert_eq!(Provider::of_name("guide"), None);
    }

    #[test]
    fn whichever_end_of_an_address_was_pasted_the_paths_are_right() {
        let check = |provider: Provider, base: &str, chat: &str, models: &str| {
            assert_eq!(provider.paths(base), (chat.to_owned(), models.to_owned()), "{provider:?} {base}");
        };
        for base in ["", "/", "/v1", "/v1/", "/v1/messages"] {
            check(Provider::Anthropic, base, "/v1/messages", "/v1/models");
        }
        check(Provider::Anthropic, "/gateway", "/gateway/v1/messages", "/gateway/v1/models");
        for base in ["", "/", "/api", "/api/", "/api/chat", "/v1"] {
            check(Provider::Ollama, base, "/api/chat", "/api/tags");
        }
        check(Provider::OpenAi, "/v1/chat/completions", "/v1/chat/completions", "/v1/models");
        check(Provider::OpenAiCompatible, "/api/v1", "/api/v1/chat/completions", "/api/v1/models");
    }
}
