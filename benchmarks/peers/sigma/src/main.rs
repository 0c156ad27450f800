//! Judge events by Sigma rules with an engine from crates.io and say what it took.
//!
//! `sigma-peers ENGINE RULES EVENTS ROUNDS VERDICTS`: RULES is a folder of one rule a file; EVENTS a file of flat JSON
//! objects, a line each, that carry their log source as `_product`, `_category` and `_service`. VERDICTS gets a line for
//! each match: number of the event, tab, id of the rule. One JSON object with processor seconds is printed; of several
//! rounds the median counts. One thread. ENGINE is one of
//!
//! - `rsigma`: as it routes by itself: product and service (what its schemas imply), categories by its Sysmon pipeline;
//! - `rsigma-tagged`: the best case, as events carry their category too, which somebody else found out for it;
//! - `rsigma-bloom`, `rsigma-index`: that, with one of its prefilters;
//! - `sigma-rust`: rules chosen by log source here, since it doesn't.

use std::collections::HashMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rsigma_eval::event::JsonEvent;
use rsigma_eval::{resolve_builtin_pipeline, Engine, LogSourceExtractor};
use serde_json::{json, Value};

const PRODUCT: &str = "_product";
const CATEGORY: &str = "_category";
const SERVICE: &str = "_service";

/// What an engine says of one event: ids of rules.
type Judge = Box<dyn Fn(&Value) -> Vec<String>>;

/// Return the processor seconds this process has taken.
fn cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Return the most memory the process has had, in MB.
fn peak_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("");
    let kilobytes: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    kilobytes / 1024.0
}

/// Return all rule files below a folder, by name.
fn rule_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(place) = folders.pop() {
        for entry in fs::read_dir(&place).expect("the folder of rules can't be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "yml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Load rsigma: rules it refuses are counted.
fn rsigma(folder: &Path, prefilter: &str) -> (Judge, usize, usize) {
    let mut engine = Engine::new();
    let category = if prefilter == "rsigma" { "_nowhere" } else { CATEGORY };
    engine.set_logsource_extractor(Some(LogSourceExtractor::new().with_field_names(PRODUCT, SERVICE, category)));
    if prefilter == "rsigma" {
        engine.add_pipeline(resolve_builtin_pipeline("sysmon").expect("it has one").expect("it can be read"));
    }
    engine.set_bloom_prefilter(prefilter == "rsigma-bloom");
    let (mut rules, mut refused) = (Vec::new(), 0);
    for file in rule_files(folder) {
        match rsigma_parser::parse_sigma_file(&file) {
            Ok(collection) => {
                refused += collection.errors.len();
                rules.extend(collection.rules);
            }
            Err(_) => refused += 1,
        }
    }
    refused += engine.add_rules(rules.iter()).len();
    engine.set_cross_rule_ac(prefilter == "rsigma-index");
    let loaded = engine.rule_count();
    let judge = move |event: &Value| {
        let event = JsonEvent::borrow(event);
        engine.evaluate(&event).into_iter().filter_map(|result| result.header.rule_id).collect()
    };
    (Box::new(judge), loaded, refused)
}

/// Tell whether a rule is about events of a log source: it may name less, never something else.
fn is_about(wanted: &Option<String>, event: &Value, field: &str) -> bool {
    wanted.as_deref().map_or(true, |name| event.get(field).and_then(Value::as_str) == Some(name))
}

/// Load sigma-rust. It routes nothing: rules are chosen by log source here, once for each kind of event.
fn sigma_rust(folder: &Path) -> (Judge, usize, usize) {
    let (mut rules, mut refused) = (Vec::new(), 0);
    for file in rule_files(folder) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match sigma_rust::rule_from_yaml(&text) {
            Ok(rule) => rules.push(rule),
            Err(_) => refused += 1,
        }
    }
    let loaded = rules.len();
    let routes = std::cell::RefCell::new(HashMap::<String, Vec<usize>>::new());
    let judge = move |event: &Value| {
        let kind = format!("{:?}", (event.get(PRODUCT), event.get(CATEGORY), event.get(SERVICE)));
        let mut routes = routes.borrow_mut();
        let chosen = routes.entry(kind).or_insert_with(|| {
            let fits = |rule: &sigma_rust::Rule| {
                is_about(&rule.logsource.product, event, PRODUCT)
                    && is_about(&rule.logsource.category, event, CATEGORY)
                    && is_about(&rule.logsource.service, event, SERVICE)
            };
            (0..rules.len()).filter(|number| fits(&rules[*number])).collect()
        });
        let event = match sigma_rust::Event::try_from(event.clone()) {
            Ok(event) => event,
            Err(_) => return Vec::new(),
        };
        let matching = chosen.iter().filter(|number| rules[**number].is_match(&event));
        matching.map(|number| rules[*number].id.clone().unwrap_or_default()).collect()
    };
    (Box::new(judge), loaded, refused)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(|one, other| one.total_cmp(other));
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, engine, folder, events, rounds, verdicts] = &arguments[..] else {
        eprintln!("usage: sigma-peers ENGINE RULES EVENTS ROUNDS VERDICTS");
        std::process::exit(2);
    };
    let started = cpu();
    let folder = Path::new(folder);
    let (judge, loaded, refused) = if engine == "sigma-rust" { sigma_rust(folder) } else { rsigma(folder, engine) };
    let loading = cpu() - started;
    let text = fs::read_to_string(events).expect("the events can't be read");
    let lines: Vec<&str> = text.lines().collect();
    let (mut parsing, mut judging, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.parse::<usize>().expect("rounds is a number").max(1) {
        let began = cpu();
        let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("an event is no JSON")).collect();
        let parsed = cpu();
        found = values.iter().map(&judge).collect::<Vec<_>>();
        judging.push(cpu() - parsed);
        parsing.push(parsed - began);
    }
    let mut out = BufWriter::new(fs::File::create(verdicts).expect("the verdicts can't be written"));
    for (number, ids) in found.iter().enumerate() {
        for id in ids {
            writeln!(out, "{number}\t{id}").expect("the verdicts can't be written");
        }
    }
    println!(
        "{}",
        json!({"rules": loaded, "refused": refused, "events": lines.len(), "loading": loading,
               "parsing": median(parsing), "judging": median(judging), "peak_mb": peak_mb()})
    );
}
