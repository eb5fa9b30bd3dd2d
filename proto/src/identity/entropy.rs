//! Randomness for secrets and serial numbers, from the operating system.

use super::IdentityError;

/// `N` unpredictable bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    crate::tls::provider().secure_random.fill(&mut bytes).map_err(|_| IdentityError::Entropy)?;
    Ok(bytes)
}
