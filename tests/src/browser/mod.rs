//! A browser: Debian's chromium, driven by WebDriver from where a person sits.
//!
//! ```text
//!   test ──► chromedriver ──► chromium, both in the office ──► the portal at the gate
//! ```
//!
//! It knows the portal by name ([`Browser::at`]), and takes that portal's own certificate and no other. Security keys and
//! passkeys are WebDriver's virtual ones ([`Authenticator`]).

mod authenticator;
mod barriers;
mod certificate;
mod driver;
mod pictures;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use authenticator::{Authenticator, Credential, Token};
pub use driver::Refused;
pub use pictures::{Scheme, WIDTHS};

use crate::{Network, Place};
use driver::Driver;

/// How long a page may take to show what is waited for.
const TO_SHOW: Duration = Duration::from_secs(20);

/// Between two looks at a page.
const BETWEEN_TRIES: Duration = Duration::from_millis(25);

/// What a reader sees of the whole page; nothing, between two of them.
const SHOWN: &str = "return document.documentElement ? document.documentElement.innerText : ''";

/// The key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Where a browser finds a portal, and by what it knows it.
pub struct Known<'a> {
    /// The name that people type.
    pub name: &'a str,
    /// The address that it stands for.
    pub address: &'a str,
    /// The certificate in PEM.
    pub certificate: &'a Path,
}

/// A browser with a profile of its own. Ends with its test.
pub struct Browser {
    driver: Driver,
    _profile: TempDir,
}

impl Browser {
    /// A browser in the office that knows nobody.
    #[track_caller]
    pub fn start(network: &Arc<Network>) -> Browser {
        Self::with(network, &[])
    }

    /// A browser in the office that knows one portal by its name and takes its certificate, and no other.
    #[track_caller]
    pub fn at(network: &Arc<Network>, known: &Known<'_>) -> Browser {
        let key = certificate::key_hash(known.certificate);
        let arguments = [
            format!("--host-resolver-rules=MAP {} {}", known.name, known.address),
            format!("--ignore-certificate-errors-spki-list={key}"),
        ];
        Self::with(network, &arguments)
    }

    fn with(network: &Arc<Network>, arguments: &[String]) -> Browser {
        let profile = tempfile::Builder::new().prefix("sallyport-browser-").tempdir_in("/tmp").expect("a folder");
        let driver = Driver::start(network, Place::Office, profile.path(), arguments);
        Browser { driver, _profile: profile }
    }

    /// Opens an address.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.driver.post("url", &json!({ "url": url })).expect("a page");
    }

    /// The address that it is at.
    #[track_caller]
    pub fn url(&self) -> String {
        text(&self.driver.get("url").expect("an address"))
    }

    /// The title of the page.
    #[track_caller]
    pub fn title(&self) -> String {
        text(&self.driver.get("title").expect("a title"))
    }

    /// What a reader sees of the page.
    #[track_caller]
    pub fn text(&self) -> String {
        // Between two pages there is none.
        self.script("return document.body ? document.body.innerText : ''", &[]).as_str().unwrap_or_default().to_owned()
    }

    /// What a reader sees of the first element that a selector finds; waits for it.
    #[track_caller]
    pub fn text_of(&self, selector: &str) -> String {
        text(&self.act_on(selector, |element| self.driver.get(&format!("element/{element}/text"))))
    }

    /// Whether something that a selector finds is shown now.
    #[track_caller]
    pub fn shows(&self, selector: &str) -> bool {
        self.find(selector).is_some_and(|element| self.is_displayed(&element))
    }

    /// Presses what a selector finds, as a mouse does; waits for it.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.act_on(selector, |element| self.driver.post(&format!("element/{element}/click"), &json!({})));
    }

    /// Types into what a selector finds, in the place of what was there.
    #[track_caller]
    pub fn fill(&self, selector: &str, typed: &str) {
        self.act_on(selector, |element| {
            self.driver.post(&format!("element/{element}/clear"), &json!({}))?;
            self.driver.post(&format!("element/{element}/value"), &json!({ "text": typed }))
        });
    }

    /// Chooses a line of a list by its value.
    #[track_caller]
    pub fn choose(&self, selector: &str, value: &str) {
        self.click(&format!("{selector} option[value=\"{value}\"]"));
    }

    /// Types on the keyboard, wherever the focus is. See [`keys`] for those that are no letters.
    #[track_caller]
    pub fn press(&self, typed: &str) {
        let strokes = typed
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes.collect::<Vec<_>>() });
        self.driver.post("actions", &json!({ "actions": [keyboard] })).expect("keys");
    }

    /// Goes on with the tabulator until what a selector finds has the focus; panics when the page has no such stop.
    #[track_caller]
    pub fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.script("return document.activeElement.matches(arguments[0])", &[json!(selector)]) == json!(true) {
                return;
            }
            self.press(keys::TAB);
        }
        panic!("the tabulator does not come to `{selector}` on {}", self.url());
    }

    /// Runs a script in the page and gives what it returns.
    #[track_caller]
    pub fn script(&self, source: &str, arguments: &[Value]) -> Value {
        self.driver.post("execute/sync", &json!({ "script": source, "args": arguments })).expect("a script")
    }

    /// Runs a script in the page that calls back with its answer (its last argument).
    #[track_caller]
    pub fn script_that_calls_back(&self, source: &str, arguments: &[Value]) -> Value {
        self.driver.post("execute/async", &json!({ "script": source, "args": arguments })).expect("a script")
    }

    /// Whether pages may run scripts from now on.
    #[track_caller]
    pub fn run_scripts(&self, may: bool) {
        let wanted = json!({ "value": !may });
        self.driver.devtools("Emulation.setScriptExecutionDisabled", &wanted).expect("a browser that obeys");
    }

    /// What a screen reader has of the page, in its order: role and name of each, and `disabled` behind what cannot be used.
    #[track_caller]
    pub fn heard(&self) -> Vec<String> {
        let tree = self.driver.devtools("Accessibility.getFullAXTree", &json!({})).expect("what is heard");
        let nodes = tree["nodes"].as_array().expect("a list").iter().filter(|node| node["ignored"] == json!(false));
        let spoken = nodes.map(|node| {
            let (role, name) = (text(&node["role"]["value"]), text(&node["name"]["value"]));
            let mut properties = node["properties"].as_array().into_iter().flatten();
            let disabled = properties.any(|each| each["name"] == "disabled" && each["value"]["value"] == json!(true));
            format!("{role} {name}{}", if disabled { " disabled" } else { "" })
        });
        spoken.filter(|each| !each.ends_with(' ')).collect()
    }

    /// What the page's console and the browser itself complained of since the last time: broken policies with it.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.driver.post("se/log", &json!({ "type": "browser" })).expect("the console");
        let entries = entries.as_array().expect("a list");
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        severe.map(|entry| text(&entry["message"])).collect()
    }

    /// The cookies of the page, as WebDriver has them.
    #[track_caller]
    pub fn cookies(&self) -> Vec<Value> {
        self.driver.get("cookie").expect("cookies").as_array().expect("a list").clone()
    }

    /// Puts a cookie into the browser, as somebody would who stole it.
    ///
    /// # Errors
    ///
    /// What the browser refuses to keep.
    pub fn add_cookie(&self, cookie: &Value) -> Result<(), Refused> {
        self.driver.post("cookie", &json!({ "cookie": cookie })).map(drop)
    }

    /// Lets pages do what a person would be asked for: `clipboard-read`.
    #[track_caller]
    pub fn allow(&self, permission: &str) {
        let wanted = json!({ "descriptor": { "name": permission }, "state": "granted" });
        self.driver.post("permissions", &wanted).expect("a permission");
    }

    /// Waits until something that a selector finds is shown; panics with what is shown instead.
    #[track_caller]
    pub fn wait_for(&self, selector: &str) {
        self.shown(selector);
    }

    /// Waits until the page's address ends so.
    #[track_caller]
    pub fn wait_for_url(&self, end: &str) {
        self.until(&format!("an address that ends with `{end}`"), || self.url().ends_with(end).then_some(()));
    }

    /// Waits until a reader sees this text.
    #[track_caller]
    pub fn wait_for_text(&self, wanted: &str) {
        self.until(&format!("the text `{wanted}`"), || self.text().contains(wanted).then_some(()));
    }

    /// A new security key or passkey in this browser's hands.
    #[track_caller]
    pub fn authenticator(&self, token: Token) -> Authenticator<'_> {
        Authenticator::add(&self.driver, token)
    }

    #[track_caller]
    fn shown(&self, selector: &str) -> String {
        self.until(&format!("`{selector}`"), || self.find(selector).filter(|element| self.is_displayed(element)))
    }

    /// Does something with what a selector finds; again, as long as the page is another in between, and no longer than a page may take.
    #[track_caller]
    fn act_on(&self, selector: &str, act: impl Fn(&str) -> Result<Value, Refused>) -> Value {
        let mut last = None;
        let began = Instant::now();
        while began.elapsed() < TO_SHOW {
            if let Some(element) = self.find(selector).filter(|element| self.is_displayed(element)) {
                match act(&element) {
                    Ok(answer) => return answer,
                    Err(refused) if refused.is_of_another_page() => last = Some(refused),
                    Err(refused) => panic!("`{selector}`: {refused}"),
                }
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
        let why = last.map_or_else(|| "it is not shown".to_owned(), |refused| refused.to_string());
        panic!("not within {TO_SHOW:?}: `{selector}`: {why}\n{}", self.stands());
    }

    /// Where it is and what it shows, for whoever reads why a test failed.
    fn stands(&self) -> String {
        let shown = self.driver.post("execute/sync", &json!({ "script": SHOWN, "args": [] })).unwrap_or_default();
        let url = self.driver.get("url").unwrap_or_default();
        format!("at {}:\n{}", text(&url), text(&shown))
    }

    fn find(&self, selector: &str) -> Option<String> {
        let asked = json!({ "using": "css selector", "value": selector });
        self.driver.post("element", &asked).ok().map(|element| text(&element[ELEMENT]))
    }

    /// An element that is gone is shown no longer.
    fn is_displayed(&self, element: &str) -> bool {
        self.driver.get(&format!("element/{element}/displayed")).is_ok_and(|shown| shown == json!(true))
    }

    #[track_caller]
    fn until<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            if began.elapsed() > TO_SHOW {
                panic!("not within {TO_SHOW:?}: {what}\n{}", self.stands());
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }
}

/// Keys that are no letters, as WebDriver writes them.
pub mod keys {
    /// The tabulator.
    pub const TAB: &str = "\u{e004}";
    /// Return.
    pub const ENTER: &str = "\u{e007}";
    /// The space bar.
    pub const SPACE: &str = " ";
    /// Escape.
    pub const ESCAPE: &str = "\u{e00c}";
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
