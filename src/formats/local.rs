//! Files of the local disk (native), and the choice between them and HTTP.

use super::http::HttpFiles;
use super::source::{ByteSource, Files, LocalFuture, check_range, is_plain_name};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Opens what a caller names: an http(s) URL or a local path, of a `.gguf` file or of a directory.
/// `download-failed` when a local path does not exist (URLs are first asked when a file is opened), `bad-request` for
/// a file of another kind.
pub fn open_files(path_or_url: &str) -> Result<Rc<dyn Files>> {
    if path_or_url.starts_with("http://") || path_or_url.starts_with("https://") {
        return Ok(Rc::new(HttpFiles::new(path_or_url)?));
    }
    Ok(Rc::new(DirFiles::new(Path::new(path_or_url))?))
}

/// Whether a file name ends in `.gguf`, in any case.
pub(super) fn is_gguf(name: &str) -> bool {
    name.len() > 5 && name.to_ascii_lowercase().ends_with(".gguf")
}

/// A directory, or one `.gguf` file and its neighbours.
pub struct DirFiles {
    folder: PathBuf,
    main: Option<String>,
}

impl DirFiles {
    /// A directory or a `.gguf` file.
    pub fn new(path: &Path) -> Result<DirFiles> {
        let shown = path.display();
        let about = std::fs::metadata(path)
            .map_err(|e| Error::DownloadFailed(format!("{shown} cannot be opened ({e}); check the path")))?;
        if about.is_dir() {
            return Ok(DirFiles { folder: path.to_path_buf(), main: None });
        }
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_string();
        if !is_gguf(&name) && !name.to_ascii_lowercase().ends_with(".json") {
            return Err(Error::BadRequest(format!(
                "{shown} is neither a .gguf file nor a directory; for safetensors name the directory that holds config.json"
            )));
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(DirFiles { folder, main: Some(name) })
    }
}

impl Files for DirFiles {
    fn main(&self) -> Option<String> {
        self.main.clone()
    }

    fn open<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move {
            if !is_plain_name(name) {
                return Err(Error::BadFile(format!("{name:?} is not the name of a file in the model's own folder")));
            }
            let path = self.folder.join(name);
            let failed = |e: std::io::Error| Error::DownloadFailed(format!("{} cannot be read: {e}", path.display()));
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::NotFound && self.main.as_deref() != Some(name) => return Ok(None),
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
