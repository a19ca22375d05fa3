//! Whose files are taken for a log's segments: the one door to them.
//!
//! The metadata is its owner's word, and so are the names in a directory that is his. Whoever works on his log may be
//! root, or anybody else who reads it, and must not be led to files that he could not have had himself. So:
//!
//! - A directory is opened once, and from then on everything is relative to that descriptor. One that only the metadata
//!   names lies below the log's, with no link on the way; [`olddir`](super::olddir) has what holds for others.
//! - A file is a segment when what has its name is a regular file of the metadata's owner. That is asked of the name when
//!   the directory is read, and of the descriptor when the file is opened, by [`SegmentDir::admit`] both times.
//! - A name is taken away while it is that of the file that was looked at.
//!
//! What is not taken is in the [`Listing`], with the reason, so that it can be said.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Trust, chain};
use crate::codec::{self, Peek};
use crate::deadline::Waits;
use crate::error::{Blocker, Fault, quoted, set_aside, shown};
use crate::names::{Compression, SegmentName};
use crate::sys::fs::LEASED;
use crate::sys::place::{Access, Found, Part, Place};
use crate::sys::process;

/// Who has to own a file so that it is the log's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    Anybody,
    User(u32),
}

impl Owner {
    /// Where the metadata belongs to that user.
    pub(crate) fn of(trust: Trust, metadata_uid: u32) -> Self {
        match trust {
            Trust::Strict => Self::User(metadata_uid),
            Trust::AnyPath => Self::Anybody,
        }
    }
}

/// A directory that is looked in for a log's segments, and whose files are taken there.
#[derive(Clone, Debug)]
pub(crate) struct SegmentDir {
    place: Arc<Place>,
    owner: Owner,
}

/// Something with a segment's name that is not taken for one, or a directory that was not looked in for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is left out, and, behind a semicolon, what to do.
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, why } = self;
        write!(f, "{}: {why}", shown(path))
    }
}

/// Why a file is not the log's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stranger {
    Kind(&'static str),
    Owner { uid: u32, log: u32 },
    Links(u64),
}

impl Stranger {
    /// In words, with what to do about that file.
    fn why(self, path: &Path) -> String {
        match self {
            Self::Kind(kind) => format!("it is a {kind}; {}", set_aside(path)),
            Self::Owner { uid, log } => format!(
                "uid {uid} owns it, the log belongs to uid {log}; `chown {log} {}` if it is the log's, else move it away, or use --trust-path",
                quoted(path)
            ),
            Self::Links(links) => format!(
                "it has {links} hard links, in a directory where others than root may make them; see whether it is the log's (`ls -l {}`), then remove the other names, run as the owner, or use --trust-path",
                quoted(path)
            ),
        }
    }

    /// Of the metadata file.
    pub(crate) fn of_metadata(self, place: &Place) -> Fault {
        match self {
            Self::Kind(kind) => Fault::NoMetadataFile { path: place.metadata_path().to_path_buf(), kind },
            other => other.of_data(),
        }
    }

    /// Of the data file.
    pub(crate) fn of_data(self) -> Fault {
        match self {
            Self::Kind(kind) => Fault::NotRegular { kind },
            Self::Owner { uid, log } => Fault::OwnersDiffer { data_uid: uid, metadata_uid: log },
            Self::Links(links) => Fault::HardLinked { links },
        }
    }
}

/// Names in a directory, or in both of a log's.
#[derive(Default, Debug)]
pub(crate) struct Listing {
    /// Of segments, by generation; a plain file before its compressed copy.
    pub(crate) named: Vec<Named>,
    /// In the log's own directory, with the names of the current segment or of ones to come.
    pub(crate) too_early: Vec<Named>,
    pub(crate) left_out: Vec<LeftOut>,
    /// A generation whose files begin at different positions, of which one was taken.
    pub(crate) twins: Option<u64>,
}

impl Listing {
    pub(crate) fn add(&mut self, other: Self) {
        self.named.extend(other.named);
        self.left_out.extend(other.left_out);
        self.named.sort_by_key(|n| order(&n.says));
    }
}

/// Bytes of a compressed segment that are decoded at a time.
const PIECE: usize = 256 << 10;

/// A file whose name is a segment's, and the directory that it was found in.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) says: SegmentName,
    pub(crate) name: OsString,
    pub(crate) dir: SegmentDir,
    /// Device and inode of the file that was looked at.
    id: (u64, u64),
}

/// A name of a segment: nobody has looked at what has it.
pub(super) struct Unseen {
    pub(super) says: SegmentName,
    name: OsString,
    dir: SegmentDir,
}

impl Unseen {
    /// What has the name: a segment, or something that is left out; `None` when the name is gone.
    pub(super) fn look(&self) -> Result<Option<Result<Named, LeftOut>>, Fault> {
        self.dir.look_at(self.says.clone(), self.name.clone())
    }
}

impl Named {
    /// Opens it; `None` when the name is gone. An error when what has it now is not the log's.
    pub(crate) fn open(&self, access: Access) -> Result<Option<File>, Fault> {
        let file = match self.dir.place.open_named(&self.name, access) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let blocker = Blocker::unknown("a lease on a final segment (to remove it)");
                return Err(Fault::Stalled { blocker, waited: LEASED });
            }
            Err(e) => return Err(Fault::io("open a final segment")(e)),
        };
        let found = Found::by(&file).map_err(Fault::io("stat a final segment"))?;
        self.dir.admit(&found).map_err(|stranger| self.refused(stranger))?;
        Ok(Some(file))
    }

    /// What has the name now.
    pub(crate) fn find(&self) -> io::Result<Option<Found>> {
        self.dir.place.find_named(&self.name)
    }

    /// Whether it has so many bytes of the log, as far as a look tells: of a compressed one, by what it says itself. `None`
    /// where that does not tell.
    pub(super) fn holds(&self, len: u64) -> Result<Option<bool>, Fault> {
        let look = || Fault::io("look at a final segment");
        let Some(compression) = self.says.compression else {
            return Ok(Some(self.find().map_err(look())?.is_some_and(|found| found.len == len)));
        };
        let Some(file) = self.open(Access::Read)? else { return Ok(Some(false)) };
        Ok(match codec::peek(compression, &file).map_err(look())? {
            Peek::Holds(said) if compression == Compression::Gzip => Some(codec::gzip_agrees(said, len)),
            Peek::Holds(said) => Some(said == len),
            Peek::Unknown => None,
            Peek::Broken(_) => Some(false),
        })
    }

    /// How many bytes of the log it has: a compressed one is read to its end unless its headers say it all. `None` where that
    /// cannot be known; an error only when told to stop.
    pub(super) fn content_len(&self, found: &Found, waits: &Waits) -> Result<Option<u64>, Fault> {
        let Some(compression) = self.says.compression else { return Ok(Some(found.len)) };
        let Ok(Some(file)) = self.open(Access::Read) else { return Ok(None) };
        match codec::peek(compression, &file) {
            // A gzip trailer counts modulo 2^32, and of the last member alone.
            Ok(Peek::Holds(len)) if compression == Compression::Zstd => return Ok(Some(len)),
            Ok(Peek::Broken(_)) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
        let Ok(mut decoder) = codec::decoder(compression, file) else { return Ok(None) };
        let (mut piece, mut len) = (vec![0; PIECE], 0);
        loop {
            match decoder.read(&mut piece) {
                Ok(0) => return Ok(Some(len)),
                Ok(read) => len += read as u64,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
            waits.go_on("bytes of the newest old segment were read", len, len)?;
        }
    }

    /// Takes the name away, if it is still that of the file that was looked at; whether it was.
    pub(crate) fn remove(&self) -> io::Result<bool> {
        match self.find()? {
            Some(found) if found.id == self.id => self.dir.place.remove_named(&self.name).map(|()| true),
            _ => Ok(false),
        }
    }

    /// The same segment's file of another name, beside it, that has just been looked at.
    #[cfg(feature = "compressed")]
    pub(crate) fn beside(&self, says: SegmentName, id: (u64, u64)) -> Self {
        let name = says.of(self.dir.place.name(Part::Data));
        Self { says, name, dir: self.dir.clone(), id }
    }

    /// The same file after it was moved to that directory.
    pub(crate) fn moved(self, dir: &SegmentDir) -> Self {
        Self { dir: dir.clone(), ..self }
    }

    pub(crate) fn id(&self) -> (u64, u64) {
        self.id
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path(&self.name)
    }

    fn refused(&self, stranger: Stranger) -> Fault {
        Fault::NotASegment { name: self.name.to_string_lossy().into_owned(), why: stranger.why(&self.path()) }
    }
}

impl SegmentDir {
    pub(crate) fn new(place: &Arc<Place>, owner: Owner) -> Self {
        Self { place: Arc::clone(place), owner }
    }

    /// Another one of the same log.
    pub(super) fn with(&self, place: Place) -> Self {
        Self { place: Arc::new(place), owner: self.owner }
    }

    pub(crate) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    pub(super) fn path(&self, name: &OsStr) -> PathBuf {
        self.place.path().with_file_name(name)
    }

    /// What a dead rotation or compression left under a name of its own, `None` for nothing. An error for anything else
    /// that has that name: it is not taken away, and nothing can be made there.
    pub(super) fn find_work(&self, name: &OsStr) -> Result<Option<Found>, Fault> {
        let in_the_way = |what: String| {
            let name = self.path(name).to_string_lossy().into_owned();
            Fault::InTheWay { name, what }
        };
        let found = self.place.find_named(name);
        let found = found.map_err(Fault::io("look at what an earlier rotation or compression left"))?;
        let Some(found) = found else { return Ok(None) };
        match self.admit_work(&found) {
            Ok(()) => Ok(Some(found)),
            Err(Stranger::Kind(kind)) => Err(in_the_way(format!("a {kind}"))),
            Err(Stranger::Owner { uid, .. }) => Err(in_the_way(format!("a file of uid {uid}"))),
            Err(Stranger::Links(links)) => Err(in_the_way(format!("a file with {links} names"))),
        }
    }

    /// As [`admit`](Self::admit), of a file in the making: whoever makes it gives it to the log's owner at the end.
    pub(super) fn admit_work(&self, found: &Found) -> Result<(), Stranger> {
        let maker = [0, process::effective_user()].contains(&found.uid);
        let owner = if maker && self.owner != Owner::Anybody { Owner::User(found.uid) } else { self.owner };
        Self { place: Arc::clone(&self.place), owner }.admit(found)
    }

    /// Whether such a file is the log's: asked of what was opened, and of names before.
    pub(crate) fn admit(&self, found: &Found) -> Result<(), Stranger> {
        if let Some(kind) = found.odd_kind() {
            return Err(Stranger::Kind(kind));
        }
        let Owner::User(log) = self.owner else { return Ok(()) };
        if found.uid != log {
            return Err(Stranger::Owner { uid: found.uid, log });
        }
        if process::is_root() && found.links > 1 && self.is_open_to_others() && !self.has_all_names(found.id)
        {
            return Err(Stranger::Links(found.links));
        }
        Ok(())
    }

    /// Who may make names there can give root's maintenance a second one of a file that is not the log's. When in doubt it is.
    fn is_open_to_others(&self) -> bool {
        self.place.directory().map_or(true, |directory| directory.is_open_to_others())
    }

    /// Whether all names of that file are the log's: in a rotation the data file has its final one, too. One that is
    /// given up takes a name away again, so it is looked twice.
    fn has_all_names(&self, id: (u64, u64)) -> bool {
        let has = || {
            let of_segments = self.names().unwrap_or_default().into_iter().map(|(_, name)| name);
            let parts = [Part::Data, Part::Metadata].map(|part| self.place.name(part).to_os_string());
            let names = of_segments.chain(parts);
            let found: Vec<Found> =
                names.filter_map(|name| self.place.find_named(&name).ok()?).filter(|f| f.id == id).collect();
            found.last().is_some_and(|f| f.links <= found.len() as u64)
        };
        has() || has()
    }

    /// The names in the directory that are a segment's, whoever has them: by generation, a plain file before its compressed copy.
    pub(super) fn names(&self) -> Result<Vec<(SegmentName, OsString)>, Fault> {
        let log = self.place.name(Part::Data);
        let names = self.place.names().map_err(Fault::io("read the log's directory"))?;
        let parsed = names.into_iter().filter_map(|name| Some((SegmentName::parse(log, &name)?, name)));
        let mut names: Vec<_> = parsed.collect();
        names.sort_by_key(|(says, _)| order(says));
        Ok(names)
    }

    /// As [`names`](Self::names), of those generations, to be looked at one by one.
    pub(super) fn unseen(&self, generations: impl RangeBounds<u64>) -> Result<Vec<Unseen>, Fault> {
        let names = self.names()?.into_iter().filter(|(says, _)| generations.contains(&says.generation));
        Ok(names.map(|(says, name)| Unseen { says, name, dir: self.clone() }).collect())
    }

    /// What has such a name: a segment, or something that is left out; `None` when the name is gone.
    fn look_at(&self, says: SegmentName, name: OsString) -> Result<Option<Result<Named, LeftOut>>, Fault> {
        let found = self.place.find_named(&name).map_err(Fault::io("stat a final segment"))?;
        let Some(found) = found else { return Ok(None) };
        Ok(Some(match self.admit(&found) {
            Ok(()) => Ok(Named { says, name, dir: self.clone(), id: found.id }),
            Err(stranger) => {
                let path = self.path(&name);
                let why = format!("not taken for a segment of this log: {}", stranger.why(&path));
                Err(LeftOut { path, why })
            }
        }))
    }

    /// Every name of a segment that is there.
    pub(crate) fn list(&self) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        for (says, name) in self.names()? {
            match self.look_at(says, name)? {
                Some(Ok(named)) => listing.named.push(named),
                Some(Err(left_out)) => listing.left_out.push(left_out),
                None => {}
            }
        }
        listing.left_out.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// As [`list`](Self::list), without what is left out.
    pub(crate) fn named(&self) -> Result<Vec<Named>, Fault> {
        self.list().map(|listing| listing.named)
    }

    /// As [`named`](Self::named), of those generations alone: other files are not even looked at.
    pub(crate) fn named_of(&self, generations: impl RangeBounds<u64>) -> Result<Vec<Named>, Fault> {
        self.named_back_to(generations, |_| false)
    }

    /// As [`named_of`](Self::named_of), and none before the newest that is `enough`.
    pub(crate) fn named_back_to(
        &self,
        generations: impl RangeBounds<u64>,
        enough: impl Fn(&Named) -> bool,
    ) -> Result<Vec<Named>, Fault> {
        let (mut found, names) = (Vec::new(), self.names()?);
        // Where somebody has put one that begins elsewhere, a base says nothing of those before.
        let is_told = !chain::is_ambiguous(names.iter().map(|(says, _)| says));
        let wanted = names.into_iter().filter(|(says, _)| generations.contains(&says.generation));
        for (says, name) in wanted.rev() {
            let Some(Ok(named)) = self.look_at(says, name)? else { continue };
            found.push(named);
            if is_told && found.last().is_some_and(&enough) {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }
}

/// By generation, a plain file before its compressed copy.
pub(super) fn order(says: &SegmentName) -> impl Ord + use<> {
    (says.generation, says.compression.is_some(), says.base)
}
