//! Writes the CustomResourceDefinitions to a directory, by default `crds/yaml` of this workspace.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let directory = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/yaml")), PathBuf::from);
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("crdgen: can't write to {}: {error}\n", directory.display()),
            );
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(directory)?;
    for definition in parallax_crds::definitions::all()? {
        std::fs::write(directory.join(&definition.file), definition.to_yaml()?)?;
    }
    Ok(())
}
