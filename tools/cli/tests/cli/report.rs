//! The page about a store, as a browser shows it, and pictures of coverage.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::browser::Browser;
use crate::machine::skipped;
use crate::support::{Barn, COPIES, Ran};

/// Names that a page could make something else of.
const HOSTILE: [&str; 4] = ["x/<script>pwned=1</script>", "x/\"'><img src=q onerror=pwned=1>", "x/\u{202e}TDSU-CTB", "x/&lt;b&gt;"];
/// The same as a page shows them.
const SHOWN: [&str; 4] = ["x/<script>pwned=1</script>", "x/\"'><img src=q onerror=pwned=1>", "x/\\u{202e}TDSU-CTB", "x/&lt;b&gt;"];

/// Fails in the third hour, after more lines than a page shows, and has no data in the fifth.
fn failing() -> String {
    let log = r#"for i in $(seq 1 50); do echo "line $i" >&2; done; printf '</pre><script>pwned=1</script>\033[31m \342\200\256live\n' >&2"#;
    format!("case $3 in *T02*) {log}; exit 7;; *T04*) exit 3;; esac; {COPIES}")
}

fn hostile_barn() -> Barn {
    let barn = Barn::new(&failing());
    for instrument in HOSTILE.into_iter().chain(["test/ONE"]) {
        let interval = ["--start", "2024-01-01", "--end", "2024-01-01T08:00:00Z"];
        barn.run(&[&["load", "md", "--on-failure", "skip", "--instrument", instrument], &interval[..]].concat()).ok();
    }
    barn
}

/// Lets the tool write its page, and gives its place.
fn page_of(barn: &Barn, more: &[&str]) -> PathBuf {
    let ran = barn.run(&[&["report", "--html", "report.html"], more].concat()).ok();
    let place = barn.path().canonicalize().unwrap().join("report.html");
    assert!(ran.stdout.starts_with(place.to_str().unwrap()), "{ran:#?}");
    place
}

#[test]
fn a_browser_shows_all_of_it_and_asks_for_nothing_else() {
    let Some(mut browser) = Browser::of_this_machine() else {
        return skipped("a_browser_shows_all_of_it_and_asks_for_nothing_else", "there is no Chromium");
    };
    let barn = hostile_barn();
    let page = page_of(&barn, &[]);
    browser.open(&page);

    assert_eq!(browser.requested().len(), 1, "the page alone is asked for: {:?}", browser.requested());
    assert_eq!(browser.complaints(), Vec::<serde_json::Value>::new());
    assert_eq!(browser.value("typeof pwned"), "undefined");
    assert_eq!(browser.value("document.querySelectorAll('script, img, link, iframe, object, form').length"), 0);
    assert_eq!(browser.value("document.title"), format!("tickbarn report: {}", barn.at("barn").canonicalize().unwrap().display()));

    // Coverage: every name as a text, and what each row shows.
    let mut names = browser.texts(".strips tbody th");
    names.sort_unstable();
    let mut expected: Vec<&str> = SHOWN.into_iter().chain(["test/ONE"]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(browser.texts(".strips tbody .much"), vec!["87.5%"; 5]);
    let told = browser.texts(".strip title");
    for told_once in
        ["2024-01-01 02:00 to 03:00: failed", "2024-01-01 04:00 to 05:00: empty, says its generator", "2024-01-01 00:00 to 02:00: all there"]
    {
        assert_eq!(told.iter().filter(|told| *told == told_once).count(), 5, "{told_once}: {told:?}");
    }
    let width = |class: &str| {
        format!(
            "document.querySelector('.strip .{class}').getBoundingClientRect().width / document.querySelector('.strip').getBoundingClientRect().width"
        )
    };
    let failed = browser.value(&width("f")).as_f64().unwrap();
    assert!((failed - 0.125).abs() < 0.001, "an hour of eight is an eighth of the row: {failed}");

    // Sizes.
    assert_eq!(browser.texts("#sizes tbody tr th, #sizes tbody tr td")[..3], ["md", "5", "35"]);

    // Failures, with the end of their logs.
    let failures = browser.texts("#failures li");
    assert_eq!(failures.len(), 5);
    let address = failed_address(&barn);
    let shown = failures.iter().find(|failure| failure.contains("test/ONE")).unwrap();
    for part in ["exit", "md", "2024-01-01 02:00 to 03:00", "exit status 7", "line 50", "</pre><script>pwned=1</script>\\u{1b}[31m \\u{202e}live"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains(&format!("tickbarn logs {}", &address[..12])) && !shown.contains("line 5\n"), "{shown}");
    assert_eq!(browser.value("document.querySelector('#failures details').open"), true, "the youngest is seen at once");

    // Collecting.
    let collection = browser.texts("#collection").concat();
    assert!(collection.contains("has no [gc]") && collection.contains("tickbarn gc --superseded --dry-run"), "{collection}");
}

fn failed_address(barn: &Barn) -> String {
    let listed = barn.run(&["ls", "--failed", "--json", "-i", "test/ONE"]).ok().json();
    listed[0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn it_can_be_read_on_a_phone_in_the_dark() {
    let Some(mut browser) = Browser::of_this_machine() else {
        return skipped("it_can_be_read_on_a_phone_in_the_dark", "there is no Chromium");
    };
    let barn = hostile_barn();
    barn.run(&["load", "md", "--on-failure", "skip", "-i", &format!("x/{}", "W".repeat(128)), "--start", "2024-01-01", "--end", "2024-01-02"]).ok();
    let page = page_of(&barn, &[]);
    browser.open(&page);
    // The least contrast of any text that stands on the page's own colours.
    const CONTRAST: &str = r"(() => {
        const light = text => { const [r, g, b] = text.match(/[\d.]+/g).slice(0, 3).map(Number)
            .map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b };
        const behind = of => { for (; of; of = of.parentElement) { const colour = getComputedStyle(of).backgroundColor;
            if (!/, 0\)$/.test(colour)) return colour } return 'rgb(255, 255, 255)' };
        const texts = [...document.querySelectorAll('body *')].filter(of => !of.closest('svg') && [...of.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
        return Math.min(...texts.map(of => { const [a, b] = [light(getComputedStyle(of).color), light(behind(of))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) })) })()";
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.set_scheme(scheme);
        for width in [320, 390, 1280] {
            browser.set_width(width);
            let whole = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(whole <= width.into(), "{width} pixels are enough, not {whole}");
        }
        backgrounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
        let contrast = browser.value(CONTRAST).as_f64().unwrap();
        assert!(contrast >= 4.5, "{scheme}: a contrast of {contrast}");
        for class in ["w", "e", "f"] {
            assert_ne!(
                browser.value(&format!("getComputedStyle(document.querySelector('.strip .{class}')).fill")),
                "rgb(0, 0, 0)",
                "{class} has a colour"
            );
        }
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    browser.set_width(390);
    let strip = browser.value("document.querySelector('.strip').getBoundingClientRect().width").as_f64().unwrap();
    assert!(strip > 300.0, "a row of cells has the width of a phone: {strip}");
}

#[test]
fn by_the_rules_of_the_dataset_file() {
    let barn = Barn::new(COPIES);
    barn.load(3, &[]).ok();
    barn.edit("store = \"barn\"\n", "store = \"barn\"\n[gc]\nmax_bytes = \"1B\"\ngrace = \"0s\"\n");
    let html = fs::read_to_string(page_of(&barn, &[])).unwrap();
    assert!(html.contains("By [gc] in ") && html.contains(">tickbarn gc --dry-run<"), "{html}");
    assert!(html.contains("<th scope=\"row\"><bdi>md</bdi></th><td class=\"number\">3</td>"), "{html}");
}

#[test]
fn an_empty_store_has_a_page_too() {
    let barn = Barn::new("exit 1");
    barn.load(1, &["--on-failure", "skip"]).ok();
    let html = fs::read_to_string(page_of(&barn, &[])).unwrap();
    assert!(html.contains("One failure is recorded.") && html.contains(">0.0%<"), "{html}");
    barn.run(&["gc", "--failures", "--grace", "0s"]).ok();
    let html = fs::read_to_string(page_of(&barn, &[])).unwrap();
    assert!(html.contains("No failures are recorded.") && html.contains("The store has nothing of it as it is defined now."), "{html}");
}

#[test]
fn what_was_made_otherwise_is_told() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    barn.edit("levels = 40", "levels = 5");
    let html = fs::read_to_string(page_of(&barn, &[])).unwrap();
    assert!(html.contains("nothing of it as it is defined now") && html.contains("whatever program and configuration made it"), "{html}");
    barn.load(1, &[]).ok();
    let html = fs::read_to_string(page_of(&barn, &[])).unwrap();
    assert!(html.contains("1 entry of another program or configuration does not count here."), "{html}");
    fs::remove_file(barn.at("gen.sh")).unwrap();
    let html = fs::read_to_string(page_of(&barn, &[])).unwrap();
    assert!(html.contains("It cannot be told what of it would be found") && html.contains("100.0%"), "{html}");
    fs::remove_file(barn.at("tickbarn.toml")).unwrap();
    let html = fs::read_to_string(page_of(&barn, &["--store", "barn"])).unwrap();
    assert!(html.contains("There is no tickbarn.toml") && html.contains("100.0%"), "{html}");
}

#[test]
fn a_page_is_whole_or_not_there_and_takes_the_place_of_nothing_but_a_file() {
    let barn = Barn::new(COPIES);
    barn.load(2, &[]).ok();
    barn.write("report.html", b"an older page");
    fs::set_permissions(barn.at("report.html"), fs::Permissions::from_mode(0o640)).unwrap();
    let before: Vec<_> = fs::read_dir(barn.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let line = barn.run(&["report", "--html", "report.html", "--json"]).ok().json().remove(0);
    assert_eq!((line["type"].as_str(), line["bytes"].as_u64()), (Some("report"), Some(fs::metadata(barn.at("report.html")).unwrap().len())));
    assert_eq!(fs::metadata(barn.at("report.html")).unwrap().permissions().mode() & 0o777, 0o640, "who may read it stays as it was");
    let after: Vec<_> = fs::read_dir(barn.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before.len(), after.len(), "nothing else is left: {after:?}");

    let printed = barn.run(&["report", "--html", "-"]).ok();
    assert!(printed.stdout.starts_with("<!DOCTYPE html>") && printed.stdout.trim_end().ends_with("</html>"), "{printed:#?}");

    symlink("report.html", barn.at("link.html")).unwrap();
    fs::create_dir(barn.at("directory.html")).unwrap();
    for (file, said) in [
        ("link.html", "a link"),
        ("directory.html", "a directory"),
        ("/dev/null", "no plain file"),
        ("nowhere/report.html", "cannot be used as a directory"),
        ("barn/STORE", "lies in the store"),
        ("barn/new.html", "lies in the store"),
        ("..", "a directory"),
    ] {
        barn.run(&["report", "--html", file]).failed(2, &[said]);
        barn.run(&["coverage", "md", "--svg", file]).failed(2, &[said]);
    }
    barn.run(&["verify"]).ok();
    barn.run(&["report"]).failed(2, &["--html"]);
}

#[test]
fn a_map_alone_is_a_picture() {
    let barn = hostile_barn();
    let ran = barn.run(&["coverage", "md", "--svg", "map.svg", "--png", "map.png"]).ok();
    assert_eq!(ran.stdout.lines().count(), 2, "{ran:#?}");
    let svg = fs::read_to_string(barn.at("map.svg")).unwrap();
    for shown in ["Coverage of md", "x/&#60;script&#62;pwned=1&#60;/script&#62;", "x/\\u{202e}TDSU-CTB", "87.5%", "2024-01-01 02:00 to 03:00: failed"]
    {
        assert!(svg.contains(shown), "{shown}: {svg}");
    }
    let png = fs::read(barn.at("map.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    let width: u32 = svg.split_once("width=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap();
    assert_eq!(side(16), 2 * width, "two dots to a pixel");
    barn.run(&["coverage", "md", "--svg", "-", "--png", "-"]).failed(2, &["both"]);
    let printed: Ran = barn.run(&["coverage", "md", "--svg", "-", "--png", "map.png"]).ok();
    assert!(printed.stdout.starts_with("<svg ") && printed.stdout.trim_end().ends_with("</svg>"), "{printed:#?}");

    let Some(mut browser) = Browser::of_this_machine() else { return skipped("a_map_alone_is_a_picture", "there is no Chromium") };
    browser.open(&barn.at("map.svg"));
    assert_eq!(browser.complaints(), Vec::<serde_json::Value>::new(), "it is well-formed");
    assert_eq!(browser.requested().len(), 1);
    assert_eq!(browser.value("document.documentElement.localName"), "svg");
    assert_eq!(browser.value("document.querySelectorAll('script').length"), 0);
    assert!(SHOWN.into_iter().all(|name| browser.texts("text").iter().any(|text| text == name)));
    // No text reaches out of the picture, and none into another.
    const OUTSIDE: &str = "(() => { const boxes = [...document.querySelectorAll('text')].map(text => text.getBBox()), picture = document.documentElement.viewBox.baseVal;
        const meet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y + 2 < b.y + b.height - 2 && b.y + 2 < a.y + a.height - 2;
        return boxes.filter((a, nth) => a.x < 0 || a.x + a.width > picture.width || a.y < 0 || a.y + a.height > picture.height
            || boxes.some((b, other) => other < nth && meet(a, b))).length })()";
    assert_eq!(browser.value(OUTSIDE), 0);
}
