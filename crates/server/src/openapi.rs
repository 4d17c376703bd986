//! The OpenAPI 3.1 document, made from the handlers.
//!
//! Owns: what all operations have in common, the schemas of the frames, the pages that show the document. Must not
//! know: single operations. Invariant: the document that is served is the one that `roundtable openapi` prints.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use roundtable_protocol::{ClientFrame, Code, Command, Event, Problem, ServerFrame, View};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Required, ResponseBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::problem::PROBLEM_JSON;
use crate::state::App;

/// Where the document is.
const DOCUMENT: &str = "/api/openapi.json";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Roundtable", description = "Live, recorded sessions of people and AI agents.", license(name = "MIT OR Apache-2.0")),
    components(schemas(ClientFrame, ServerFrame, Command, Event, View, Problem, Code)),
    tags(
        (name = "login", description = "Who you are."),
        (name = "sessions", description = "Live, recorded rooms."),
        (name = "events", description = "What happened, once and as it happens."),
        (name = "messages", description = "Saying something, and everything else that changes a session."),
        (name = "branches", description = "Points that can be gone back to, lines of the conversation."),
        (name = "context", description = "One JSON document that everybody in a session writes."),
        (name = "memories", description = "What is kept in mind, and typed actions."),
        (name = "assistants", description = "What can answer, and connecting models."),
        (name = "server", description = "Looking after a running server."),
        (name = "doors", description = "Links, joining, participants."),
    )
)]
struct Base;

/// Returns the document without its operations.
pub fn base() -> OpenApi {
    <Base as utoipa::OpenApi>::openapi()
}

/// Returns the whole document.
pub fn document() -> OpenApi {
    finished(crate::routes::api().split_for_parts().1)
}

/// Returns each operation under `/api/v1` as method and path.
pub fn operations(document: &OpenApi) -> impl Iterator<Item = String> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        methods(item)
            .into_iter()
            .filter(|(_, operation)| operation.is_some())
            .map(move |(method, _)| format!("{method} {path}"))
    })
}

/// Adds what all operations have in common: the ways to log in, problems, the key of a POST.
pub fn finished(mut document: OpenApi) -> OpenApi {
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let components = document.components.get_or_insert_default();
    components
        .add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
    let cookie = ApiKeyValue::with_description("roundtable", "Over HTTPS its name is __Host-roundtable.");
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            add_problem(operation);
        }
        if let Some(post) = &mut item.post {
            post.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
        }
    }
    document
}

fn methods(item: &PathItem) -> [(&'static str, &Option<Operation>); 8] {
    [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("OPTIONS", &item.options),
        ("HEAD", &item.head),
        ("PATCH", &item.patch),
        ("TRACE", &item.trace),
    ]
}

/// Makes an operation's name from its address, because names of handlers repeat and OpenAPI wants each once.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1").split(['/', '{', '}']).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| format!("{id}_{word}"))
}

fn add_problem(operation: &mut Operation) {
    let response = ResponseBuilder::new()
        .description("What went wrong; every code stands on the page /api/problems.")
        .content(PROBLEM_JSON, Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem")))))
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A UUIDv7, which becomes the id of what is made, or at most 200 printable characters. The same call with the same key is done once.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).max_length(Some(200)).build()))
        .build()
}

/// Returns the routes of the document and of the page that shows it.
pub fn pages(document: &OpenApi) -> Router<App> {
    let json: Bytes = document.to_json().expect("the document serialises: string keys, no failing parts").into();
    let docs: Router<App> = SwaggerUi::new("/api/docs").config(Config::new([DOCUMENT])).into();
    // Swagger UI writes styles into its elements.
    let policy = HeaderValue::from_static(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
         base-uri 'none'; frame-ancestors 'none'",
    );
    docs.layer(SetResponseHeaderLayer::overriding(CONTENT_SECURITY_POLICY, policy)).route(
        DOCUMENT,
        get(move || {
            let json = json.clone();
            async move { ([(CONTENT_TYPE, "application/json")], json).into_response() }
        }),
    )
}
