//! A registry of plugins by name. It is a plain value: nothing registers itself, and a program can have several registries.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::letters_section::LettersSection;
use super::named_transform::{NamedTransform, TransformFactory};
use super::nearest::nearest_first;
use super::transform_order::in_order;
use crate::{CheckpointStore, Choice, Encoder, Error, Result, Settings, Sink, Source, Transform};

/// Makes the sink of one lane.
pub type SinkFactory = Arc<dyn Fn() -> Result<Box<dyn Sink>> + Send + Sync>;
/// Makes the encoder of one lane.
pub type EncoderFactory = Arc<dyn Fn() -> Result<Box<dyn Encoder>> + Send + Sync>;

type Build<T> = Arc<dyn Fn(&Settings, &str, &Registry) -> Result<T> + Send + Sync>;

/// Plugins by name and kind. In a configuration, the key is the plugin's name, and the value is read as its config struct.
#[derive(Clone, Default)]
pub struct Registry {
    sources: BTreeMap<&'static str, Build<Arc<dyn Source>>>,
    transforms: BTreeMap<&'static str, Build<TransformFactory>>,
    encoders: BTreeMap<&'static str, Build<EncoderFactory>>,
    sinks: BTreeMap<&'static str, Build<SinkFactory>>,
    stores: BTreeMap<&'static str, Build<Arc<dyn CheckpointStore>>>,
}

impl Registry {
    /// A registry without plugins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source, or replaces the source with the same name. `build` runs once per task.
    pub fn source<C, T, F>(&mut self, name: &'static str, build: F)
    where
        C: DeserializeOwned,
        T: Source + 'static,
        F: Fn(C) -> Result<T> + Send + Sync + 'static,
    {
        self.sources.insert(name, Arc::new(move |settings, path, _| Ok(Arc::new(build(settings.parse(path)?)?))));
    }

    /// Adds a checkpoint store, or replaces the store with the same name. `build` runs once per task.
    pub fn store<C, T, F>(&mut self, name: &'static str, build: F)
    where
        C: DeserializeOwned,
        T: CheckpointStore + 'static,
        F: Fn(C) -> Result<T> + Send + Sync + 'static,
    {
        self.stores.insert(name, Arc::new(move |settings, path, _| Ok(Arc::new(build(settings.parse(path)?)?))));
    }

    /// Adds a transform, or replaces the transform with the same name. `build` runs once per lane, and once at the start, so that a mistake
    /// in the settings is reported before anything runs.
    pub fn transform<C, T, F>(&mut self, name: &'static str, build: F)
    where
        C: DeserializeOwned + Clone + Send + Sync + 'static,
        T: Transform + 'static,
        F: Fn(C) -> Result<T> + Send + Sync + 'static,
    {
        let build = Arc::new(build);
        let outer = move |settings: &Settings, path: &str, _: &Registry| -> Result<TransformFactory> {
            let (build, config) = (build.clone(), settings.parse::<C>(path)?);
            build(config.clone())?;
            Ok(Arc::new(move || Ok(Box::new(build(config.clone())?))))
        };
        self.transforms.insert(name, Arc::new(outer));
    }

    /// Adds an encoder, or replaces the encoder with the same name. `build` runs once per lane, and once at the start, so that a mistake in
    /// the settings is reported before anything runs.
    pub fn encoder<C, T, F>(&mut self, name: &'static str, build: F)
    where
        C: DeserializeOwned + Clone + Send + Sync + 'static,
        T: Encoder + 'static,
        F: Fn(C) -> Result<T> + Send + Sync + 'static,
    {
        let build = Arc::new(build);
        let outer = move |settings: &Settings, path: &str, _: &Registry| -> Result<EncoderFactory> {
            let (build, config) = (build.clone(), settings.parse::<C>(path)?);
            build(config.clone())?;
            Ok(Arc::new(move || Ok(Box::new(build(config.clone())?))))
        };
        self.encoders.insert(name, Arc::new(outer));
    }

    /// Adds a sink whose lanes share nothing, or replaces the sink with the same name. `build` runs once per lane.
    pub fn sink<C, T, F>(&mut self, name: &'static str, build: F)
    where
        C: DeserializeOwned + Clone + Send + Sync + 'static,
        T: Sink + 'static,
        F: Fn(C) -> Result<T> + Send + Sync + 'static,
    {
        let build = Arc::new(build);
        self.sink_factory(name, move |config: C, _: &Registry| {
            let build = build.clone();
            Ok(move || build(config.clone()))
        });
    }

    /// Adds a sink, or replaces the sink with the same name. Use it if the lanes share something such as connections, or if the sink takes
    /// a format from the registry. `build` runs once per task, and the function that it returns runs once per lane.
    pub fn sink_factory<C, T, G, F>(&mut self, name: &'static str, build: F)
    where
        C: DeserializeOwned,
        T: Sink + 'static,
        G: Fn() -> Result<T> + Send + Sync + 'static,
        F: Fn(C, &Registry) -> Result<G> + Send + Sync + 'static,
    {
        let outer = move |settings: &Settings, path: &str, registry: &Registry| -> Result<SinkFactory> {
            let lane = build(settings.parse(path)?, registry)?;
            Ok(Arc::new(move || Ok(Box::new(lane()?))))
        };
        self.sinks.insert(name, Arc::new(outer));
    }

    /// Builds the source `name` from the settings under `source.<name>`.
    pub fn build_source(&self, name: &str, settings: &Settings) -> Result<Arc<dyn Source>> {
        find(&self.sources, "source", name)?(settings, &format!("source.{name}"), self)
    }

    /// Builds the sink `name` from the settings under `sink.<name>`.
    pub fn build_sink(&self, name: &str, settings: &Settings) -> Result<SinkFactory> {
        find(&self.sinks, "sink", name)?(settings, &format!("sink.{name}"), self)
    }

    /// Builds the sink `name` for dead letters from the settings under `dead_letters.<name>`. What the sink says of `[sink.<name>]` and its
    /// keys is said of this section.
    pub fn build_dead_letters(&self, name: &str, settings: &Settings) -> Result<SinkFactory> {
        let build =
            find(&self.sinks, "sink", name).map_err(|error| error.with_help("write [dead_letters.<name>] with one of the known names"))?;
        let section = LettersSection::new(name);
        let built = build(settings, &section.path(), self).map_err(|error| section.error(error))?;
        Ok(section.factory(built))
    }

    /// Builds the transform `name` from its settings.
    pub fn build_transform(&self, name: &str, settings: &Settings) -> Result<NamedTransform> {
        let factory = find(&self.transforms, "transform", name)?(settings, &format!("transform.{name}"), self)?;
        Ok(NamedTransform::new(name, settings, factory))
    }

    /// Builds the transforms of a task in the order of `choices`. Fails with an error of kind `Config` if the built-in ones stand in another
    /// order than filter, operations, add_columns, etl, mask, columns, rename. Each of these may stand several times, and others anywhere.
    pub fn build_transforms(&self, choices: &[Choice]) -> Result<Vec<NamedTransform>> {
        let chosen = choices.iter().map(|choice| choice.one("transform")).collect::<Result<Vec<_>>>()?;
        in_order(&chosen.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
        chosen.into_iter().map(|(name, settings)| self.build_transform(name, settings)).collect()
    }

    /// Builds the checkpoint store `name` from the settings under `store.<name>`.
    pub fn build_store(&self, name: &str, settings: &Settings) -> Result<Arc<dyn CheckpointStore>> {
        find(&self.stores, "store", name)?(settings, &format!("store.{name}"), self)
    }

    /// Builds the format `name` from the settings under `format.<name>`, for sinks that write bytes. The returned factory makes the encoder
    /// of each lane.
    pub fn encoder_factory(&self, name: &str, settings: &Settings) -> Result<EncoderFactory> {
        self.encoder_factory_in("format", name, settings)
    }

    /// Like [`Registry::encoder_factory`], but with the full path of the key under which the format is chosen, such as `sink.kafka.format`.
    /// Errors name keys by this path.
    pub fn encoder_factory_in(&self, path: &str, name: &str, settings: &Settings) -> Result<EncoderFactory> {
        let build = find(&self.encoders, "format", name).map_err(|error| match path.rsplit_once('.') {
            Some((table, key)) => error.with_help(format!("write `{key}.<name> = {{}}` in [{table}] with one of the known names")),
            None => error,
        })?;
        build(settings, &format!("{path}.{name}"), self)
    }

    /// The kind and name of every plugin, sorted by name within each kind.
    pub fn names(&self) -> Vec<(&'static str, &'static str)> {
        fn of<T>(kind: &'static str, map: &BTreeMap<&'static str, T>) -> impl Iterator<Item = (&'static str, &'static str)> {
            map.keys().map(move |name| (kind, *name))
        }
        of("source", &self.sources)
            .chain(of("transform", &self.transforms))
            .chain(of("format", &self.encoders))
            .chain(of("sink", &self.sinks))
            .chain(of("store", &self.stores))
            .collect()
    }
}

fn find<'m, T>(map: &'m BTreeMap<&'static str, T>, kind: &str, name: &str) -> Result<&'m T> {
    map.get(name).ok_or_else(|| {
        let known = nearest_first(name, map.keys().copied());
        Error::config(format!("there is no {kind} called `{name}`"))
            .because(if known.is_empty() { format!("this program has no {kind}s") } else { format!("known: {}", known.join(", ")) })
            .with_help(match kind {
                "transform" => "write `<name> = { … }` in [[transform]] with one of the known names".to_owned(),
                _ => format!("write [{kind}.<name>] with one of the known names"),
            })
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::{Batch, Event, Message, async_trait};

    #[derive(Clone, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        prefix: String,
    }

    struct Null;

    #[async_trait]
    impl Sink for Null {
        async fn write(&mut self, _: &mut Batch) -> Result<()> {
            Ok(())
        }
    }

    struct Mute;

    impl Encoder for Mute {
        fn encode(&mut self, _: &Event, _: &mut Message) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn errors_of_a_format_name_its_key_in_full() {
        let mut registry = Registry::new();
        registry.encoder("mute", |_: Config| Ok(Mute));
        let asked = |name: &str, value| registry.encoder_factory_in("sink.kafka.format", name, &Settings::from(value)).err().unwrap();
        let error = asked("mtue", json!({}));
        assert!(error.to_string().contains("`mtue`") && error.to_string().contains("known: mute"), "{error}");
        assert_eq!(error.help(), Some("write `format.<name> = {}` in [sink.kafka] with one of the known names"));
        let error = asked("mute", json!({"prefix": 7})).to_string();
        assert!(error.contains("`sink.kafka.format.mute.prefix`"), "{error}");
    }

    #[test]
    fn plugins_are_found_by_name_and_their_settings_checked_at_once() {
        let mut registry = Registry::new();
        registry.sink("null", |config: Config| {
            assert_eq!(config.prefix, "x");
            Ok(Null)
        });
        assert!(registry.build_sink("null", &json!({"prefix": "x"}).into()).unwrap()().is_ok());
        let error = registry.build_sink("null", &json!({}).into()).err().unwrap().to_string();
        assert!(error.contains("sink.null") && error.contains("prefix"), "{error}");
        let error = registry.build_sink("kafak", &Settings::default()).err().unwrap().to_string();
        assert!(error.contains("`kafak`") && error.contains("known: null"), "{error}");
    }
}
