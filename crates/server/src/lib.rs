//! The edge: REST, Server-Sent Events, WebSocket, page, settings; the library under the `roundtable` command.
//!
//! Owns: how people and programs reach sessions over HTTP: logins, doors, limits, problems, the OpenAPI document. Must
//! not know: rules of sessions (they are in `core`), order and fan-out (they are in `hub`). Invariants: each route under
//! `/api/v1` has an action in `access::routes` that is checked before its handler runs, and no cause of an error, no
//! token and nobody's text is ever logged.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the subcommands |
//! | [`settings`] | defaults, file, environment, flags |
//! | [`doctor`] | looks at everything that a server needs |
//! | [`app`] | the router, and the check that refuses to start |
//! | [`serve`] | accepting connections; [`Server`] |
//! | [`tls`] | HTTPS without a proxy |
//! | [`shutdown`] | the order in which everything ends |
//! | [`state`] | what every handler can reach |
//! | [`auth`] | tokens, cookies, logins at hand |
//! | [`origin`] | where a request comes from: Host, Origin, Fetch-Metadata, proxies |
//! | [`limits`] | rates and numbers of connections |
//! | [`files`] | what an uploaded file is, told from its content |
//! | [`problem`] | errors on their way out, request ids |
//! | [`json`] | bodies and queries on their way in |
//! | [`idempotency`] | the keys of calls |
//! | [`openapi`] | the document |
//! | [`routes`] | the handlers |
//! | [`ws`] | the WebSocket |
//! | [`assistants`] | what answers turns: the guide, the configured model, what people connected |
//! | [`turns`] | hands owed turns to the assistants |
//! | [`metrics`] | the server's figures |
//! | [`operator`] | how whoever runs the server reaches it while it runs |
//! | [`page`] | the embedded page |
//! | [`logging`] | what the log looks like |

pub mod app;
pub mod assistants;
pub mod auth;
pub mod cli;
pub mod doctor;
pub mod files;
pub mod idempotency;
pub mod json;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod openapi;
pub mod operator;
pub mod origin;
pub mod page;
pub mod problem;
pub mod routes;
pub mod serve;
pub mod settings;
pub mod shutdown;
pub mod state;
pub mod summaries;
pub mod tls;
pub mod turns;
pub mod ws;

pub use serve::{Server, StartError};
pub use settings::Settings;
