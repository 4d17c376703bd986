//! A strict part of JSON Schema 2020-12, listed in `docs/actions.md`.
//!
//! Owns: which keywords there are and what they ask. Must not know: sessions. Invariant: what is no keyword here is
//! refused when the schema is given, so that no rule is silently left out; checking data takes time in proportion to
//! the data, because no keyword looks at a value twice.

use serde_json::{Map, Value};

/// How deep a schema may be.
const MAX_DEPTH: usize = 16;
/// How many values `enum` may list.
const MAX_ENUM: usize = 100;

const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// Checks a schema. The error says where and what.
pub(super) fn check_schema(schema: &Value) -> Result<(), String> {
    schema_at(schema, "", 0)
}

/// Checks data by a schema that [`check_schema`] has let pass. The error says where and what.
pub(super) fn check(schema: &Value, data: &Value) -> Result<(), String> {
    data_at(schema, data, "")
}

fn schema_at(schema: &Value, at: &str, depth: usize) -> Result<(), String> {
    let place = if at.is_empty() { "the schema" } else { at };
    if depth > MAX_DEPTH {
        return Err(format!("{place}: at most {MAX_DEPTH} levels"));
    }
    let all = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(all) => all,
        _ => return Err(format!("{place}: a schema is an object, true or false")),
    };
    for (keyword, value) in all {
        keyword_at(keyword, value).map_err(|why| format!("{at}/{}: {why}", escaped(keyword)))?;
    }
    let nested = |name: &str| all.get(name).map(|one| schema_at(one, &format!("{at}/{name}"), depth + 1));
    nested("items").transpose()?;
    nested("additionalProperties").transpose()?;
    if let Some(Value::Object(properties)) = all.get("properties") {
        for (name, one) in properties {
            schema_at(one, &format!("{at}/properties/{}", escaped(name)), depth + 1)?;
        }
    }
    Ok(())
}

/// Checks the shape of one keyword's value; nested schemas are looked at by the caller.
fn keyword_at(keyword: &str, value: &Value) -> Result<(), String> {
    let ask = |fine: bool, what: &str| if fine { Ok(()) } else { Err(what.to_owned()) };
    let is_type = |one: &Value| one.as_str().is_some_and(|name| TYPES.contains(&name));
    let texts = |all: &Vec<Value>| all.iter().all(Value::is_string);
    match keyword {
        "type" => {
            let fine = is_type(value) || value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(is_type));
            ask(fine, "one of null, boolean, integer, number, string, array, object, or a list of them")
        }
        "enum" => {
            let fine = value.as_array().is_some_and(|all| (1..=MAX_ENUM).contains(&all.len()));
            ask(fine, "a list of 1 to 100 values")
        }
        "properties" => ask(value.is_object(), "an object"),
        "required" => ask(value.as_array().is_some_and(texts), "a list of names"),
        "minLength" | "maxLength" | "minItems" | "maxItems" => ask(value.is_u64(), "a whole number from 0"),
        "minimum" | "maximum" => ask(value.is_number(), "a number"),
        "items" | "additionalProperties" | "const" | "default" | "examples" => Ok(()),
        "title" | "description" | "$schema" | "$comment" => ask(value.is_string(), "a text"),
        _ => Err("this keyword is not supported".to_owned()),
    }
}

fn data_at(schema: &Value, data: &Value, at: &str) -> Result<(), String> {
    let fault = |what: String| Err(format!("{}: {what}", if at.is_empty() { "the data" } else { at }));
    let all = match schema {
        Value::Object(all) => all,
        Value::Bool(false) => return fault("is not allowed".to_owned()),
        _ => return Ok(()),
    };
    if let Some(types) = all.get("type")
        && !has_type(types, data)
    {
        return fault(format!("must be {}", words(types)));
    }
    if let Some(Value::Array(values)) = all.get("enum")
        && !values.iter().any(|value| same(value, data))
    {
        return fault("is none of the listed values".to_owned());
    }
    if let Some(value) = all.get("const")
        && !same(value, data)
    {
        return fault(format!("must be {value}"));
    }
    let whole = |name: &str| all.get(name).and_then(Value::as_u64);
    match data {
        Value::String(text) => {
            let length = text.chars().count() as u64;
            within(length, whole("minLength"), whole("maxLength"), "characters").or_else(fault)
        }
        Value::Number(number) => bounded(all, number).or_else(fault),
        Value::Array(items) => {
            within(items.len() as u64, whole("minItems"), whole("maxItems"), "items").or_else(fault)?;
            let Some(schema) = all.get("items") else { return Ok(()) };
            items.iter().enumerate().try_for_each(|(i, item)| data_at(schema, item, &format!("{at}/{i}")))
        }
        Value::Object(members) => object_at(all, members, at),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn object_at(schema: &Map<String, Value>, members: &Map<String, Value>, at: &str) -> Result<(), String> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        if !members.contains_key(name) {
            return Err(format!("{at}/{}: is missing", escaped(name)));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    for (name, member) in members {
        let known = properties.and_then(|all| all.get(name));
        if let Some(schema) = known.or(others) {
            data_at(schema, member, &format!("{at}/{}", escaped(name)))?;
        }
    }
    Ok(())
}

fn within(n: u64, least: Option<u64>, most: Option<u64>, unit: &str) -> Result<(), String> {
    match (least, most) {
        (Some(least), _) if n < least => Err(format!("must have at least {least} {unit}")),
        (_, Some(most)) if n > most => Err(format!("must have at most {most} {unit}")),
        _ => Ok(()),
    }
}

fn bounded(schema: &Map<String, Value>, number: &serde_json::Number) -> Result<(), String> {
    let n = number.as_f64().unwrap_or(f64::NAN);
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), _) if n < least => Err(format!("must be at least {least}")),
        (_, Some(most)) if n > most => Err(format!("must be at most {most}")),
        _ => Ok(()),
    }
}

fn has_type(types: &Value, data: &Value) -> bool {
    let is = |name: &Value| match (name.as_str(), data) {
        (Some("null"), Value::Null)
        | (Some("boolean"), Value::Bool(_))
        | (Some("number"), Value::Number(_))
        | (Some("string"), Value::String(_))
        | (Some("array"), Value::Array(_))
        | (Some("object"), Value::Object(_)) => true,
        (Some("integer"), Value::Number(n)) => !n.is_f64() || n.as_f64().is_some_and(|n| n.fract() == 0.0),
        _ => false,
    };
    match types {
        Value::Array(all) => all.iter().any(is),
        one => is(one),
    }
}

/// Compares as JSON Schema does: 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.is_f64() != b.is_f64() && a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, one)| b.get(name).is_some_and(|other| same(one, other)))
        }
        (a, b) => a == b,
    }
}

fn words(types: &Value) -> String {
    match types {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        one => one.as_str().unwrap_or_default().to_owned(),
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
