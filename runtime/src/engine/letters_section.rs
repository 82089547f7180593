//! The section of a configuration in which a sink for dead letters stands.

use std::sync::Arc;

use super::registry::SinkFactory;
use crate::{Batch, Context, Error, Event, Finding, Letter, PreviewRecord, Receipt, Result, Sink, async_trait};

/// Where the settings of a sink for dead letters stand. A sink names its keys as those of `[sink.<name>]`, in which it usually stands.
#[derive(Clone, Debug)]
pub(super) struct LettersSection {
    name: Arc<str>,
}

impl LettersSection {
    pub(super) fn new(sink: &str) -> Self {
        Self { name: sink.into() }
    }

    /// The key of the section.
    pub(super) fn path(&self) -> String {
        format!("dead_letters.{}", self.name)
    }

    /// The error with the keys of this section.
    pub(super) fn error(&self, error: Error) -> Error {
        error.map_texts(|text| self.text(text))
    }

    /// The factory of sinks whose errors and findings name the keys of this section.
    pub(super) fn factory(&self, make: SinkFactory) -> SinkFactory {
        let section = self.clone();
        Arc::new(move || {
            let sink = make().map_err(|error| section.error(error))?;
            Ok(Box::new(InSection { sink, section: section.clone() }))
        })
    }

    fn finding(&self, finding: Finding) -> Finding {
        Finding { what: self.text(&finding.what), help: self.text(&finding.help), ..finding }
    }

    /// Keys stand in backticks, and sections in brackets. The same words elsewhere may be the name of a topic.
    fn text(&self, text: &str) -> String {
        let Self { name } = self;
        text.replace(&format!("`sink.{name}"), &format!("`dead_letters.{name}"))
            .replace(&format!("[sink.{name}]"), &format!("[dead_letters.{name}]"))
    }
}

/// A sink for dead letters in its section.
struct InSection {
    sink: Box<dyn Sink>,
    section: LettersSection,
}

#[async_trait]
impl Sink for InSection {
    async fn open(&mut self, context: &Context, last: &Receipt) -> Result<()> {
        self.sink.open(context, last).await.map_err(|error| self.section.error(error))
    }

    async fn write(&mut self, batch: &mut Batch) -> Result<()> {
        self.sink.write(batch).await.map_err(|error| self.section.error(error))
    }

    fn could_write_to(&self, destination: &str) -> bool {
        self.sink.could_write_to(destination)
    }

    fn accepts_letters(&self, main: &dyn Sink) -> Result<()> {
        self.sink.accepts_letters(main).map_err(|error| self.section.error(error))
    }

    async fn write_letters(&mut self, letters: &[Letter]) -> Result<()> {
        self.sink.write_letters(letters).await.map_err(|error| self.section.error(error))
    }

    fn receipt(&self) -> Receipt {
        self.sink.receipt()
    }

    fn evidence(&self) -> Option<Receipt> {
        self.sink.evidence()
    }

    async fn close(&mut self) -> Result<()> {
        self.sink.close().await.map_err(|error| self.section.error(error))
    }

    async fn check(&mut self, context: &Context) -> Vec<Finding> {
        let found = self.sink.check(context).await;
        found.into_iter().map(|finding| self.section.finding(finding)).collect()
    }

    fn preview(&mut self, context: &Context, event: &Event) -> Result<Vec<PreviewRecord>> {
        self.sink.preview(context, event).map_err(|error| self.section.error(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that names its keys everywhere.
    struct Wrong;

    fn wrong() -> Error {
        Error::config("key `sink.wrong.size` is 0, topic sink.wrong is full").with_help("set size in [sink.wrong]")
    }

    #[async_trait]
    impl Sink for Wrong {
        async fn open(&mut self, _: &Context, _: &Receipt) -> Result<()> {
            Err(wrong())
        }

        async fn write(&mut self, _: &mut Batch) -> Result<()> {
            Err(wrong())
        }

        fn accepts_letters(&self, _: &dyn Sink) -> Result<()> {
            Err(wrong())
        }

        async fn write_letters(&mut self, _: &[Letter]) -> Result<()> {
            Err(wrong())
        }

        async fn close(&mut self) -> Result<()> {
            Err(wrong())
        }

        async fn check(&mut self, _: &Context) -> Vec<Finding> {
            vec![Finding::from_error("size", &wrong())]
        }
    }

    #[tokio::test]
    async fn everything_that_a_sink_for_letters_says_names_its_own_section() {
        let section = LettersSection::new("wrong");
        let context = Context::testing("test");
        let mut sink = section.factory(Arc::new(|| Ok(Box::new(Wrong))))().unwrap();
        let errors = [
            sink.open(&context, &Receipt::default()).await,
            sink.accepts_letters(&Wrong),
            sink.write_letters(&[]).await,
            sink.close().await,
            Err(section.factory(Arc::new(|| Err(wrong())))().err().unwrap()),
        ];
        let expected = ("key `dead_letters.wrong.size` is 0, topic sink.wrong is full", "set size in [dead_letters.wrong]");
        for error in errors {
            let error = error.unwrap_err();
            assert_eq!((error.message(), error.help().unwrap()), expected);
        }
        let found = sink.check(&context).await;
        assert_eq!((&*found[0].what, &*found[0].help), expected);
    }
}
