//! The pictures that README shows: pages of the portal, as a test has taken them.

use std::fs;
use std::sync::Arc;

use sallyport_tests::{Browser, Network, Scheme, repository};

use super::samples::pages;
use super::site::Site;

/// Page, and where its picture lies.
const SHOWN: [(&str, &str); 2] = [("confirm", "docs/pictures/confirm.png"), ("factors", "docs/pictures/factors.png")];

/// Narrow enough that a reader of README sees it as large as it is.
const WIDTH: u32 = 860;

/// A page is no photograph.
const LARGEST: usize = 150_000;

/// `UPDATE_EXPECT=1` takes them anew: after a page looks different.
#[test]
fn readme_shows_pages_as_a_test_has_taken_them() {
    if std::env::var("UPDATE_EXPECT").is_ok_and(|value| value == "1") {
        take();
    }
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for (page, path) in SHOWN {
        assert!(readme.contains(&format!("]({path})")), "README does not show {path}");
        let bytes = fs::read(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(bytes.len() <= LARGEST, "{path} has {} bytes", bytes.len());
        let picture = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        assert_eq!(picture.info().width, WIDTH, "{page}");
    }
}

fn take() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    let browser = Browser::start(&network);
    for (page, path) in SHOWN {
        let html = pages().into_iter().find(|(name, _)| *name == page).expect("a page of that name").1;
        // What counts the minutes would count them from the time of the samples: a picture is the same whenever it is taken.
        site.page(&format!("/{page}"), &html.replace("/static/page.js", "/static/no-page.js"));
        browser.open(&format!("{}/{page}", site.origin));
        let path = repository().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, browser.picture(page, WIDTH, Scheme::Light)).unwrap();
    }
}
