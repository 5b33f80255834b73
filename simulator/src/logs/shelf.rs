//! The folder of the access logs: writes a property's day, and remembers which files of it are late or broken.
//!
//! A file is written under a name with a dot and then renamed, so that a reader sees whole files only. A delivery leaves
//! exactly the files that it has: those of an earlier one that it does not have are removed, and no others. Deliveries
//! follow each other, since two at once would write the same files. Called by `Control` and `daily`, never on a thread
//! of the async runtime.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use chrono::NaiveDate;

use super::{LogDelivery, LogDeliveryError};
use crate::config::{AccessGroupConfig, Config, Product, PropertyConfig, check_size, has_folder};
use crate::level3::logs::{LogForm, file_content, file_name};
use crate::lock::locked;

/// The files of a property and day that are held back or cut.
struct Unfinished {
    form: LogForm,
    files: Vec<usize>,
}

/// The vendor's folder.
pub(crate) struct LogShelf {
    folder: Option<PathBuf>,
    form: LogForm,
    late: bool,
    broken: bool,
    /// All properties in the order of the tree, and whether they have logs.
    properties: Vec<(String, bool)>,
    /// By day and property. Held while files are written.
    unfinished: Mutex<BTreeMap<(NaiveDate, String), Unfinished>>,
}

impl LogShelf {
    pub(crate) fn new(config: &Config) -> Self {
        let mut properties = Vec::new();
        for group in &config.access_groups {
            collect_properties(group, &mut properties);
        }
        Self {
            folder: config.log_folder().map(Path::to_owned),
            form: LogForm {
                files: config.log_files,
                lines: config.log_lines,
                out_of_order: config.log_out_of_order,
                header: config.log_header,
            },
            late: config.log_late,
            broken: config.log_broken,
            properties,
            unfinished: Mutex::default(),
        }
    }

    /// Whether logs are delivered at all.
    pub(super) fn has_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// Makes the folder, and tries whether it can be written.
    pub(super) fn prepare(&self) -> Result<(), LogDeliveryError> {
        let folder = self.folder()?;
        let failed = |source| LogDeliveryError::Write { path: folder.to_owned(), source };
        let trial = folder.join(".trial");
        fs::create_dir_all(folder).and_then(|()| fs::write(&trial, [])).map_err(failed)?;
        fs::remove_file(&trial).map_err(failed)
    }

    /// Delivers a day and answers the files that were written, in the order of the tree.
    pub(crate) fn deliver(&self, delivery: &LogDelivery) -> Result<Vec<PathBuf>, LogDeliveryError> {
        let folder = self.folder()?;
        let day = delivery.day;
        if !has_folder(day) {
            return Err(LogDeliveryError::Day(day));
        }
        let form = LogForm {
            files: delivery.files.unwrap_or(self.form.files),
            lines: delivery.lines.unwrap_or(self.form.lines),
            out_of_order: delivery.out_of_order.unwrap_or(self.form.out_of_order),
            header: delivery.header.unwrap_or(self.form.header),
        };
        check_size(form.files, form.lines).map_err(LogDeliveryError::Size)?;
        let last = form.files - 1;
        let late = delivery.late.unwrap_or(self.late).then_some(last);
        // One file alone is the one that breaks. A file that is held back is whole when it comes.
        let broken = delivery.broken.unwrap_or(self.broken).then_some(last.min(1)).filter(|file| Some(*file) != late);
        let mut written = Vec::new();
        for property in self.selected(delivery.property.as_deref())? {
            let mut unfinished = locked(&self.unfinished);
            let place = Place::new(folder, day, property);
            let key = (day, property.to_owned());
            unfinished.remove(&key);
            for file in (0..form.files).filter(|file| Some(*file) != late) {
                let mut content = place.content(file, form)?;
                if Some(file) == broken {
                    content.truncate(content.len() / 2);
                }
                written.push(place.write(file, &content)?);
            }
            place.remove_others(last + usize::from(late.is_none()))?;
            let files: Vec<usize> = broken.into_iter().chain(late).collect();
            if !files.is_empty() {
                unfinished.insert(key, Unfinished { form, files });
            }
        }
        Ok(written)
    }

    /// Writes what is late or broken of a day, and answers these files.
    pub(crate) fn complete(&self, day: NaiveDate, property: Option<&str>) -> Result<Vec<PathBuf>, LogDeliveryError> {
        let folder = self.folder()?;
        let mut written = Vec::new();
        for property in self.selected(property)? {
            let mut unfinished = locked(&self.unfinished);
            let key = (day, property.to_owned());
            let Some(Unfinished { form, files }) = unfinished.get(&key) else {
                continue;
            };
            let place = Place::new(folder, day, property);
            for file in files {
                written.push(place.write(*file, &place.content(*file, *form)?)?);
            }
            unfinished.remove(&key);
        }
        Ok(written)
    }

    fn folder(&self) -> Result<&Path, LogDeliveryError> {
        self.folder.as_deref().ok_or(LogDeliveryError::NoFolder)
    }

    /// The named property, or all that have logs.
    fn selected(&self, property: Option<&str>) -> Result<Vec<&str>, LogDeliveryError> {
        let with_logs = self.properties.iter().filter(|(_, has_logs)| *has_logs).map(|(name, _)| name.as_str());
        let Some(wanted) = property else {
            return Ok(with_logs.collect());
        };
        match self.properties.iter().find(|(name, _)| name == wanted) {
            Some((name, true)) => Ok(vec![name]),
            Some(_) => Err(LogDeliveryError::WithoutLogs(wanted.to_owned())),
            None => Err(LogDeliveryError::UnknownProperty(wanted.to_owned())),
        }
    }
}

/// Where a property's files of a day are.
struct Place<'p> {
    folder: PathBuf,
    day: NaiveDate,
    property: &'p str,
}

impl<'p> Place<'p> {
    fn new(folder: &Path, day: NaiveDate, property: &'p str) -> Self {
        Self { folder: folder.join(day.format("%Y/%m/%d").to_string()).join(property), day, property }
    }

    fn content(&self, file: usize, form: LogForm) -> Result<Vec<u8>, LogDeliveryError> {
        let content = file_content(self.property, self.day, file, form);
        content.map_err(|source| failed(&self.folder.join(file_name(self.day, file)), source))
    }

    fn write(&self, file: usize, content: &[u8]) -> Result<PathBuf, LogDeliveryError> {
        let name = file_name(self.day, file);
        let path = self.folder.join(&name);
        let unfinished = self.folder.join(format!(".{name}"));
        fs::create_dir_all(&self.folder).map_err(|source| failed(&self.folder, source))?;
        let moved = fs::write(&unfinished, content).and_then(|()| fs::rename(&unfinished, &path));
        moved.map_err(|source| failed(&path, source))?;
        Ok(path)
    }

    /// Removes the files of an earlier delivery from a number on. Deliveries number their files without a gap.
    fn remove_others(&self, first: usize) -> Result<(), LogDeliveryError> {
        for file in first.. {
            let path = self.folder.join(file_name(self.day, file));
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => return Err(failed(&path, source)),
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, source: io::Error) -> LogDeliveryError {
    LogDeliveryError::Write { path: path.to_owned(), source }
}

fn collect_properties(group: &AccessGroupConfig, properties: &mut Vec<(String, bool)>) {
    let in_services = group.services.iter().flat_map(|service| &service.properties);
    let has_logs = |property: &PropertyConfig| property.active && property.product == Product::Caching;
    let named = in_services.chain(&group.properties).map(|property| (property.name.clone(), has_logs(property)));
    properties.extend(named);
    for child in &group.children {
        collect_properties(child, properties);
    }
}
