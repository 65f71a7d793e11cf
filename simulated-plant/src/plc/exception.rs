//! Why a controller does not do what it is asked.

/// Why a request is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exception {
    IllegalFunction = 1,
    IllegalDataAddress = 2,
    IllegalDataValue = 3,
    DeviceFailure = 4,
    /// No such unit behind this address.
    TargetFailedToRespond = 11,
}

impl Exception {
    /// As it is answered to `function`.
    pub(super) fn answer(self, function: u8) -> Vec<u8> {
        vec![function | 0x80, self as u8]
    }
}
