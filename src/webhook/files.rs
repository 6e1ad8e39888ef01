//! A certificate that somebody else renews, from the files of a mounted Secret.
//!
//! In: a folder with `tls.crt` and `tls.key`. Out: what stands there is shown, within seconds of a change. The two
//! files change one after the other as far as a reader can tell: a pair that does not match is read again.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::certificate::Held;
use super::shown::Shown;

/// How often it looks. Mounted Secrets change by a switch of a link, about which file events differ by system.
const LOOK: Duration = Duration::from_secs(5);

/// Follows the folder for ever.
pub async fn follow(folder: &Path, shown: &Shown) {
    let mut told = String::new();
    loop {
        let trouble = match read(folder) {
            Ok(held) if shown.show(&held) => String::new(),
            Ok(_) => "tls.crt and tls.key hold no certificate with its key".to_owned(),
            Err(error) => error.to_string(),
        };
        if trouble != told {
            if !trouble.is_empty() {
                tracing::warn!(folder = %folder.display(), trouble, "no certificate to be read");
            }
            told = trouble;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn read(folder: &Path) -> io::Result<Held> {
    let text = |name: &str| std::fs::read_to_string(folder.join(name));
    Ok(Held { certificate: text("tls.crt")?, key: text("tls.key")?, ..Held::default() })
}
