//! One layer: a file system as a tar archive, the same bytes for the same content.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use tar::{Builder, EntryType, Header};

use super::libraries;

/// A layer that is being filled. Paths are relative to the image's root; their order puts directories before what is
/// in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory,
    Executable(Vec<u8>),
    Link(String),
}

impl Layer {
    /// A copy of an executable file.
    pub fn file(&mut self, path: &str, from: &Path) -> anyhow::Result<()> {
        let content = std::fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.add(path, Entry::Executable(content));
        Ok(())
    }

    /// A copy of a program, with the libraries that it is linked with where it looks for them.
    pub fn program(&mut self, path: &str, from: &Path) -> anyhow::Result<()> {
        self.file(path, from)?;
        for library in libraries::of(from)? {
            let inside = library.to_string_lossy();
            self.file(inside.trim_start_matches('/'), &library)?;
        }
        Ok(())
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.add(path, Entry::Link(target.to_owned()));
    }

    /// The archive's bytes.
    pub fn finish(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            append(&mut archive, path, entry).with_context(|| format!("adding {path} to an image"))?;
        }
        archive.into_inner().context("finishing a layer")
    }

    fn add(&mut self, path: &str, entry: Entry) {
        for (end, _) in path.match_indices('/') {
            self.entries.insert(format!("{}/", &path[..end]), Entry::Directory);
        }
        self.entries.insert(path.to_owned(), entry);
    }
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, entry: &Entry) -> anyhow::Result<()> {
    match entry {
        Entry::Directory => {
            archive.append_data(&mut header(EntryType::Directory, 0o755, 0), path, std::io::empty())?;
        }
        Entry::Executable(content) => {
            let size = u64::try_from(content.len())?;
            let mut header = header(EntryType::Regular, 0o755, size);
            archive.append_data(&mut header, path, content.as_slice())?;
        }
        Entry::Link(target) => {
            archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
        }
    }
    Ok(())
}

/// Everything belongs to root and to the same moment.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn directories_come_once_and_before_what_is_in_them() {
        let mut layer = Layer::default();
        layer.link("usr/bin/a", "b");
        layer.link("usr/bin/c", "b");
        let bytes = layer.finish().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(paths, ["usr/", "usr/bin/", "usr/bin/a", "usr/bin/c"]);
    }

    #[test]
    fn a_program_brings_its_libraries() {
        let mut layer = Layer::default();
        layer.program("fleet-test", &std::env::current_exe().unwrap()).unwrap();
        let bytes = layer.finish().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let any = archive
            .entries()
            .unwrap()
            .any(|entry| entry.unwrap().path().unwrap().to_string_lossy().contains("libc.so"));
        assert!(any, "no C library in the layer");
    }
}
