//! Writes what is made of the types into this repository: the CustomResourceDefinitions in `crds/yaml`, and the pages
//! on their fields in `docs/reference/fields`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    match write(&crate_folder.join("yaml"), &crate_folder.join("../docs/reference/fields")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("crdgen: can't write what is generated: {error}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

fn write(yaml: &Path, pages: &Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(yaml)?;
    for definition in parallax_crds::definitions::all()? {
        std::fs::write(yaml.join(&definition.file), definition.to_yaml()?)?;
    }
    std::fs::create_dir_all(pages)?;
    for page in parallax_crds::reference::pages()? {
        std::fs::write(pages.join(&page.file), page.text)?;
    }
    Ok(())
}
