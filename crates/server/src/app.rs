//! The router, and the check that refuses to start.
//!
//! Owns: which layers stand before the handlers, in which order. Must not know: what handlers do. Invariant: every
//! route under `/api/v1` has an action in `access::routes`, and every action has a route.

use std::collections::BTreeSet;

use axum::Router;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use roundtable_access::routes::ROUTES;
use roundtable_protocol::Code;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use utoipa::openapi::OpenApi;

use crate::problem::ApiError;
use crate::state::App;
use crate::{auth, metrics, openapi, origin, page, problem, routes};

/// Routes and actions do not agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("routes and actions do not agree: without an action {unguarded:?}, without a route {missing:?}")]
pub struct RouteError {
    /// Routes without an action.
    pub unguarded: Vec<String>,
    /// Actions without a route.
    pub missing: Vec<String>,
}

/// Builds the router.
///
/// # Errors
/// A route has no action, or an action no route.
pub fn router(app: App) -> Result<Router, RouteError> {
    let (api, document) = routes::api().split_for_parts();
    check(&document, ROUTES.iter().map(|(method, path, _)| (*method, *path)))?;
    let api = api.route_layer(from_fn_with_state(app.clone(), auth::guard));
    let document = openapi::finished(document);
    let router = Router::new()
        .merge(api)
        .route("/healthz", get(routes::meta::healthz))
        .route("/readyz", get(routes::meta::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/api/problems", get(routes::meta::problems))
        .route("/api/csp-report", post(routes::reports::csp_report))
        .merge(openapi::pages(&document))
        .fallback(page::serve)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(is_no_file)))
        .layer(from_fn_with_state(app.clone(), origin::check_host))
        .layer(from_fn(problem::finish))
        .with_state(app);
    Ok(router)
}

/// Compares the routes of the document with the actions.
///
/// # Errors
/// What is on one side only.
pub fn check<'a>(document: &OpenApi, actions: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), RouteError> {
    let routes: BTreeSet<String> = openapi::operations(document).collect();
    let actions: BTreeSet<String> = actions.map(|(method, path)| format!("{method} {path}")).collect();
    if routes == actions {
        return Ok(());
    }
    Err(RouteError {
        unguarded: routes.difference(&actions).cloned().collect(),
        missing: actions.difference(&routes).cloned().collect(),
    })
}

/// Files are sent as they are: most are compressed already, and their length says how far a download is.
fn is_no_file(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !headers.contains_key(CONTENT_DISPOSITION)
}

async fn method_not_allowed() -> Response {
    ApiError::from(Code::MethodNotAllowed).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_without_an_action_and_an_action_without_a_route_are_found() {
        let (_, document) = routes::api().split_for_parts();
        let table = || ROUTES.iter().map(|(method, path, _)| (*method, *path));
        assert_eq!(check(&document, table()), Ok(()));
        let error = check(&document, table().filter(|row| *row != ("GET", "/api/v1/me"))).expect_err("one is missing");
        assert_eq!(error.unguarded, ["GET /api/v1/me"]);
        let error = check(&document, table().chain([("GET", "/api/v1/nowhere")])).expect_err("one is too many");
        assert_eq!(error.missing, ["GET /api/v1/nowhere"]);
    }
}
