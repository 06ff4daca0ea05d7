//! The description is that of the handlers: every path and status, and the fields that are read and written.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Serving, best};
use serde_json::{Value, json};

/// The schema behind a reference.
fn resolve<'a>(description: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => description.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// Every field of `value` is described, and every field that must be there is.
fn check(description: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(description, schema);
    if let Some(any) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        let fits = |schema: &&Value| {
            let kind = &resolve(description, schema)["type"];
            (kind == "null") == value.is_null()
        };
        if let Some(schema) = any.iter().find(fits) {
            check(description, schema, value, at);
        }
        return;
    }
    if let Some(all) = schema["allOf"].as_array() {
        let fields = |schema: &Value| resolve(description, schema)["properties"].as_object().unwrap().clone();
        let merged: serde_json::Map<String, Value> = all.iter().flat_map(fields).collect();
        return check(description, &json!({ "type": "object", "properties": merged }), value, at);
    }
    match value {
        Value::Object(fields) => {
            let known = match (schema["properties"].as_object(), schema.get("additionalProperties")) {
                (Some(known), _) => known,
                (None, Some(each)) => {
                    return fields
                        .iter()
                        .for_each(|(name, value)| check(description, each, value, &format!("{at}.{name}")));
                }
                _ => panic!("{at}: {value} is not described as an object: {schema}"),
            };
            for (name, value) in fields {
                let schema = known.get(name).unwrap_or_else(|| panic!("{at}.{name} is not described"));
                check(description, schema, value, &format!("{at}.{name}"));
            }
            let required = schema["required"].as_array().into_iter().flatten();
            for name in required.filter_map(Value::as_str) {
                assert!(fields.contains_key(name), "{at}.{name} is described as always there: {value}");
            }
        }
        Value::Array(values) => values.iter().for_each(|value| check(description, &schema["items"], value, at)),
        _ => {}
    }
}

/// The schema of a JSON answer.
fn answer<'a>(description: &'a Value, path: &str, method: &str, status: u16, kind: &str) -> &'a Value {
    let schema = &description["paths"][path][method]["responses"][status.to_string()]["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path} does not describe {status} as {kind}");
    schema
}

#[test]
fn answers_are_as_described() {
    let serving = Serving::start();
    let description: Value = serving.get("/openapi.json").json().unwrap();
    let json = "application/json";
    let mut completion = best("Once upon a time. There", 4);
    completion["logprobs"] = json!(2);
    completion["trace"] = json!(true);
    let chat = json!({
        "messages": [{ "role": "user", "content": "Once" }], "max_tokens": 4, "logprobs": true, "top_logprobs": 1, "trace": true,
    });
    let texts = [("/v1/completions", completion), ("/v1/chat/completions", chat)];
    for (path, mut body) in texts {
        check(&description, answer(&description, path, "post", 200, json), &serving.answer(path, &body), path);
        body["stream"] = json!(true);
        body["stream_options"] = json!({ "include_usage": true });
        for event in serving.stream(path, &body) {
            check(&description, answer(&description, path, "post", 200, "text/event-stream"), &event, path);
        }
        // The fields that are asked with are described too.
        let request = &description["paths"][path]["post"]["requestBody"]["content"][json]["schema"];
        check(&description, request, &body, path);
    }
    let tokenize = json!({ "prompt": "Once.", "return_token_strs": true });
    let told = serving.answer("/tokenize", &tokenize);
    check(&description, answer(&description, "/tokenize", "post", 200, json), &told, "/tokenize");
    let detokenize = json!({ "tokens": told["tokens"] });
    let told = serving.answer("/detokenize", &detokenize);
    assert_eq!(told["prompt"], "Once.");
    check(&description, answer(&description, "/detokenize", "post", 200, json), &told, "/detokenize");
    for (path, of) in [("/v1/models", "/v1/models"), ("/v1/models/tiny", "/v1/models/{model}"), ("/health", "/health")]
    {
        check(&description, answer(&description, of, "get", 200, json), &serving.get(path).json().unwrap(), path);
    }
}

#[test]
fn every_path_is_there_with_its_methods_and_errors() {
    let serving = Serving::start();
    let description: Value = serving.get("/openapi.json").json().unwrap();
    assert_eq!(description["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    let paths = description["paths"].as_object().unwrap();
    let names: Vec<&str> = paths.keys().map(String::as_str).collect();
    for path in
        ["/v1/completions", "/v1/chat/completions", "/v1/models", "/health", "/tokenize", "/detokenize", "/metrics"]
    {
        assert!(names.contains(&path), "{path} is not among {names:?}");
    }
    for (path, methods) in paths {
        let real = path.replace("{model}", "tiny");
        let (get, post) = (serving.get(&real), serving.post(&real, &json!({ "tokens": 7 })));
        let methods = methods.as_object().unwrap();
        assert_eq!(get.status().as_u16() != 405, methods.contains_key("get"), "GET {path}");
        assert_eq!(post.status().as_u16() != 405, methods.contains_key("post"), "POST {path}");
        if methods.contains_key("post") {
            let status = post.status().as_u16();
            let error = post.json::<Value>().unwrap();
            check(&description, answer(&description, path, "post", status, "application/json"), &error, path);
        }
    }
}
