//! The files in deploy/logstash: their syntax, and that they name only fields that the application sends. No Logstash,
//! Elasticsearch or Kibana runs here, so loading them remains to be tested there.

use std::collections::BTreeSet;
use std::process::Command;

use sample_app::config::SETTINGS;
use serde_json::Value;

use crate::support::server::tool;

fn read(name: &str) -> String {
    let path = format!("{}/deploy/logstash/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dashboard() -> Vec<Value> {
    read("dashboard.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// JSON inside a JSON string, as Kibana exports it.
fn inner(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// Whether it parses by Logstash's grammar.
fn is_pipeline(text: &str) -> bool {
    let script = "import sys; from logstash_pipeline_parser import Pipeline; Pipeline(sys.argv[1]).parse()";
    let parsed = Command::new(tool("python/bin/python")).args(["-c", script, text]).output().unwrap();
    parsed.status.success()
}

#[test]
fn the_pipeline_is_one() {
    let text = read("logstash.conf");
    assert!(is_pipeline(&text));
    assert!(!is_pipeline(&text.replacen('}', "", 1)), "a mistake is noticed");
    let port = SETTINGS.iter().find(|setting| setting.name == "LOGSTASH_URL").unwrap().about;
    assert!(text.contains("port => 5044") && port.contains("5044"));
    assert!(text.contains("codec => json_lines"));
    let pattern = &serde_json::from_str::<Value>(&read("index-template.json")).unwrap()["index_patterns"][0];
    assert_eq!(*pattern, "sample-app-*");
    let indices = text.matches("index => ").count();
    assert!(indices > 0 && indices == text.matches("index => \"sample-app-%{+YYYY.MM.dd}\"").count());
}

#[test]
fn the_dashboard_is_complete() {
    let objects = dashboard();
    let name = |object: &Value| (object["type"].to_string(), object["id"].to_string());
    let there: BTreeSet<_> = objects.iter().map(name).collect();
    assert_eq!(there.len(), objects.len());
    for reference in objects.iter().flat_map(|object| object["references"].as_array().unwrap()) {
        assert!(there.contains(&name(reference)), "{reference} is not in the file");
    }
    let board = objects.iter().find(|object| object["type"] == "dashboard").unwrap();
    let panels = inner(&board["attributes"]["panelsJSON"]);
    assert_eq!(panels.as_array().unwrap().len(), objects.len() - 2, "all but itself and the index pattern");
    let pattern = objects.iter().find(|object| object["type"] == "index-pattern").unwrap();
    assert_eq!(pattern["attributes"]["title"], "sample-app-*");
}

/// Every field named in the files occurs in one of these lines and has the type in the template.
pub fn check_fields(lines: &[Value]) {
    let kinds = template_fields();
    let mut named = dashboard_fields();
    assert!(named.len() > 10, "the dashboard was understood: {named:?}");
    named.extend(pipeline_fields());
    named.extend(kinds.iter().map(|(name, _)| name.clone()));
    let pointer = |name: &str| format!("/{}", name.replace('.', "/"));
    for name in &named {
        assert!(lines.iter().any(|line| line.pointer(&pointer(name)).is_some()), "nothing sends {name}");
    }
    for (name, kind) in &kinds {
        for value in lines.iter().filter_map(|line| line.pointer(&pointer(name))) {
            let fits = match kind.as_str() {
                "long" | "integer" => value.is_i64(),
                "short" => value.as_i64().is_some_and(|number| i16::try_from(number).is_ok()),
                "double" => value.is_f64(),
                "ip" => value.as_str().unwrap().parse::<std::net::IpAddr>().is_ok(),
                "date" | "keyword" | "text" => value.is_string(),
                other => panic!("{name}: {other}"),
            };
            assert!(fits, "{name}, {kind}: {value}");
        }
    }
    // What people look for has its place in the template, not only a guess.
    for line in lines.iter().filter(|line| ["request", "audit"].iter().any(|of| line["logger_name"] == *of)) {
        for name in line.as_object().unwrap().keys().filter(|name| *name != "cut") {
            assert!(kinds.iter().any(|(known, _)| known == name), "{name} is not in the template");
        }
    }
}

fn template_fields() -> Vec<(String, String)> {
    let template: Value = serde_json::from_str(&read("index-template.json")).unwrap();
    let mappings = &template["template"]["mappings"];
    let mut fields = Vec::new();
    let mut open = vec![(String::new(), mappings)];
    while let Some((prefix, of)) = open.pop() {
        for (name, field) in of["properties"].as_object().unwrap() {
            let name = format!("{prefix}{name}");
            match field["type"].as_str() {
                Some(kind) => fields.push((name, kind.to_owned())),
                None => open.push((format!("{name}."), field)),
            }
        }
    }
    fields
}

fn dashboard_fields() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for object in dashboard() {
        let about = &object["attributes"];
        let mut add = |name: &Value| {
            fields.insert(name.as_str().unwrap().to_owned());
        };
        match object["type"].as_str().unwrap() {
            "index-pattern" => {
                add(&about["timeFieldName"]);
                continue;
            }
            "visualization" => {
                let state = inner(&about["visState"]);
                let aggregations = state["aggs"].as_array().unwrap();
                aggregations.iter().filter_map(|of| of["params"].get("field")).for_each(&mut add);
            }
            "search" => {
                about["columns"].as_array().unwrap().iter().for_each(&mut add);
                about["sort"].as_array().unwrap().iter().for_each(|of| add(&of[0]));
            }
            _ => {}
        }
        let source = inner(&about["kibanaSavedObjectMeta"]["searchSourceJSON"]);
        let query = source["query"]["query"].as_str().unwrap().split(' ').collect::<Vec<_>>();
        let compared = query.windows(2).filter(|pair| [":", ">="].contains(&pair[1]));
        fields.extend(compared.map(|pair| pair[0].to_owned()));
    }
    fields
}

/// `[line_id]`
fn pipeline_fields() -> BTreeSet<String> {
    let text = read("logstash.conf");
    let fields: BTreeSet<_> = text
        .split(['{', ' '])
        .filter_map(|word| word.strip_prefix('[')?.split(']').next())
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .map(str::to_owned)
        .collect();
    assert!(!fields.is_empty());
    fields
}
