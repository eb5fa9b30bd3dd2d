//! Generated files that are kept in the repository.

use std::path::Path;

/// Fails unless `folder`, `shown` in messages, holds exactly these files with these contents.
pub fn assert_current(folder: &Path, shown: &str, generated: impl IntoIterator<Item = (String, String)>) {
    let mut files = Vec::new();
    for (file, text) in generated {
        let stored = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(stored == text, "{shown}/{file} is stale: cargo run -p parallax-crds --bin crdgen");
        files.push(file);
    }
    let mut present: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    present.sort();
    files.sort();
    assert_eq!(present, files, "{shown} holds what crdgen doesn't write");
}
