//! An image in the OCI's layout, as one tar archive.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use super::layer::Layer;

/// An image of one layer under one or more names.
pub(super) struct Image {
    names: Vec<String>,
    layer: Layer,
    config: Value,
}

impl Image {
    /// With the command that it runs; an empty user is root.
    pub fn new(names: Vec<String>, layer: Layer, entrypoint: &[&str], user: &str) -> Self {
        let config = json!({
            "Entrypoint": entrypoint,
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "User": user,
            "WorkingDir": "/",
        });
        Self { names, layer, config }
    }

    /// The archive's bytes.
    pub fn archive(self) -> anyhow::Result<Vec<u8>> {
        let layer = self.layer.finish()?;
        let config = bytes(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        }))?;
        let manifest = bytes(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        }))?;
        let named = self.names.iter().map(|name| {
            let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
            entry["platform"] = json!({ "architecture": architecture(), "os": "linux" });
            // By this annotation, which is containerd's own, an import knows the whole name.
            entry["annotations"] = json!({ "io.containerd.image.name": name });
            entry
        });
        let index = bytes(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": named.collect::<Vec<_>>(),
        }))?;
        let mut archive = Builder::new(Vec::new());
        put(&mut archive, "oci-layout", &bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?)?;
        put(&mut archive, "index.json", &index)?;
        for blob in [&layer, &config, &manifest] {
            put(&mut archive, &format!("blobs/sha256/{}", hex(blob)), blob)?;
        }
        archive.into_inner().context("finishing an image")
    }
}

/// As the OCI, after Go, calls what this tool was built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(content))
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(value: &Value) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(value).context("writing an image's JSON")
}

fn put(archive: &mut Builder<Vec<u8>>, path: &str, content: &[u8]) -> anyhow::Result<()> {
    let mut header = Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(u64::try_from(content.len())?);
    archive.append_data(&mut header, path, content).with_context(|| format!("adding {path} to an image"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().to_string_lossy().into_owned(), content);
        }
        files
    }

    fn image(names: &[&str]) -> Vec<u8> {
        let mut layer = Layer::default();
        layer.link("bin/sh", "busybox");
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Image::new(names, layer, &["/bin/sh"], "1:1").archive().unwrap()
    }

    #[test]
    fn every_blob_lies_under_its_digest_and_every_name_is_in_the_index() {
        let files = files(&image(&["a.test/x:1", "a.test/y:1"]));
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let names: Vec<&str> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|manifest| manifest["annotations"]["io.containerd.image.name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["a.test/x:1", "a.test/y:1"]);
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest: Value = serde_json::from_slice(&files[&format!("blobs/{digest}")]).unwrap();
        let layer = manifest["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
        assert!(files.contains_key(&format!("blobs/{layer}")));
    }

    #[test]
    fn the_same_content_gives_the_same_image() {
        assert_eq!(image(&["a.test/x:1"]), image(&["a.test/x:1"]));
    }
}
