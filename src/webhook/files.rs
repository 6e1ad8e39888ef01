//! A certificate that somebody else renews, from the files of a mounted Secret.
//!
//! In: a folder with `tls.crt` and `tls.key`. Out: the certificate in it is shown, within seconds of a change. A reader
//! may see the two files change one after the other: a pair that does not match is read again.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::certificate::Held;
use super::shown::Shown;

/// How often it looks. A mounted Secret changes by switching a link, and file events for that differ by system.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the folder for ever.
pub async fn follow(folder: &Path, shown: &Shown) {
    let mut told = None;
    loop {
        let trouble = look(folder, shown).err().map(|error| error.to_string());
        if trouble != told {
            if let Some(trouble) = &trouble {
                tracing::warn!(folder = %folder.display(), trouble, "no certificate to be read");
            }
            told = trouble;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Shows the certificate that is in the folder now.
fn look(folder: &Path, shown: &Shown) -> io::Result<()> {
    let text = |name: &str| {
        let file = folder.join(name);
        std::fs::read_to_string(&file)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", file.display())))
    };
    let held = Held { certificate: text("tls.crt")?, key: text("tls.key")?, ..Held::default() };
    if shown.show(&held) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "tls.crt and tls.key hold no certificate with its key"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::telemetry::http::Readiness;
    use crate::telemetry::metrics::Metrics;
    use crate::webhook::certificate::{Lives, renewed};

    fn made() -> Held {
        renewed(None, "host", Lives::default(), Timestamp::now()).unwrap().unwrap()
    }

    #[test]
    fn what_stands_in_the_folder_is_shown_once_it_is_whole_and_stays_while_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let readiness = Readiness::default();
        let shown = Shown::new(Metrics::default(), readiness.clone());
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let said = || look(folder.path(), &shown).err().map(|error| error.to_string());
        assert!(said().unwrap().contains("tls.crt: No such file"), "{:?}", said());
        let (first, second) = (made(), made());
        write("tls.crt", &first.certificate);
        assert!(said().unwrap().contains("tls.key: No such file"), "{:?}", said());
        assert!(!readiness.missing().is_empty());
        write("tls.key", &first.key);
        assert_eq!(said(), None);
        assert!(readiness.missing().is_empty());

        write("tls.crt", &second.certificate);
        assert_eq!(said().unwrap(), "tls.crt and tls.key hold no certificate with its key");
        assert!(shown.shows(&first.certificate) && readiness.missing().is_empty());
        write("tls.key", &second.key);
        assert_eq!(said(), None);
        assert!(shown.shows(&second.certificate));
    }
}
