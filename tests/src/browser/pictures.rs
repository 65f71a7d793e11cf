//! Pictures of pages: at the widths of a desk and of a phone, in light and in dark.

use std::fs;
use std::path::PathBuf;

use data_encoding::BASE64;
use serde_json::json;

use super::Browser;
use crate::repository;

/// The widths of a desk and of a phone.
pub const WIDTHS: [u32; 2] = [1280, 390];

/// What a person's system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Scheme {
    /// Both of them.
    pub const BOTH: [Scheme; 2] = [Scheme::Light, Scheme::Dark];

    fn word(self) -> &'static str {
        match self {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        }
    }
}

impl Browser {
    /// Shows the page as a window of this width has it, for somebody who prefers this scheme.
    #[track_caller]
    pub fn appear(&self, width: u32, scheme: Scheme) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.driver.devtools("Emulation.setDeviceMetricsOverride", &size).expect("a size");
        let prefers = |name: &str, value: &str| json!({ "name": name, "value": value });
        let scheme = prefers("prefers-color-scheme", scheme.word());
        // A picture is taken of what stands still.
        let media = json!({ "features": [scheme, prefers("prefers-reduced-motion", "reduce")] });
        self.driver.devtools("Emulation.setEmulatedMedia", &media).expect("a scheme");
    }

    /// Keeps the page as it is now in four pictures, in the folder that `SALLYPORT_SCREENSHOTS` names or in `target/screenshots`, each
    /// checked: nothing reaches out of its width.
    #[track_caller]
    pub fn keep_pictures(&self, name: &str) {
        self.appear_in_all(name, |_| {});
    }

    /// The same, and looks in each of the four for what keeps people out.
    #[track_caller]
    pub fn keep_pictures_and_judge(&self, name: &str) {
        self.appear_in_all(name, |appearance| assert_eq!(self.barriers(), Vec::<String>::new(), "{appearance}"));
    }

    #[track_caller]
    fn appear_in_all(&self, name: &str, judge: impl Fn(&str)) {
        let folder = pictures_folder();
        fs::create_dir_all(&folder).expect("a folder for pictures");
        for width in WIDTHS {
            for scheme in Scheme::BOTH {
                let appearance = format!("{name}-{width}-{}", scheme.word());
                let picture = self.picture(name, width, scheme);
                fs::write(folder.join(format!("{appearance}.png")), picture).expect("a picture");
                judge(&appearance);
            }
        }
        self.driver.devtools("Emulation.clearDeviceMetricsOverride", &json!({})).expect("its own size");
    }

    /// The whole page as PNG, as a window of this width shows it. Nothing reaches out of that.
    #[track_caller]
    pub fn picture(&self, name: &str, width: u32, scheme: Scheme) -> Vec<u8> {
        self.appear(width, scheme);
        let size = self.script("const e = document.documentElement; return [e.scrollWidth, e.scrollHeight]", &[]);
        assert_eq!(size[0], json!(width), "`{name}` is wider than its window");
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": size[1], "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.driver.devtools("Page.captureScreenshot", &wanted).expect("a picture");
        BASE64.decode(answer["data"].as_str().expect("a picture").as_bytes()).expect("base64")
    }
}

fn pictures_folder() -> PathBuf {
    std::env::var_os("SALLYPORT_SCREENSHOTS").map_or_else(|| repository().join("target/screenshots"), PathBuf::from)
}
