//! The OpenAPI document against the router, and answers against the document.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sbir_server::ROUTES;
use serde_json::{Map, Value};

use crate::support::{Site, bar, drawing};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../src/routes/openapi.json")).unwrap());

/// The responses that the document has for a request; none where it has no such route.
pub fn responses(method: &str, path: &str) -> Option<&'static Map<String, Value>> {
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (parts, wanted) = (path.split('/'), template.split('/'));
        parts.clone().count() == wanted.clone().count()
            && parts.zip(wanted).all(|(part, wanted)| wanted == "{id}" || wanted == part)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let exact = paths.get(path).or_else(|| {
        paths.iter().find_map(|(template, methods)| fits(template).then_some(methods))
    })?;
    exact[method.to_lowercase()]["responses"].as_object()
}

#[track_caller]
pub fn assert_described(method: &str, path: &str, status: u16) {
    if let Some(responses) = responses(method, path) {
        assert!(
            responses.contains_key(&status.to_string()),
            "{method} {path}: {status} is not described"
        );
    }
}

fn document(site: &Site) -> Value {
    site.get("/api/openapi.json").ok().json()
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let site = Site::with(1, |_| {});
    let document = document(&site);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.insert((method.clone(), path.clone()));
        }
    }
    let routes: BTreeSet<_> =
        ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(described, routes);
    // And each is really there: neither unknown nor of another method.
    for (method, path) in &routes {
        if path == "/api/events" {
            continue;
        }
        let path = path.replace("{id}", &site.id("bar000.jpg"));
        let status = site.send(&method.to_uppercase(), &path, &[], b"").status;
        assert!(status != 404 && status != 405, "{method} {path}: {status}");
        let other = if method == "get" { "PUT" } else { "GET" };
        assert_eq!(site.send(other, &path, &[], b"").status, 405, "{other} {path}");
    }
    references(&document, &document);
}

/// Every `$ref` leads somewhere.
fn references(value: &Value, document: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
            }
            object.values().for_each(|value| references(value, document));
        }
        Value::Array(array) => array.iter().for_each(|value| references(value, document)),
        _ => {}
    }
}

#[test]
fn answers_are_as_described() {
    let site = Site::new();
    let document = document(&site);
    let id = site.id("bar001.jpg");
    let jpeg = bar(1).to_jpeg(80).unwrap();
    let cases: [(&str, &str, &[u8], u16); 14] = [
        ("post", "/api/search", &drawing(1), 200),
        ("post", "/api/search", b"{", 422),
        ("post", "/api/search?k=0", &drawing(1), 400),
        ("post", "/api/search/image", &jpeg, 200),
        ("post", "/api/search/image", b"no", 415),
        ("get", "/api/photos/{id}/similar", b"", 200),
        ("get", "/api/photos/none/similar", b"", 404),
        ("post", "/api/photos/{id}/rank", &drawing(1), 200),
        ("get", "/api/photos/none", b"", 404),
        ("get", "/api/thumbnails/none", b"", 404),
        ("get", "/api/gallery?limit=3", b"", 200),
        ("get", "/api/gallery/sample", b"", 200),
        ("get", "/api/index", b"", 200),
        ("get", "/api/health", b"", 200),
    ];
    for (method, path, body, status) in cases {
        let reply = site.send(&method.to_uppercase(), &path.replace("{id}", &id), &[], body);
        assert_eq!(reply.status, status, "{method} {path}");
        let route = path.split('?').next().unwrap().replace("none", "{id}");
        let described = &document["paths"][&route][method]["responses"][status.to_string()];
        let described = resolve(described, &document);
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}: {status} is not described");
        assert_eq!(reply.header("content-type"), "application/json");
        fits(&reply.json(), schema, &document, &format!("{method} {path}"));
    }
    for path in ["photos", "thumbnails"] {
        let reply = site.get(&format!("/api/{path}/{id}")).ok();
        let route = format!("/api/{path}/{{id}}");
        let content = &document["paths"][&route]["get"]["responses"]["200"]["content"];
        assert!(content.get(reply.header("content-type")).is_some());
    }
}

#[test]
fn a_wrong_answer_does_not_fit() {
    // The check itself.
    let document = serde_json::json!({});
    let schema = serde_json::json!({"type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"type": ["integer", "null"], "minimum": 1}}});
    let fails =
        |value: Value| std::panic::catch_unwind(|| fits(&value, &schema, &document, "")).is_err();
    assert!(!fails(serde_json::json!({"a": 1})) && !fails(serde_json::json!({"a": null})));
    for wrong in [
        serde_json::json!({}),
        serde_json::json!({"a": 0}),
        serde_json::json!({"a": "1"}),
        serde_json::json!({"a": 1, "b": 2}),
        serde_json::json!([]),
    ] {
        assert!(fails(wrong.clone()), "{wrong}");
    }
}

pub fn resolve<'a>(value: &'a Value, document: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => value,
    }
}

/// The part of JSON schema that the document uses.
pub fn fits(value: &Value, schema: &Value, document: &Value, place: &str) {
    let schema = resolve(schema, document);
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{place}");
    }
    if let Some(values) = schema.get("enum") {
        assert!(values.as_array().unwrap().contains(value), "{place}: {value}");
    }
    if let Some(kinds) = schema.get("type") {
        let kinds: Vec<&str> = match kinds {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            kind => vec![kind.as_str().unwrap()],
        };
        let is = |kind: &&str| match *kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{place}: unknown type {other}"),
        };
        assert!(kinds.iter().any(is), "{place}: {value} is not {kinds:?}");
    }
    if let (Some(number), Some(least)) = (value.as_f64(), schema.get("minimum")) {
        assert!(number >= least.as_f64().unwrap(), "{place}: {value}");
    }
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    if let Some(object) = value.as_object() {
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            assert!(object.contains_key(name.as_str().unwrap()), "{place}: no {name}");
        }
        for (name, value) in object {
            match properties.get(name) {
                Some(schema) => fits(value, schema, document, &format!("{place}.{name}")),
                None => assert!(
                    schema.get("additionalProperties") != Some(&false.into()),
                    "{place}.{name} is not described"
                ),
            }
        }
    }
    if let (Some(array), Some(items)) = (value.as_array(), schema.get("items")) {
        for (at, value) in array.iter().enumerate() {
            fits(value, items, document, &format!("{place}[{at}]"));
        }
    }
}
