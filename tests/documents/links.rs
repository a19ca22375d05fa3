//! Links between the pages lead somewhere, and whoever begins with the README comes to every page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::blocks::{pages, root};

/// A link of a page: to which file, and to which heading.
struct Link {
    file: PathBuf,
    heading: Option<String>,
}

#[test]
fn every_link_leads_somewhere() {
    let mut all = pages();
    all.push("CHANGELOG.md".to_owned());
    for page in all {
        for link in links(&page) {
            let file = root().join(&link.file);
            assert!(file.exists(), "{page} links {}, which is not there", link.file.display());
            if let Some(heading) = link.heading {
                let text = fs::read_to_string(&file).unwrap();
                let known = headings(&text).any(|known| known == heading);
                assert!(known, "{page} links #{heading} of {}, which is not there", link.file.display());
            }
        }
    }
}

#[test]
fn the_readme_leads_to_every_page() {
    let linked: BTreeSet<PathBuf> = links("README.md").into_iter().map(|link| link.file).collect();
    for page in pages() {
        let known = page == "README.md" || linked.contains(Path::new(&page));
        assert!(known, "the README does not link {page}");
    }
}

/// What `](...)` names, but for other sites.
fn links(page: &str) -> Vec<Link> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let here = Path::new(page).parent().unwrap();
    let link = |target: &str| {
        let (file, heading) = target.split_once('#').map_or((target, None), |(f, h)| (f, Some(h.to_owned())));
        let file = if file.is_empty() { PathBuf::from(page) } else { plain(&here.join(file)) };
        Link { file, heading }
    };
    targets.filter(|target| !target.contains("://")).map(link).collect()
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// The headings of a page, as links name them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    titles.map(|title| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    })
}
