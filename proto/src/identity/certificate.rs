//! What a hub's or member's certificate says. Reading is not trusting: the chain is verified in `tls`.

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::{IdentityError, SpiffeId, hex};

/// The facts of a leaf certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Whom it is about.
    pub id: SpiffeId,
    /// The serial number in lower-case hexadecimal, without leading zero bytes.
    pub serial: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl Leaf {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is malformed, is a CA's, or has anything but exactly one URI as its alternative names,
    /// or when that URI is no id of a fleet.
    pub fn from_der(der: &[u8]) -> Result<Self, IdentityError> {
        let certificate = parse(der)?;
        if certificate.is_ca() {
            return Err(IdentityError::IsCa);
        }
        let names = match certificate.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.as_slice(),
            Ok(None) => &[],
            Err(error) => return Err(IdentityError::Certificate(error.to_string())),
        };
        let id = match names {
            [GeneralName::URI(uri)] => uri.parse()?,
            [_] => return Err(IdentityError::Names("something else".to_owned())),
            more => return Err(IdentityError::Names(format!("{} things", more.len()))),
        };
        Ok(Self {
            id,
            serial: serial_hex(certificate.raw_serial()),
            not_before: instant(certificate.validity().not_before)?,
            not_after: instant(certificate.validity().not_after)?,
        })
    }
}

/// A certificate in DER with nothing after it.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, IdentityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(IdentityError::Certificate("something follows its end".to_owned())),
        Err(error) => Err(IdentityError::Certificate(error.to_string())),
    }
}

/// One spelling for a serial number: DER puts a zero byte before a high first bit.
pub(super) fn serial_hex(serial: &[u8]) -> String {
    let start = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
    hex(&serial[start..])
}

/// When, as a timestamp.
pub(super) fn instant(time: x509_parser::time::ASN1Time) -> Result<Timestamp, IdentityError> {
    Timestamp::from_second(time.timestamp()).map_err(|error| IdentityError::Certificate(error.to_string()))
}
