//! The header of the PROXY protocol, versions 1 and 2, by which a proxy says whose connection it passes on
//! (haproxy.org/download/1.8/doc/proxy-protocol.txt).
//!
//! Bytes in, a verdict out: no I/O, no state. Wrong bytes are told as soon as they are there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of a header. Of version 2 that leaves 4,000 for what proxies add to it (section 2.2.7), which is passed over.
pub const MAX_BYTES: usize = 4096;

/// The longest line of version 1, its end included (section 2.1).
const MAX_LINE: usize = 107;

const LINE: &[u8] = b"PROXY ";

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// Who is at the ends of the connection that is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub client: SocketAddr,
    /// What it connected to.
    pub local: SocketAddr,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The beginning of one, as far as can be said.
    Incomplete,
    /// Something else.
    Absent,
    /// One that is none; says why.
    Malformed(&'static str),
    /// Its length. `None`: the connection is the proxy's own, or one of which it cannot say whose it is.
    Whole(usize, Option<Ends>),
}

/// Look at everything that has come so far.
pub fn read(bytes: &[u8]) -> Header {
    let begins = |wanted: &[u8]| bytes.iter().zip(wanted).all(|(one, two)| one == two);
    if begins(LINE) {
        return if bytes.len() < LINE.len() { Header::Incomplete } else { line(bytes) };
    }
    if begins(SIGNATURE) {
        return if bytes.len() < FIXED { Header::Incomplete } else { binary(bytes) };
    }
    Header::Absent
}

/// Version 1.
fn line(bytes: &[u8]) -> Header {
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        return if bytes.len() < MAX_LINE { Header::Incomplete } else { Header::Malformed("a line that is too long") };
    };
    let Some(text) = bytes[LINE.len()..end].strip_suffix(b"\r").and_then(|text| std::str::from_utf8(text).ok()) else {
        return Header::Malformed("a line that does not end as it must");
    };
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Header::Whole(end + 1, None);
    }
    match ends_of(text) {
        Some(ends) => Header::Whole(end + 1, Some(ends)),
        None => Header::Malformed("addresses that cannot be read"),
    }
}

fn ends_of(text: &str) -> Option<Ends> {
    let mut parts = text.split(' ');
    let is_v4 = match parts.next()? {
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut address = || parts.next()?.parse::<IpAddr>().ok().filter(|address| address.is_ipv4() == is_v4);
    let (client, local) = (address()?, address()?);
    let mut port = || port_of(parts.next()?);
    let (client_port, local_port) = (port()?, port()?);
    parts.next().is_none().then(|| Ends {
        client: SocketAddr::new(client.to_canonical(), client_port),
        local: SocketAddr::new(local.to_canonical(), local_port),
    })
}

/// Decimal, without zeros in front, which some take for octal (section 2.1).
fn port_of(digits: &str) -> Option<u16> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if is_plain { digits.parse().ok() } else { None }
}

/// Version 2.
fn binary(bytes: &[u8]) -> Header {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    let (command, family) = (bytes[12], bytes[13]);
    let length = FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if command != LOCAL && command != PROXY {
        return Header::Malformed("a version or command that is not known");
    }
    if length > MAX_BYTES {
        return Header::Malformed("more than 4096 bytes");
    }
    let Some(rest) = bytes.get(FIXED..length) else {
        return Header::Incomplete;
    };
    if command == LOCAL {
        return Header::Whole(length, None);
    }
    let ends =
        match family {
            0x11 => addresses::<4>(rest)
                .map(|(client, local)| (Ipv4Addr::from(client).into(), Ipv4Addr::from(local).into())),
            0x21 => addresses::<16>(rest)
                .map(|(client, local)| (Ipv6Addr::from(client).into(), Ipv6Addr::from(local).into())),
            // Nothing is said, or of what is no connection of TCP: datagrams and sockets of one machine.
            0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Header::Whole(length, None),
            _ => return Header::Malformed("a family of addresses that is not known"),
        };
    let size = if family == 0x11 { 4 } else { 16 };
    let port = |at: usize| rest.get(at..at + 2).map(|port| u16::from_be_bytes([port[0], port[1]]));
    let ends = ends.zip(port(2 * size).zip(port(2 * size + 2)));
    match ends {
        None => Header::Malformed("addresses that are cut off"),
        Some(((client, local), (client_port, local_port))) => {
            let plain = |address: IpAddr, port| SocketAddr::new(address.to_canonical(), port);
            Header::Whole(length, Some(Ends { client: plain(client, client_port), local: plain(local, local_port) }))
        }
    }
}

fn addresses<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
    let (client, rest) = bytes.split_first_chunk::<N>()?;
    Some((*client, *rest.first_chunk::<N>()?))
}

#[cfg(test)]
mod tests {
    use super::{Ends, Header, MAX_BYTES, read};

    fn ends(client: &str, local: &str) -> Ends {
        Ends { client: client.parse().unwrap(), local: local.parse().unwrap() }
    }

    /// A header of version 2 with a length that is right.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
    }

    #[test]
    fn lines() {
        for (line, found) in [
            ("TCP4 192.0.2.1 10.0.0.1 4711 80", Some(ends("192.0.2.1:4711", "10.0.0.1:80"))),
            ("TCP6 2001:db8::1 ::1 1 65535", Some(ends("[2001:db8::1]:1", "[::1]:65535"))),
            ("TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.1 1 2", Some(ends("192.0.2.1:1", "10.0.0.1:2"))),
            ("TCP4 192.0.2.1 10.0.0.1 0 100", Some(ends("192.0.2.1:0", "10.0.0.1:100"))),
            ("UNKNOWN", None),
            ("UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", None),
        ] {
            let whole = format!("PROXY {line}\r\n");
            assert_eq!(read(format!("{whole}GET / HTTP/1.1\r\n").as_bytes()), Header::Whole(whole.len(), found));
            for cut in 0..whole.len() {
                assert_eq!(read(&whole.as_bytes()[..cut]), Header::Incomplete, "{cut}");
            }
        }
        for line in [
            "",
            "TCP4",
            "TCP4 192.0.2.1 10.0.0.1 4711",
            "TCP4 192.0.2.1 10.0.0.1 4711 80 ",
            "TCP4  192.0.2.1 10.0.0.1 4711 80",
            "TCP4 192.0.2.1 10.0.0.1 +4711 80",
            "TCP4 192.0.2.1 10.0.0.1 65536 80",
            "TCP4 192.0.2.1 10.0.0.1  80",
            "TCP4 192.0.2.1 10.0.0.1 04711 80",
            "TCP4 192.0.2.1 10.0.0.1 4711 080",
            "TCP4 192.0.2.1 10.0.0.1 4711 00",
            "TCP4 192.0.2.1 10.0.0.1 4711 00080",
            "TCP4 192.0.2.01 10.0.0.1 4711 80",
            "TCP6 ::1 ::00001 4711 80",
            "TCP4 ::1 ::1 1 2",
            "TCP6 192.0.2.1 10.0.0.1 1 2",
            "UDP4 192.0.2.1 10.0.0.1 1 2",
            "UNKNOWNS",
            "tcp4 192.0.2.1 10.0.0.1 1 2",
            "/ HTTP/1.1",
        ] {
            assert!(matches!(read(format!("PROXY {line}\r\n").as_bytes()), Header::Malformed(_)), "{line}");
        }
        assert!(matches!(read(b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n"), Header::Malformed(_)));
        let long = format!("PROXY UNKNOWN {}\r\n", "a".repeat(92));
        assert_eq!(long.len(), 108);
        assert!(matches!(read(long.as_bytes()), Header::Malformed(_)));
        assert!(matches!(read(&[b"PROXY ", &[b'a'; 101][..]].concat()), Header::Malformed(_)));
    }

    #[test]
    fn binaries() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        let mut mapped = v6;
        mapped[10..16].copy_from_slice(&[255, 255, 192, 0, 2, 1]);
        let added = [&v4[..], &[4, 0, 3, 1, 2, 3]].concat();
        for (command, family, rest, found) in [
            (0x21, 0x11, &v4[..], Some(ends("192.0.2.1:4711", "10.0.0.1:80"))),
            (0x21, 0x11, &added, Some(ends("192.0.2.1:4711", "10.0.0.1:80"))),
            (0x21, 0x21, &v6, Some(ends("[::1]:3", "[::2]:4"))),
            (0x21, 0x21, &mapped, Some(ends("192.0.2.1:3", "[::2]:4"))),
            (0x20, 0x11, &v4, None),
            (0x20, 0xff, &[], None),
            (0x21, 0x00, &[1, 2, 3], None),
            (0x21, 0x12, &v4, None),
            (0x21, 0x31, &[0; 216], None),
        ] {
            let whole = binary(command, family, rest);
            assert_eq!(read(&[&whole[..], b"GET"].concat()), Header::Whole(whole.len(), found), "{command} {family}");
            for cut in 0..whole.len() {
                assert_eq!(read(&whole[..cut]), Header::Incomplete, "{cut}");
            }
        }
        for (command, family, rest) in [
            (0x21, 0x11, &v4[..11]),
            (0x21, 0x11, &[]),
            (0x21, 0x21, &v4),
            (0x22, 0x11, &v4),
            (0x11, 0x11, &v4),
            (0x21, 0x41, &v4),
            (0x21, 0x11, &[0; MAX_BYTES]),
        ] {
            let header = binary(command, family, rest);
            assert!(matches!(read(&header), Header::Malformed(_)), "{command} {family} {}", rest.len());
        }
    }

    #[test]
    fn what_is_none() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n", b"\x16\x03\x01", b"\r\n\r\nGET", b"PROXX", b"\0"]
        {
            assert_eq!(read(bytes), Header::Absent, "{}", bytes.escape_ascii());
        }
        assert_eq!(read(b""), Header::Incomplete);
    }
}
