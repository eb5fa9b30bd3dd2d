//! Compiles the wire's messages without a protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/fleet.proto");
    let files = protox::compile(["proto/fleet.proto"], ["proto"])?;
    // What holds an API key, or what is in another's object, gets a Debug form that doesn't show it, by hand.
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug([".parallax.fleet.v1.KeyAnswer", ".parallax.fleet.v1.CopyAnswer"])
        .compile_fds(files)?;
    Ok(())
}
