//! Figures for Prometheus: each says what it is, and alert rules and dashboard ask for none that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Duration;

use sallyport_tests::{eventually, finish, repository};

use crate::outbound::Gate;

/// What a running broker gives: the names of its figures, and the type of each family.
struct Figures {
    names: BTreeSet<String>,
    types: BTreeMap<String, String>,
    text: String,
}

impl Figures {
    #[track_caller]
    fn read(text: &str) -> Figures {
        let body = text.split_once("\r\n\r\n").expect("an answer of HTTP").1;
        let (mut names, mut types, mut helped) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        for line in body.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, says) = help.split_once(' ').unwrap_or((help, ""));
                assert!(says.len() > 10, "the help of {name} says nothing: {line}");
                assert!(helped.insert(name.to_owned()), "two helps of {name}");
            } else if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, form) = typed.split_once(' ').unwrap();
                assert!(types.insert(name.to_owned(), form.to_owned()).is_none(), "two types of {name}");
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line}"));
                names.insert(name.to_owned());
            }
        }
        let family = |name: &String| {
            let parts = ["_sum", "_count", "_bucket"].iter().find_map(|part| name.strip_suffix(part));
            parts.filter(|family| types.contains_key(*family)).unwrap_or(name).to_owned()
        };
        for name in &names {
            let family = family(name);
            assert!(helped.contains(&family) && types.contains_key(&family), "{name} has no HELP, or no TYPE");
            assert!(family.starts_with("sallyport_"), "{family} is nobody's");
        }
        for (name, form) in &types {
            assert_eq!(name.ends_with("_total"), form == "counter", "{name} is a {form}");
        }
        Figures { names, types, text: body.to_owned() }
    }
}

/// The figures that a file asks for.
fn asked_for(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("deploy").join(file)).unwrap();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sallyport_")).map(str::to_owned).collect()
}

#[test]
fn every_figure_says_what_it_is_and_every_one_that_is_asked_for_is_there() {
    let gate = Gate::new(None);
    let mut broker = gate.serve();
    // What is looked at from time to time has been looked at.
    let figures = eventually("the broker has looked at everything", Duration::from_secs(20), || {
        let text = gate.ask("/metrics");
        let there = [
            "sallyport_recording_disk_level{",
            "sallyport_emergency_snapshot_age_seconds{",
            "sallyport_database_up{broker=\"b1\"} 1",
        ];
        there.iter().all(|figure| text.contains(figure)).then(|| Figures::read(&text))
    });
    assert!(figures.types.len() > 30, "{:?}", figures.types);
    assert!(figures.text.contains("sallyport_ready{broker=\"b1\"} 1\n"), "{}", figures.text);
    for kind in ["scan", "storm", "guessing", "factor-alone", "two-places", "unusual-hour"] {
        assert!(figures.text.contains(&format!("kind=\"detection.{kind}\"}} 0\n")), "{kind}: {}", figures.text);
    }
    for file in ["prometheus/alerts.yml", "grafana/dashboard.json"] {
        let asked = asked_for(file);
        assert!(asked.len() > 15, "{file} asks for {asked:?}");
        let missing: Vec<_> = asked.difference(&figures.names).collect();
        assert!(missing.is_empty(), "{file} asks for what no broker gives: {missing:?}");
    }
    assert!(broker.terminate().success());
}

#[test]
fn the_alert_rules_hold_and_fire_when_they_should() {
    let folder = repository().join("deploy/prometheus");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let mut promtool = Command::new("promtool");
        promtool.args(arguments).current_dir(&folder);
        let answer = finish(promtool, b"");
        assert!(answer.ok().contains("SUCCESS"), "{answer}");
    }
    // A rule that nobody tried is one that may never fire.
    let names = |file: &str, key: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let rules =
            text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").or(line.trim().strip_prefix(key)));
        rules.map(str::to_owned).collect()
    };
    let (rules, tried) = (names("alerts.yml", "- alert: "), names("alerts.test.yml", "alertname: "));
    let untried: Vec<_> = rules.difference(&tried).collect();
    assert!(untried.is_empty(), "{untried:?}");
    let page = fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    let listed = page.lines().filter_map(|line| line.strip_prefix("| Sallyport")?.split(' ').next());
    assert_eq!(listed.map(|name| format!("Sallyport{name}")).collect::<BTreeSet<_>>(), rules, "docs/metrics.md");
    let dashboard = fs::read_to_string(repository().join("deploy/grafana/dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}
