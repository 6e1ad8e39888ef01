//! What Kubernetes takes as a name.
//!
//! In: a text from outside. Out: whether it can be a name, and so be part of the path of a request.

/// The most characters of a name.
pub const MAX_NAME: usize = 253;

/// The most characters of the name of a namespace.
const MAX_LABEL: usize = 63;

/// Whether most objects can have this name: a DNS subdomain by RFC 1123, in lower case.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('.').all(is_part)
}

/// Whether a namespace can have this name: a DNS label by RFC 1123, in lower case.
#[must_use]
pub fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && is_part(text)
}

fn is_part(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && !text.starts_with('-') && !text.ends_with('-') && text.bytes().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_subdomain_and_a_namespace_a_label() {
        for name in ["db", "0", "shop-db.v1", &"a".repeat(MAX_NAME)] {
            assert!(is_subdomain(name), "{name}");
        }
        for text in [
            "",
            ".",
            "a.",
            "a..b",
            "-a",
            "a-.b",
            "A",
            "a/b",
            "..",
            "a%2f",
            "a b",
            "ä",
            &"a".repeat(MAX_NAME + 1),
        ] {
            assert!(!is_subdomain(text), "{text}");
        }
        assert!(is_label("shop-1") && is_label(&"a".repeat(MAX_LABEL)));
        assert!(!is_label("shop.db") && !is_label("") && !is_label(&"a".repeat(MAX_LABEL + 1)));
    }
}
