//! Values inside a frame: words, bits, records of files. They borrow from the frame.

/// Registers, in order, as they lie in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a>(pub(super) &'a [u8]);

impl<'a> Words<'a> {
    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len() / 2
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The one at an index.
    #[must_use]
    pub fn at(self, index: usize) -> Option<u16> {
        match self.0.get(2 * index..2 * index + 2) {
            Some(&[high, low]) => Some(u16::from_be_bytes([high, low])),
            _ => None,
        }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = u16> + 'a {
        self.0.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
    }
}

/// Coils or discrete inputs, the lowest bit of the first byte first.
#[derive(Debug, Clone, Copy)]
pub struct Bits<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) quantity: u16,
}

impl<'a> Bits<'a> {
    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.quantity as usize
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.quantity == 0
    }

    /// The one at an index.
    #[must_use]
    pub fn at(self, index: usize) -> Option<bool> {
        let byte = self.bytes.get(index / 8)?;
        (index < self.len()).then_some(byte >> (index % 8) & 1 == 1)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = bool> + 'a {
        (0..self.len()).map_while(move |index| self.at(index))
    }

    /// Appends them; bits beyond the quantity are cleared, whatever the frame had there.
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
        if let (spare @ 1.., Some(last)) = (self.quantity % 8, out.last_mut())
            && !self.bytes.is_empty()
        {
            *last &= (1 << spare) - 1;
        }
    }
}

impl PartialEq for Bits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.quantity == other.quantity && self.iter().eq(other.iter())
    }
}

impl Eq for Bits<'_> {}

/// Values of one or more points, as numbers: a coil is 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values<'a> {
    /// One value.
    One(u16),
    /// Registers.
    Words(Words<'a>),
    /// Coils or discrete inputs.
    Bits(Bits<'a>),
}

impl<'a> Values<'a> {
    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Values::One(_) => 1,
            Values::Words(words) => words.len(),
            Values::Bits(bits) => bits.len(),
        }
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The one at an index.
    #[must_use]
    pub fn at(self, index: usize) -> Option<u16> {
        match self {
            Values::One(value) => (index == 0).then_some(value),
            Values::Words(words) => words.at(index),
            Values::Bits(bits) => bits.at(index).map(u16::from),
        }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = u16> + 'a {
        (0..self.len()).map_while(move |index| self.at(index))
    }
}

/// A part of a file, as function 20 asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRead {
    /// Must be 6.
    pub reference_type: u8,
    /// The file.
    pub file: u16,
    /// Where in the file, in registers.
    pub record: u16,
    /// How many registers.
    pub length: u16,
}

/// The groups of a request to read files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileReads<'a>(pub(super) &'a [u8]);

impl<'a> FileReads<'a> {
    pub(super) const GROUP: usize = 7;

    /// All groups.
    pub fn iter(self) -> impl Iterator<Item = FileRead> + 'a {
        self.0.chunks_exact(Self::GROUP).map(|g| FileRead {
            reference_type: g[0],
            file: u16::from_be_bytes([g[1], g[2]]),
            record: u16::from_be_bytes([g[3], g[4]]),
            length: u16::from_be_bytes([g[5], g[6]]),
        })
    }
}

/// A part of a file and what is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileWrite<'a> {
    /// Where.
    pub place: FileRead,
    /// What.
    pub words: Words<'a>,
}

/// The groups of a request to write files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileWrites<'a>(pub(super) &'a [u8]);

impl<'a> FileWrites<'a> {
    /// All groups, up to the first that is cut short.
    pub fn iter(self) -> impl Iterator<Item = FileWrite<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (head, tail) = rest.split_at_checked(FileReads::GROUP)?;
            let place = FileReads(head).iter().next()?;
            let (data, tail) = tail.split_at_checked(2 * usize::from(place.length))?;
            rest = tail;
            Some(FileWrite { place, words: Words(data) })
        })
    }

    /// How many bytes its whole groups take.
    pub(super) fn whole(self) -> usize {
        self.iter().map(|group| FileReads::GROUP + group.words.0.len()).sum()
    }
}

/// The groups of an answer to a request to read files: for each its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRecords<'a>(pub(super) &'a [u8]);

impl<'a> FileRecords<'a> {
    /// All groups with their reference type, up to the first that is cut short.
    pub fn iter(self) -> impl Iterator<Item = (u8, Words<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&length, tail) = rest.split_first()?;
            let (group, tail) = tail.split_at_checked(usize::from(length))?;
            let (&reference_type, data) = group.split_first()?;
            rest = tail;
            (data.len().is_multiple_of(2)).then_some((reference_type, Words(data)))
        })
    }

    pub(super) fn whole(self) -> usize {
        self.iter().map(|(_, words)| 2 + words.0.len()).sum()
    }
}

/// The answer to a request for the device's identification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceId<'a> {
    /// What was asked for: 1 basic, 2 regular, 3 extended, 4 one object.
    pub code: u8,
    /// What the device can tell.
    pub conformity: u8,
    /// Is there more to ask for?
    pub more: bool,
    /// What to ask for next.
    pub next: u8,
    /// How many objects follow.
    pub count: u8,
    pub(super) objects: &'a [u8],
}

impl<'a> DeviceId<'a> {
    /// The objects: identifier and content.
    pub fn objects(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.objects;
        std::iter::from_fn(move || {
            let (&[id, length], tail) = rest.split_first_chunk()?;
            let (content, tail) = tail.split_at_checked(usize::from(length))?;
            rest = tail;
            Some((id, content))
        })
    }
}
