//! Who makes security keys, and vouches for them (packed attestation, WebAuthn section 8.2).

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SigningKey as _,
};

/// A root, and the certificate of one batch below it.
pub(crate) struct Maker {
    /// The root, PEM.
    pub(crate) root: String,
    batch: Vec<u8>,
    key: KeyPair,
}

impl Maker {
    pub(crate) fn new(name: &str) -> Self {
        let pair = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let (above, key) = (pair(), pair());
        let mut root = CertificateParams::default();
        root.distinguished_name = DistinguishedName::new();
        root.distinguished_name.push(DnType::CommonName, name);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let mut batch = CertificateParams::default();
        batch.distinguished_name = DistinguishedName::new();
        // Section 8.2.1.
        for (kind, value) in [
            (DnType::CountryName, "NO"),
            (DnType::OrganizationName, name),
            (DnType::OrganizationalUnitName, "Authenticator Attestation"),
            (DnType::CommonName, "Batch"),
        ] {
            batch.distinguished_name.push(kind, value);
        }
        batch.is_ca = IsCa::ExplicitNoCa;
        let pem = root.self_signed(&above).unwrap().pem();
        let issuer = Issuer::new(root, above);
        Self { root: pem, batch: batch.signed_by(&key, &issuer).unwrap().der().to_vec(), key }
    }

    /// The statement in CBOR: `{ "alg": -7, "sig": …, "x5c": [ … ] }`.
    pub(crate) fn vouches(&self, signed: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(signed).unwrap();
        let mut statement = b"\xa3\x63alg\x26\x63sig\x58".to_vec();
        statement.push(u8::try_from(signature.len()).unwrap());
        statement.extend(signature);
        statement.extend(b"\x63x5c\x81\x59");
        statement.extend(u16::try_from(self.batch.len()).unwrap().to_be_bytes());
        statement.extend(&self.batch);
        statement
    }
}
