//! Files of the local disk (native), and the choice between them and HTTP.

use super::http::HttpFiles;
use super::source::{ByteSource, Files, LocalFuture, check_range};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Opens what a caller names: an http(s) URL or a local path, of a GGUF file (whatever its name) or of a directory.
/// `download-failed` when a local path does not exist; URLs are first asked when a file is opened.
pub fn open_files(path_or_url: &str) -> Result<Rc<dyn Files>> {
    open_files_with(path_or_url, |_| ())
}

/// As [`open_files`]; `waiting` hears, as a sentence, why a download waits and for how long.
pub fn open_files_with(path_or_url: &str, waiting: impl Fn(&str) + 'static) -> Result<Rc<dyn Files>> {
    let scheme = path_or_url.trim_start().split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if matches!(scheme.as_deref(), Some("http" | "https")) {
        return Ok(Rc::new(HttpFiles::new(path_or_url)?.on_waiting(waiting)));
    }
    Ok(Rc::new(DirFiles::new(Path::new(path_or_url))?))
}

/// A directory, or one file and its neighbours. What kind of file it is, its first bytes say.
pub struct DirFiles {
    folder: PathBuf,
    /// The file that was named: as messages have it, and where it lies (a name need not be UTF-8).
    main: Option<(String, PathBuf)>,
}

impl DirFiles {
    /// A directory or a file.
    pub fn new(path: &Path) -> Result<DirFiles> {
        let about = std::fs::metadata(path)
            .map_err(|e| Error::DownloadFailed(format!("{} cannot be opened ({e}); check the path", path.display())))?;
        if about.is_dir() {
            return Ok(DirFiles { folder: path.to_path_buf(), main: None });
        }
        if !about.is_file() {
            return Err(Error::DownloadFailed(format!("{} is neither a file nor a directory", path.display())));
        }
        // Neighbours lie beside the path that was given, where it is a link, too: stores of blobs name only the links.
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(DirFiles { folder, main: Some((name, path.to_path_buf())) })
    }
}

impl Files for DirFiles {
    fn main(&self) -> Option<String> {
        self.main.as_ref().map(|(name, _)| name.clone())
    }

    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move {
            let main = self.main.as_ref().filter(|(main, _)| main == name);
            let path = main.map_or_else(|| self.folder.join(name), |(_, path)| path.clone());
            let failed = |e: std::io::Error| Error::DownloadFailed(format!("{} cannot be read: {e}", path.display()));
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::NotFound && main.is_none() => return Ok(None),
                Err(e) => return Err(failed(e)),
            };
            let about = file.metadata().map_err(failed)?;
            if !about.is_file() {
                return Err(Error::DownloadFailed(format!("{} is not a file", path.display())));
            }
            let source: Rc<dyn ByteSource> = Rc::new(FileSource { name: name.to_string(), file, len: about.len() });
            Ok(Some(source))
        })
    }
}

struct FileSource {
    name: String,
    file: File,
    len: u64,
}

impl ByteSource for FileSource {
    fn name(&self) -> &str {
        &self.name
    }
    fn len(&self) -> u64 {
        self.len
    }
    fn read(&self, offset: u64, len: u64) -> LocalFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let mut bytes = vec![0; check_range(&self.name, self.len, offset, len)?];
            let mut file = &self.file;
            file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(|e| {
                Error::DownloadFailed(format!("{}: {len} bytes at byte {offset} cannot be read: {e}", self.name))
            })?;
            Ok(bytes)
        })
    }
}
