//! What people do with branches, checkpoints and the shared context.

use roundtable_protocol::Command;
use roundtable_protocol::branching::{MergeHow, RestoreHow};
use roundtable_protocol::command::{
    BranchArchive, BranchCreate, BranchFocus, BranchMerge, BranchMove, CheckpointCreate, CheckpointRestore,
    ContextPatch, SessionFork,
};
use roundtable_protocol::ids::Stream;
use roundtable_protocol::view::View;
use serde_json::json;

use super::{branch, branch_id, some};
use crate::rng::Rng;

/// Returns what somebody does next with the branches that they see.
pub(super) fn wish(view: &View, text: String, rng: &mut Rng) -> Option<Command> {
    Some(match rng.below(20) {
        0..4 => {
            let message = if rng.chance(700) { some(view, Stream::Main, rng, |_| true) } else { None };
            Command::BranchCreate(BranchCreate { message, ..BranchCreate::default() })
        }
        4..6 => Command::BranchFocus(BranchFocus { branch: branch_id(view, rng)? }),
        6..8 => {
            let branch = branch(view, rng)?;
            let if_head = if rng.chance(500) { branch.head } else { None };
            Command::BranchMove(BranchMove {
                branch: branch.id,
                head: some(view, Stream::Main, rng, |_| true)?,
                if_head,
            })
        }
        8 => Command::BranchArchive(BranchArchive { branch: branch_id(view, rng)?, archived: rng.chance(500) }),
        9..14 => Command::BranchMerge(merge(view, text, rng)?),
        14 => Command::CheckpointCreate(CheckpointCreate { name: text }),
        15 => {
            let checkpoint = rng.pick(&view.branching.checkpoints)?.checkpoint.id;
            let how = if rng.chance(500) { RestoreHow::InPlace } else { RestoreHow::Branch };
            Command::CheckpointRestore(CheckpointRestore { checkpoint, how, branch: None, name: None, then: vec![] })
        }
        16..18 => {
            let branch = if rng.chance(700) { branch_id(view, rng) } else { None };
            let merge = json!({ (*rng.pick(&["a", "b", "c"])?): text });
            Command::ContextPatch(ContextPatch { branch, merge: Some(merge), ..ContextPatch::default() })
        }
        _ => {
            let message = if rng.chance(500) { some(view, Stream::Main, rng, |_| true) } else { None };
            let branch = if message.is_none() { branch_id(view, rng) } else { None };
            Command::SessionFork(SessionFork { branch, message, ..SessionFork::default() })
        }
    })
}

fn merge(view: &View, text: String, rng: &mut Rng) -> Option<BranchMerge> {
    let (into, from) = (branch(view, rng)?, branch(view, rng)?);
    let how = *rng.pick(&[MergeHow::Adopt, MergeHow::Pick, MergeHow::Pick, MergeHow::Summary])?;
    let messages = match how {
        // What was said there last, sometimes with another one, wherever that is.
        MergeHow::Pick => {
            let other = if rng.chance(200) { some(view, Stream::Main, rng, |_| true) } else { None };
            from.head.into_iter().chain(other).collect()
        }
        _ => vec![],
    };
    let if_head = if rng.chance(300) { into.head } else { None };
    let text = (how == MergeHow::Summary).then_some(text);
    Some(BranchMerge { into: into.id, from: from.id, how, if_head, messages, text, question: None, said: vec![] })
}
