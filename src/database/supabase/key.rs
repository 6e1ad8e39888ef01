//! Which text may go to Supabase as a token, and to a project as its secret key.
//!
//! In: a text of a Secret, the reference of a project. Out: whether it is what it should be, and may go there. Whoever writes a budget
//! may name any Secret that poolbudget was granted and any project, his own too: a password goes nowhere.
//! Forbidden here: the wire; the key in a text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::{Class, Doubt};

/// How the tokens of the Management API begin.
const TOKEN: &str = "sbp_";
/// How the secret keys of today begin. Nothing in them says of which project they are.
const PREFIX: &str = "sb_secret_";
/// The longest key.
const LONGEST: usize = 2048;

/// The part of a key of the older form that says whose it is.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "ref")]
    reference: String,
    role: String,
}

/// The access token in a text, which may have a line end.
pub fn token(text: &str) -> Result<&str, Doubt> {
    let token = text.trim_ascii();
    let rest = token.strip_prefix(TOKEN).filter(|rest| !rest.is_empty() && is_word(rest));
    if rest.is_some() && token.len() <= LONGEST {
        return Ok(token);
    }
    let sentence = format!(
        "this is no access token for Supabase (one begins with {TOKEN}), and was sent nowhere: put the token alone there"
    );
    Err(Doubt::new(Class::SecretInvalid, sentence))
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The secret key in a text, if it is of no other project than this; it may have a line end.
pub fn secret<'a>(text: &'a str, reference: &str) -> Result<&'a str, Doubt> {
    let key = text.trim_ascii();
    let refused = |why: &str| {
        let sentence = format!(
            "the text for metricsSecretRef {why}: put a secret key of the project {reference} into the Secret, \
             {PREFIX}… or the service_role key"
        );
        Err(Doubt::new(Class::SecretInvalid, sentence))
    };
    if key.len() > LONGEST {
        return refused("is too long for a key");
    }
    if let Some(rest) = key.strip_prefix(PREFIX) {
        return if !rest.is_empty() && is_word(rest) { Ok(key) } else { refused("is no secret key") };
    }
    let mut parts = key.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return refused("is no secret key");
    };
    let claims = URL_SAFE_NO_PAD.decode(payload).ok().map(Zeroizing::new);
    let claims = claims.and_then(|claims| serde_json::from_slice::<Claims>(&claims).ok());
    match claims {
        None => refused("is no secret key"),
        Some(claims) if claims.reference != reference => refused("is the key of another project"),
        Some(claims) if claims.role != "service_role" => refused("is a key of a role without this right"),
        Some(_) => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "kjhgfdsapoiuytrewqzx";

    fn jwt(claims: &str) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn what_is_no_access_token_goes_nowhere() {
        let long = format!("sbp_{}", "a".repeat(LONGEST));
        assert_eq!(token("sbp_oauth_0123abcd\n"), Ok("sbp_oauth_0123abcd"));
        assert_eq!(token("sbp_v0_0123"), Ok("sbp_v0_0123"));
        let wrong = [
            "",
            " \n",
            "hunter2",
            "postgres://app:hunter2@db/shop",
            "sb_secret_aaaa",
            "sbp_",
            "sbp_a b",
            "sbp_a\nsbp_b",
            "sbp_ü",
            "sbp_a:b",
            &long,
        ];
        for text in wrong {
            let doubt = token(text).unwrap_err();
            assert_eq!(doubt.class, Class::SecretInvalid, "{text}");
            assert!(text.trim().len() <= TOKEN.len() || !doubt.sentence.contains(text), "{text}: {doubt}");
        }
    }

    #[test]
    fn a_secret_key_of_the_project_may_go_there_and_nothing_else() {
        let of = |reference: &str, role: &str| {
            jwt(&format!(r#"{{"iss":"supabase","ref":"{reference}","role":"{role}","iat":1}}"#))
        };
        for key in ["sb_secret_aaaaaaaa-bbbb_cc", &of(REFERENCE, "service_role")] {
            assert_eq!(secret(key, REFERENCE), Ok(key), "{key}");
        }
        let long = format!("sb_secret_{}", "a".repeat(LONGEST));
        let wrong = [
            "",
            "sb_secret_",
            "sb_secret_a:b",
            "sb_publishable_abc",
            "sbp_0123456789abcdef0123456789abcdef01234567",
            "postgres://app:hunter2@db/shop",
            "hunter2",
            "a.b.c",
            "a.b",
            "....",
            &long,
            &jwt("{}"),
            &jwt("[]"),
            &of(REFERENCE, "anon"),
            &of("aaaaaaaaaaaaaaaaaaaa", "service_role"),
            &format!("{}.x", of(REFERENCE, "service_role")),
        ];
        for key in wrong {
            let doubt = secret(key, REFERENCE).unwrap_err();
            assert_eq!(doubt.class, Class::SecretInvalid, "{key}");
            assert!(PREFIX.starts_with(key) || !doubt.sentence.contains(key), "{key}: {doubt}");
        }
    }
}
