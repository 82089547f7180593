//! A transform of a task with its name and a digest of its settings.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::settings::Settings;
use crate::{Result, Transform};

/// Makes the transform of one lane.
pub(super) type TransformFactory = Arc<dyn Fn() -> Result<Box<dyn Transform>> + Send + Sync>;

/// A transform of a task: what it is called, how one is made for a lane, and what its settings are. Cheap to clone.
#[derive(Clone)]
pub struct NamedTransform {
    name: Arc<str>,
    /// Changes whenever the settings do; `None` if the transform was made in code, so that nobody knows its settings.
    digest: Option<Arc<str>>,
    factory: TransformFactory,
}

impl NamedTransform {
    /// The transform `name`, which `factory` makes of these settings.
    pub(super) fn new(name: &str, settings: &Settings, factory: TransformFactory) -> Self {
        // The settings may hold salts, so only a hash of them is kept, and not all of it.
        let hash = Sha256::digest(settings.canonical_text());
        let digest: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.into(), digest: Some(digest.into()), factory }
    }

    /// A transform whose settings are not known.
    pub(super) fn in_code<T: Transform + 'static>(factory: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        let name = std::any::type_name::<T>();
        let name = name.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or(name);
        Self { name: name.into(), digest: None, factory: Arc::new(move || Ok(Box::new(factory()?))) }
    }

    /// The name: in a configuration the one of the plugin, else that of its type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A text that changes whenever the settings do, and from which they cannot be read; `None` if they are not known.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Makes one instance. Fails with an error of kind `Config` if the settings are not valid.
    pub fn make(&self) -> Result<Box<dyn Transform>> {
        (self.factory)()
    }
}
