//! What commands of turns say, those that only a driver gives among them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::is_default;
use crate::ids::{LeaseId, MessageId, TurnId};
use crate::model::{EndReason, Usage};

/// Data of `turn.ask`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnAsk {
    /// The message in `main` to answer.
    pub message: MessageId,
    /// Another answer beside the one that there is: it begins a new branch at the message.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sibling: bool,
}

/// Data of `turn.edit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnEdit {
    /// Which turn.
    pub turn: TurnId,
    /// What is asked from now on; 1 byte to 64 KiB.
    pub text: String,
}

/// Data of `turn.withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnWithdraw {
    /// Which turn.
    pub turn: TurnId,
}

/// Data of `turn.stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnStop {
    /// Which turn.
    pub turn: TurnId,
}

/// Data of `turn.start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnStart {
    /// Which turn.
    pub turn: TurnId,
    /// The claim's id.
    pub lease: LeaseId,
    /// Which driver answers.
    pub driver: String,
    /// What the answer is labelled with.
    pub label: String,
}

/// Data of `turn.progress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnProgress {
    /// Which turn.
    pub turn: TurnId,
    /// The claim under which it is written.
    pub lease: LeaseId,
    /// Where the text begins. Unit: UTF-16 code units.
    pub offset: u64,
    /// New text; empty to renew the lease only.
    pub text: String,
    /// See [`crate::event::TurnProgressed::pace`].
    #[serde(default)]
    pub pace: Vec<(u32, u32)>,
}

/// Data of `turn.complete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnComplete {
    /// Which turn.
    pub turn: TurnId,
    /// The claim under which it is written.
    pub lease: LeaseId,
    /// SHA-256 of the whole text, in hexadecimal.
    pub hash: String,
    /// Why it ended.
    pub reason: EndReason,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// Data of `turn.fail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnFail {
    /// Which turn.
    pub turn: TurnId,
    /// The claim under which it is written.
    pub lease: LeaseId,
    /// A stable word for what went wrong.
    pub code: String,
    /// What went wrong and what to do, for people.
    pub detail: String,
    /// What it used, as far as known.
    #[serde(default)]
    pub usage: Usage,
}

/// Data of `turn.lose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnLose {
    /// Which turn.
    pub turn: TurnId,
    /// The claim that is given up.
    pub lease: LeaseId,
}
