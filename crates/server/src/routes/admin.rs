//! For whoever runs the server, on its own machine: what is logged.

use axum::extract::State;
use roundtable_protocol::{Code, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::Json;
use crate::problem::ApiError;
use crate::state::App;

/// What is logged.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogBody {
    /// A level, or levels by target, as in the setting `log.filter`.
    pub filter: String,
}

/// Changes what is logged, until the server ends.
///
/// Only from the server's own machine, with the token that the running server keeps in its data folder; `roundtable admin
/// log` does that.
#[utoipa::path(put, path = "/api/v1/admin/log", tag = "server", request_body = LogBody,
    responses((status = 200, description = "What is logged now", body = LogBody)))]
pub async fn log(State(app): State<App>, Json(body): Json<LogBody>) -> Result<axum::Json<LogBody>, ApiError> {
    let Some(switch) = &app.operator.log else {
        let detail = "this server is part of another program, whose log it does not own";
        return Err(Problem::new(Code::NotAvailable).with_detail(detail).into());
    };
    let wrong = |detail: String| {
        Problem::new(Code::InvalidField).with_detail(&detail).with_field("/filter", Code::InvalidField, detail)
    };
    if body.filter.trim().is_empty() {
        return Err(wrong("write a level (error, warn, info, debug, trace), or levels by target".to_owned()).into());
    }
    let changed = switch.set(&body.filter).map_err(|error| wrong(error.to_string()))?;
    if !changed {
        return Err(Problem::new(Code::NotAvailable).with_detail("the log of this process is gone").into());
    }
    // At a level that is nearly always written, so that the log itself shows from where on it says more or less.
    tracing::warn!(filter = body.filter, "what is logged was changed");
    Ok(axum::Json(body))
}
