//! What the guide says.
//!
//! Owns: the rules and their words. Must not know: time, tasks, events. Invariant: only what is true of this server,
//! and figures only from the transcript.

use std::collections::HashSet;

use crate::turn::{AuthorKind, TurnInput};

use super::LABEL;

/// What to do with the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Say it.
    Says(String),
    /// Say it after a pause, slowly.
    Slow(String),
    /// Say it, then fail.
    Fails(String),
}

/// Decides the answer.
pub(super) fn reply(input: &TurnInput) -> Reply {
    let question = input.request_entry().map_or("", |entry| entry.text.as_str());
    let question = without_mention(question, &input.assistant_name);
    if let Some(command) = question.strip_prefix('/') {
        return command_reply(command);
    }
    let words = words(question);
    let answer = RULES.iter().find(|rule| rule.matches(&words)).map(|rule| (rule.says)(input));
    let answer = answer.unwrap_or_else(|| format!("I have no rule for that, and I do not make things up. {TOPICS}"));
    if is_first_answer(input) { Reply::Says(format!("{INTRODUCTION}\n\n{answer}")) } else { Reply::Says(answer) }
}

const INTRODUCTION: &str = "Hello, I am the guide: fixed rules inside this server, **not an AI model**. I can explain \
    Roundtable, but I cannot think. For real answers, connect a model (ask me \"how do I connect a model?\").";

const TOPICS: &str = "Ask me about sharing, side chat, stopping, the queue, roles, who is here, or connecting a model. \
    `/help` lists all that I can do.";

const HELP: &str = "I am the guide, not an AI model. I know these:\n\n\
    - `how do I share?`, `what is side chat?`, `how do I stop an answer?`, `how does the queue work?`, \
    `what may each role do?`\n\
    - `who is here?` counts people and messages\n\
    - `how do I connect a model?`\n\
    - `/demo long` writes for about 20 seconds, to try Stop, the queue and joining late\n\
    - `/demo slow` waits 5 seconds, then writes slowly\n\
    - `/demo error` fails in the middle\n\
    - `/help` shows this";

const CONNECT: &str = "Open **Connect a model**. It shows what is found on the server's machine: Ollama, LM Studio, \
    llama.cpp or vLLM when one of them runs, and keys of model providers in the environment (a key that costs money is \
    only used after you confirm it). You can also give the address of any other server that speaks OpenAI's, Anthropic's \
    or Ollama's interface. Then choose the model in the session's settings.\n\n\
    Whoever runs the server can also set a model where Roundtable is started:\n\n\
    ```\n\
    ROUNDTABLE_MODEL_URL=http://127.0.0.1:11434/v1\n\
    ROUNDTABLE_MODEL_NAME=llama3.2\n\
    ROUNDTABLE_MODEL_KEY=\n\
    ```\n\n\
    The key may stay empty for a local model. The same three stand in the configuration file as `url`, `name` and `key` \
    under `[model]`.";

const SHARE: &str = "Press **Share**: the link is copied at once. Whoever opens it types a name and is in, with the \
    role that stands beside the button. Make as many links as you like, and revoke each one in the list there.";

const SIDE_CHAT: &str = "Side chat is for people: what is written there never reaches me or any model, and it is never \
    part of a prompt. The conversation in the middle is what the assistant sees.";

const STOP: &str = "Press **Stop** beside the answer that is being written. It ends at once, what is written stays, \
    everybody sees who stopped it, and the next question in the queue begins. You may stop the answers that you asked \
    for; the owner may stop any.";

const QUEUE: &str = "One answer is written at a time. Further questions wait in the queue, which everybody sees; you \
    can withdraw your own while it waits.";

const ROLES: &str = "**Owner**: everything, also people, links and the end of the session. **Collaborator**: writes and \
    asks the assistant. **Viewer**: reads along. The owner changes roles in the list of people, and a change works at \
    once.";

/// A rule: it matches when the question holds one word of each group.
struct Rule {
    needs: &'static [&'static [&'static str]],
    says: fn(&TurnInput) -> String,
}

impl Rule {
    fn matches(&self, words: &HashSet<String>) -> bool {
        self.needs.iter().all(|group| group.iter().any(|word| words.contains(*word)))
    }
}

/// The first match wins, so the narrower ones stand first.
const RULES: &[Rule] = &[
    Rule { needs: &[&["help", "commands"]], says: |_| HELP.to_owned() },
    Rule { needs: &[&["side", "sidechat", "private", "privately"]], says: |_| SIDE_CHAT.to_owned() },
    Rule {
        needs: &[&[
            "connect",
            "model",
            "models",
            "llm",
            "ollama",
            "openai",
            "api",
            "key",
            "configure",
            "gpt",
            "claude",
        ]],
        says: |_| CONNECT.to_owned(),
    },
    Rule { needs: &[&["queue", "queued", "wait", "waiting", "withdraw", "order"]], says: |_| QUEUE.to_owned() },
    Rule { needs: &[&["stop", "cancel", "abort", "interrupt"]], says: |_| STOP.to_owned() },
    Rule {
        needs: &[&[
            "role",
            "roles",
            "permission",
            "permissions",
            "owner",
            "collaborator",
            "viewer",
            "rights",
            "allowed",
        ]],
        says: |_| ROLES.to_owned(),
    },
    Rule { needs: &[&["share", "sharing", "invite", "link", "links", "join", "guest"]], says: |_| SHARE.to_owned() },
    Rule {
        needs: &[&["who", "count", "participants", "people", "many", "messages", "summary", "summarise"]],
        says: count,
    },
    Rule { needs: &[&["hello", "hi", "hey", "hallo", "you", "start", "begin", "guide"]], says: |_| TOPICS.to_owned() },
];

fn count(input: &TurnInput) -> String {
    let of = |kind| input.transcript.iter().filter(move |entry| entry.kind == kind);
    let mut people: Vec<&str> = Vec::new();
    let mut seen = HashSet::new();
    for entry in of(AuthorKind::Person) {
        if seen.insert(entry.participant) {
            people.push(&entry.author_name);
        }
    }
    let written = of(AuthorKind::Person).count();
    let answers = of(AuthorKind::Assistant).count();
    format!(
        "So far {} wrote {} here: {}. There {} {}. I count only those who wrote; the list of people shows everybody who \
         is here.",
        plural(people.len(), "person", "people"),
        plural(written, "message", "messages"),
        if people.is_empty() { "nobody".to_owned() } else { people.join(", ") },
        if answers == 1 { "was" } else { "were" },
        plural(answers, "answer of an assistant", "answers of assistants"),
    )
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn is_first_answer(input: &TurnInput) -> bool {
    !input.transcript.iter().any(|entry| entry.kind == AuthorKind::Assistant && entry.participant == input.assistant)
}

/// Drops `@name` in front of the question.
fn without_mention<'a>(question: &'a str, name: &str) -> &'a str {
    let question = question.trim();
    let Some(rest) = question.strip_prefix('@') else { return question };
    let rest = match rest.get(..name.len()) {
        Some(start) if !name.is_empty() && start.eq_ignore_ascii_case(name) => &rest[name.len()..],
        _ => rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest),
    };
    rest.trim_start_matches([':', ',', ' ']).trim()
}

fn words(question: &str) -> HashSet<String> {
    question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn command_reply(command: &str) -> Reply {
    let words: Vec<String> = command.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["help", ..] => Reply::Says(HELP.to_owned()),
        ["demo", "long", ..] => Reply::Says(long_text()),
        ["demo", "slow", ..] => Reply::Slow(format!(
            "{LABEL}. This answer began after five seconds and comes slowly, as a large model on a small machine would. \
             You may stop it, or ask the next question: it will wait in the queue."
        )),
        ["demo", "error", ..] => Reply::Fails(format!(
            "{LABEL}. This answer will fail before it is finished, to show what that looks like: the text so far stays, \
             everybody sees why it ended, and the next question"
        )),
        ["demo", ..] => Reply::Says("There are `/demo long`, `/demo slow` and `/demo error`.".to_owned()),
        _ => Reply::Says(format!("I do not know that command.\n\n{HELP}")),
    }
}

/// About 570 words: 20 seconds at the usual pace.
fn long_text() -> String {
    const LINES: usize = 47;
    let mut text = format!("{LABEL}. A long answer made by a rule, so that you can try things meanwhile.\n\n");
    for line in 1..=LINES {
        text.push_str(&format!("{line}. Line {line} of {LINES}: every person here sees these words together.\n"));
    }
    text.push_str("\nThat was all.");
    text
}
