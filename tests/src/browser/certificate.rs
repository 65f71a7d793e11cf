//! Which certificate a browser takes: that of one key, named by its hash.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64, BASE64_MIME_PERMISSIVE};

/// The hash of the public key in a certificate, as the browser's option names it.
pub(super) fn key_hash(path: &Path) -> String {
    let pem = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let inside = pem.split("-----BEGIN CERTIFICATE-----").nth(1).and_then(|rest| rest.split("-----END").next());
    let der = BASE64_MIME_PERMISSIVE.decode(inside.expect("a certificate in PEM").trim().as_bytes()).expect("base64");
    let key = public_key(&der).expect("a certificate in DER");
    BASE64.encode(digest(&SHA256, key).as_ref())
}

/// RFC 5280, section 4.1: the seventh field of what is signed, which begins with an explicit version.
fn public_key(der: &[u8]) -> Option<&[u8]> {
    let certificate = inside(der)?;
    let mut rest = inside(certificate)?;
    for _ in 0..6 {
        rest = rest.get(whole(rest)?..)?;
    }
    rest.get(..whole(rest)?)
}

/// What stands in the first value.
fn inside(der: &[u8]) -> Option<&[u8]> {
    let (head, length) = head(der)?;
    der.get(head..head + length)
}

/// How long the first value is with its head.
fn whole(der: &[u8]) -> Option<usize> {
    head(der).map(|(head, length)| head + length)
}

fn head(der: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*der.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let bytes = der.get(2..2 + (first & 0x7f))?;
    Some((2 + bytes.len(), bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))))
}
