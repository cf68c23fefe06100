//! Reading server names: whole and in pieces, over any records, hostile bytes, and a fixed corpus of broken ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not in test functions")]

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sluicegate_core::l4::hello::{Hello, MAX_BYTES, read};
use std::sync::Arc;

/// What a real client sends.
fn from_rustls(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0], &vector16(name)[..]].concat()))
}

/// A handshake message with these extensions; `None`: not even their length.
fn message(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(32);
    body.extend([9; 32]);
    body.extend(vector16(&[0x0a, 0x0a, 0x13, 0x01, 0x13, 0x02]));
    body.extend([1, 0]);
    if let Some(extensions) = extensions {
        body.extend(vector16(extensions));
    }
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, length[1], length[2], length[3]], &body[..]].concat()
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector16(part)].concat()).collect()
}

fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    records(&message(Some(&extensions.concat())), 16384)
}

fn named(name: &str) -> Hello {
    Hello::Whole(Some(name.to_owned()))
}

/// GREASE, an unknown extension and an outer hello of ECH around the name.
fn with_everything(name: &str) -> Vec<u8> {
    let ech = extension(0xfe0d, &[&[0, 0, 1, 0, 1, 42], &vector16(&[5; 32])[..], &vector16(&[6; 208])].concat());
    message(Some(&[extension(0x1a1a, &[]), ech, server_name(name.as_bytes()), extension(0xfafa, &[0])].concat()))
}

#[test]
fn what_real_clients_send_is_read() {
    for name in ["www.example.com", "a.b", "xn--bcher-kva.example", "under_score.example.com"] {
        assert_eq!(read(&from_rustls(name)), named(name));
    }
    assert_eq!(read(&from_rustls("127.0.0.1")), Hello::Whole(None));
}

#[test]
fn names_are_lower_case_and_without_trailing_dot() {
    for (sent, expected) in
        [("WWW.Example.COM", "www.example.com"), ("a.example.", "a.example"), ("127.0.0.1", "127.0.0.1")]
    {
        assert_eq!(read(&hello(&[server_name(sent.as_bytes())])), named(expected));
    }
}

#[test]
fn every_prefix_is_incomplete_and_what_follows_does_not_count() {
    for whole in [from_rustls("www.example.com"), records(&with_everything("www.example.com"), 16384)] {
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Hello::Incomplete, "{end} of {}", whole.len());
        }
        assert_eq!(read(&whole), named("www.example.com"));
        for rest in [&[0][..], &[20, 3, 3, 0, 1, 1], &[22, 3, 3], &[255; 3000]] {
            assert_eq!(read(&[&whole, rest].concat()), named("www.example.com"));
        }
    }
}

#[test]
fn a_message_may_come_in_records_of_any_size() {
    let message = with_everything("fragmented.example.com");
    for size in 1..=message.len() {
        let whole = records(&message, size);
        assert!(whole.len() <= MAX_BYTES);
        assert_eq!(read(&whole), named("fragmented.example.com"), "records of {size}");
        for end in (0..whole.len()).step_by(7) {
            assert_eq!(read(&whole[..end]), Hello::Incomplete, "{end} of records of {size}");
        }
    }
    // Two records, cut anywhere.
    for cut in 1..message.len() {
        let whole = [records(&message[..cut], 16384), records(&message[cut..], 16384)].concat();
        assert_eq!(read(&whole), named("fragmented.example.com"), "cut at {cut}");
    }
}

#[test]
fn without_a_name() {
    assert_eq!(read(&records(&message(None), 16384)), Hello::Whole(None));
    assert_eq!(read(&hello(&[])), Hello::Whole(None));
    assert_eq!(read(&hello(&[extension(43, &[2, 3, 4])])), Hello::Whole(None));
    // Only names of another type.
    assert_eq!(read(&hello(&[extension(0, &vector16(&[1, 0, 1, b'x']))])), Hello::Whole(None));
}

#[test]
fn broken_hellos_are_told_from_unfinished_ones() {
    let name = server_name(b"a.example");
    let mut long_record = vec![22, 3, 1, 0xff, 0xff];
    long_record.extend([1; 100]);
    let other_message = records(&[2, 0, 0, 1, 0], 16384);
    let huge = records(&[1, 1, 0, 0], 16384);
    let mut behind = message(Some(&[]));
    behind.push(0);
    behind[3] += 1;
    let mut short_extensions = message(Some(&name));
    let length = short_extensions.len();
    short_extensions.truncate(length - 3);
    short_extensions[3] -= 3;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"GET / HTTP/1.1\r\n".to_vec(), "no TLS"),
        (vec![0x80, 0x2e, 1, 3, 1], "no TLS"),
        (vec![21, 3, 1, 0, 2, 1, 0], "no TLS"),
        (vec![22, 2], "no version"),
        (vec![22, 3, 1, 0, 0], "empty"),
        (long_record, "too long"),
        (other_message, "no ClientHello"),
        (huge, "too long"),
        (records(&behind, 16384), "bytes behind"),
        (records(&short_extensions, 16384), "cut off"),
        (hello(&[name.clone(), name]), "two server_name"),
        (hello(&[extension(0, &[])]), "broken"),
        (hello(&[extension(0, &[0, 0])]), "broken"),
        (hello(&[extension(0, &[0, 5, 0, 0, 9, b'a', b'b'])]), "broken"),
        (hello(&[extension(0, &vector16(&[0, 0, 1, b'a', 0, 0, 1, b'b']))]), "two host names"),
        (hello(&[server_name(b"")]), "no host name"),
        (hello(&[server_name(b".")]), "no host name"),
        (hello(&[server_name(b".example")]), "no host name"),
        (hello(&[server_name(b"..")]), "no host name"),
        (hello(&[server_name(b"a..")]), "no host name"),
        (hello(&[server_name(b"a.example..")]), "no host name"),
        (hello(&[server_name(b"a\0.example")]), "no host name"),
        (hello(&[server_name("b\u{fc}cher.example".as_bytes())]), "no host name"),
        (hello(&[server_name(b"*.example.com")]), "no host name"),
        (hello(&[server_name(&[b'a'; 255])]), "no host name"),
    ];
    for (bytes, expected) in cases {
        match read(&bytes) {
            Hello::Malformed(reason) => assert!(reason.contains(expected), "{reason}, not {expected}: {bytes:?}"),
            other => unreachable!("{other:?} of {bytes:?}"),
        }
    }
}

/// A small generator of numbers: the corpus is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// Good hellos with bytes changed, cut out, doubled or put in, and plain noise: no panic, and a verdict that holds.
#[test]
fn a_corpus_of_broken_hellos_has_a_verdict_each() {
    let seeds = [
        from_rustls("www.example.com"),
        records(&with_everything("www.example.com"), 16384),
        records(&with_everything("www.example.com"), 11),
        hello(&[server_name(b"a.example")]),
        records(&message(None), 3),
    ];
    let mut numbers = Numbers(0x5eed_cafe);
    let mut verdicts = [0_usize; 3];
    for round in 0..60_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match numbers.below(6) {
                0 if !bytes.is_empty() => bytes[at] = u8::try_from(numbers.next() & 0xff).unwrap(),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, [0, 1, 22, 255][numbers.below(4)]),
                4 if !bytes.is_empty() => {
                    bytes.remove(at);
                }
                _ => {
                    let copy: Vec<u8> = bytes[at..].iter().take(16).copied().collect();
                    bytes.splice(at..at, copy);
                }
            }
        }
        let verdict = read(&bytes);
        match &verdict {
            Hello::Incomplete => verdicts[0] += 1,
            // More bytes never change a verdict.
            Hello::Whole(_) | Hello::Malformed(_) => {
                verdicts[if matches!(verdict, Hello::Whole(_)) { 1 } else { 2 }] += 1;
                let more: Vec<u8> = (0..20).map(|_| u8::try_from(numbers.next() & 0xff).unwrap()).collect();
                assert_eq!(read(&[&bytes[..], &more].concat()), verdict, "{bytes:?}");
            }
        }
        let noise: Vec<u8> = (0..numbers.below(64)).map(|_| u8::try_from(numbers.next() & 0xff).unwrap()).collect();
        read(&noise);
        read(&[&[22, 3, 1, 0, 60, 1, 0, 0, 50], &noise[..]].concat());
    }
    assert!(verdicts.iter().all(|count| *count > 2_000), "{verdicts:?}");
}
