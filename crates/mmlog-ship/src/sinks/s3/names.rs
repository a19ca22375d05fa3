//! What objects are called: `PREFIX/UUID/FROM-TO`, positions with all their digits so that a list is in their order, and by its end what
//! lies there.

use mmlog::Compression;

use crate::unit::{Header, Kind, Why};

/// Of a position.
const DIGITS: usize = 20;
/// Of a uuid.
const UUID: usize = 32;

/// What an object is, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A segment, as it lay on the disk.
    Segment(Option<Compression>),
    /// Which ranges of the segment with the same positions have no content.
    Gaps,
    /// A range without content.
    Gap(Why),
    /// A chain begins there.
    Begin,
}

impl What {
    const ALL: [(What, &'static str); 8] = [
        (What::Segment(None), ""),
        (What::Segment(Some(Compression::Zstd)), ".zst"),
        (What::Segment(Some(Compression::Gzip)), ".gz"),
        (What::Gaps, ".gaps"),
        (What::Gap(Why::Hole), ".hole"),
        (What::Gap(Why::Pruned), ".pruned"),
        (What::Gap(Why::Lost), ".lost"),
        (What::Begin, ".begin"),
    ];

    fn end(self) -> &'static str {
        What::ALL.iter().find(|(what, _)| *what == self).map_or("", |(_, end)| end)
    }
}

/// An object of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) what: What,
}

impl Name {
    /// Of a unit.
    pub(super) fn of(unit: &Header, compression: Option<Compression>) -> Name {
        let what = match unit.kind {
            Kind::Gap(why) => What::Gap(why),
            Kind::Begin | Kind::Opening => What::Begin,
            Kind::Segment | Kind::Content => What::Segment(compression),
        };
        Name { from: unit.from, to: unit.to, what }
    }

    pub(super) fn gaps(self) -> Name {
        Name { what: What::Gaps, ..self }
    }

    /// Whether that is what is called so.
    pub(super) fn is_of(self, unit: &Header) -> bool {
        let kind = match self.what {
            What::Segment(_) => Kind::Segment,
            What::Gap(why) => Kind::Gap(why),
            What::Begin => Kind::Begin,
            What::Gaps => return false,
        };
        (unit.kind, unit.from, unit.to) == (kind, self.from, self.to)
    }

    /// Behind what all keys of its log begin with.
    pub(super) fn write(self) -> String {
        format!("{:0DIGITS$}-{:0DIGITS$}{}", self.from, self.to, self.what.end())
    }

    /// Reads what [`write`](Self::write) wrote, and nothing else: what others called something is no path, and no name, ever.
    pub(super) fn read(text: &str) -> Option<Name> {
        let (from, to) = (text.get(..DIGITS)?, text.get(DIGITS + 1..2 * DIGITS + 1)?);
        let end = text.get(2 * DIGITS + 1..)?;
        let what = What::ALL.iter().find(|(_, known)| *known == end).map(|(what, _)| *what)?;
        let name = Name { from: from.parse().ok()?, to: to.parse().ok()?, what };
        let is_range = if what == What::Begin { name.from == name.to } else { name.from < name.to };
        (is_range && name.write() == text).then_some(name)
    }
}

/// What the keys of the objects of a log begin with that are at a position, or behind one.
pub(super) fn at(position: u64) -> String {
    format!("{position:0DIGITS$}")
}

/// What the keys of a log begin with, behind the prefix.
pub(super) fn directory(log: u128) -> String {
    format!("{log:0UUID$x}/")
}

/// The log, of what keys of it begin with, its `/` left out.
pub(super) fn log(text: &str) -> Option<u128> {
    let log = u128::from_str_radix(text, 16).ok()?;
    (directory(log).strip_suffix('/') == Some(text)).then_some(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is_one() {
        for (what, _) in What::ALL {
            let to = if what == What::Begin { 5 } else { u64::MAX };
            let name = Name { from: 5, to, what };
            assert_eq!(Name::read(&name.write()), Some(name), "{name:?}");
        }
        let plain = Name { from: 5, to: 70, what: What::Segment(None) }.write();
        assert_eq!(plain, "00000000000000000005-00000000000000000070");
        for wrong in [
            "",
            "00000000000000000005-0000000000000000007",
            "00000000000000000005-00000000000000000070.exe",
            "00000000000000000005/00000000000000000070",
            "00000000000000000070-00000000000000000005",
            "00000000000000000005-00000000000000000005",
            "00000000000000000005-00000000000000000070.begin",
            "+0000000000000000005-00000000000000000070",
            "99999999999999999999-99999999999999999999",
            "../../../../etc/passwd-0000000000000000000",
            "000000000000000000é5-00000000000000000070",
        ] {
            assert_eq!(Name::read(wrong), None, "{wrong}");
        }
        assert_eq!(log(&format!("{:032x}", 7)), Some(7));
        assert!(["7", "..", "0000000000000000000000000000000G"].iter().all(|text| log(text).is_none()));
    }
}
