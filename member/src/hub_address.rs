//! The address of the hub as it is given on the command line.

use std::net::Ipv6Addr;

/// `HOST:PORT`, if it is one.
///
/// # Errors
/// What is wrong with it, and how it should look.
pub fn parse(text: &str) -> Result<String, String> {
    let wrong = |what: &str| {
        Err(format!("{what}: give HOST:PORT, such as hub.example.com:8443 or [2001:db8::1]:8443"))
    };
    if text.contains("://") {
        return wrong("it has a scheme");
    }
    if text.contains(['/', '@', '?', '#']) || text.contains(char::is_whitespace) {
        return wrong("it is more than a host and a port");
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return wrong("an IPv6 address stands in brackets, with the port after them");
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) else {
        return wrong("the port is missing");
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        _ if host.is_empty() => return wrong("the host is missing"),
        Some(inside) if inside.parse::<Ipv6Addr>().is_err() => {
            return wrong("what is in brackets is no IPv6 address");
        }
        None if host.contains([':', '[', ']']) => return wrong("the host is none"),
        _ => {}
    }
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text.to_owned()),
        _ => wrong("the port is no number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_host_and_a_port_are_taken_as_they_are() {
        for good in ["hub:8443", "hub.example.com:1", "127.0.0.1:65535", "[::1]:8443"] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_wrong_and_how_it_should_look() {
        for (bad, what) in [
            ("https://hub:8443", "scheme"),
            ("hub:8443/", "more than"),
            ("hub", "port is missing"),
            ("[::1]", "port is missing"),
            ("::1", "brackets"),
            ("::1:8443", "brackets"),
            ("fe80::1%eth0:8443", "host is none"),
            ("[hub]:8443", "no IPv6"),
            (":8443", "host is missing"),
            ("hub:", "no number"),
            ("hub:http", "no number"),
            ("hub:0", "no number"),
            ("hub:+1", "no number"),
            ("hub:65536", "no number"),
            ("", "port is missing"),
        ] {
            let said = parse(bad).err().unwrap_or_default();
            assert!(said.contains(what) && said.contains("give HOST:PORT"), "{bad}: {said}");
        }
    }
}
