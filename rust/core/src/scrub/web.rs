//! What nets give names to: mail boxes, places with credentials, machines.

use std::net::Ipv6Addr;
use std::str::FromStr;

use super::shadow::MASK;
use super::{Hit, Kind, hint_before, word_at, word_before};

/// Letters, digits and what RFC 5322 calls atext; text beyond ASCII is allowed by RFC 6531.
fn is_local(c: char) -> bool {
    c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

fn is_domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '.' | '_')
}

/// E-mail addresses.
pub(super) fn emails(text: &str, hits: &mut Vec<Hit>) {
    for (at, _) in text.match_indices('@') {
        let (before, after) = (&text[..at], &text[at + 1..]);
        // A space on one side may have slipped in; on both, what follows is where somebody is.
        let slips = (usize::from(before.ends_with(' ')), usize::from(after.starts_with(' ')));
        let slips = if slips == (1, 1) { (0, 0) } else { slips };
        let (before, after) = (&before[..at - slips.0], &after[slips.1..]);
        let local = match before.strip_suffix('"').and_then(|quoted| quoted.rfind('"')) {
            Some(quote) => &before[quote..],
            None => {
                &before[before
                    .rfind(|c| !is_local(c))
                    .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8))..]
            }
        };
        // Quotes and brackets around an address are none of it; nor is the query string before it.
        let local = local.trim_start_matches(['.', '\'', '`', '/', '=', '?', '&', '!', '{', '|', '*', '#']);
        let domain = &after[..after.find(|c| !is_domain(c)).unwrap_or(after.len())];
        let domain = domain.trim_end_matches(['.', '-', '_']);
        // More of a word may have run into it; a version (pkg@1.2.0) has no label of letters.
        let named = domain.split('.').skip(1).any(|label| {
            label.starts_with("xn--") || label.chars().take(2).filter(|c| c.is_alphabetic()).count() == 2
        });
        if local.is_empty()
            || !named
            || domain.starts_with('.')
            || slips != (0, 0) && !is_host(domain)
            || slips.0 == 1 && !is_box(local, domain)
        {
            continue;
        }
        let end = at + 1 + slips.1 + domain.len();
        hits.push(Hit { range: at - slips.0 - local.len()..end, kind: Kind::Email });
    }
}

/// What most hosts with mail boxes end in; not what names of files end in (`rs`, `py`, `md`, `sh`), too.
const TOP: [&str; 62] = [
    "com", "org", "net", "edu", "gov", "mil", "info", "biz", "io", "co", "me", "dev", "app", "eu", "de",
    "at", "ch", "fr", "es", "it", "pt", "nl", "be", "lu", "uk", "ie", "us", "ca", "au", "nz", "in", "jp",
    "cn", "kr", "tw", "hk", "sg", "id", "th", "vn", "my", "ph", "br", "mx", "ar", "cl", "pe", "ru", "ua",
    "pl", "cz", "sk", "hu", "ro", "bg", "gr", "tr", "se", "no", "dk", "fi", "za",
];

/// Whether a domain ends as hosts do.
fn is_host(domain: &str) -> bool {
    let (name, top) = domain.rsplit_once('.').unwrap_or_default();
    name.chars().any(char::is_alphabetic) && TOP.iter().any(|t| t.eq_ignore_ascii_case(top))
}

/// Who gives boxes to everybody, by the first label of the domain.
const PROVIDERS: [&str; 48] = [
    "gmail",
    "googlemail",
    "yahoo",
    "ymail",
    "hotmail",
    "outlook",
    "live",
    "msn",
    "icloud",
    "me",
    "mac",
    "aol",
    "gmx",
    "web",
    "t-online",
    "freenet",
    "mail",
    "email",
    "yandex",
    "bk",
    "inbox",
    "qq",
    "163",
    "126",
    "sina",
    "foxmail",
    "naver",
    "hanmail",
    "daum",
    "proton",
    "protonmail",
    "orange",
    "wanadoo",
    "free",
    "laposte",
    "libero",
    "virgilio",
    "wp",
    "o2",
    "onet",
    "interia",
    "seznam",
    "uol",
    "bol",
    "comcast",
    "btinternet",
    "rediffmail",
    "fastmail",
];

/// Whether a word before a space and `@` is a box, or somebody is written of ("follow @bbc.co.uk").
fn is_box(local: &str, domain: &str) -> bool {
    let first = domain.split('.').next().unwrap_or_default();
    local.contains(|c: char| !c.is_alphabetic()) || PROVIDERS.iter().any(|p| p.eq_ignore_ascii_case(first))
}

/// Parameters whose values let their bearer in.
const BEARERS: [&str; 34] = [
    "token",
    "auth",
    "secret",
    "password",
    "passwd",
    "pwd",
    "pass",
    "signature",
    "sig",
    "apikey",
    "api_key",
    "api-key",
    "session",
    "sessionid",
    "sid",
    "jsessionid",
    "phpsessid",
    "key",
    "credential",
    "code",
    "otp",
    "ticket",
    "reset",
    "hash",
    "hmac",
    "jwt",
    "access",
    "bearer",
    "login",
    "user",
    "email",
    "invite",
    "magic",
    "nonce",
];

/// URLs that carry a password, a token or a signature, whole.
pub(super) fn urls(text: &str, hits: &mut Vec<Hit>) {
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let start = at;
        at += word.len();
        let word = word.trim_end();
        if !word.bytes().any(|b| matches!(b, b'/' | b'?')) {
            continue;
        }
        let lead = word.len() - word.trim_start_matches(['"', '\'', '(', '[', '<', '{', '`']).len();
        let url =
            word[lead..].trim_end_matches(['"', '\'', ')', ']', '>', '}', '`', ',', '.', '?', '!', ';']);
        if carries(url) {
            hits.push(Hit { range: start + lead..start + lead + url.len(), kind: Kind::UrlToken });
        }
    }
}

fn carries(url: &str) -> bool {
    let rest = match url.find("://") {
        Some(i) => &url[i + 3..],
        None if url.contains('/') || url.contains('?') => url,
        None => return false,
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let has_host =
        authority.contains('.') || authority.starts_with("localhost") || authority.starts_with('[');
    if url.contains("://") && authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return true;
    }
    if !has_host {
        return false;
    }
    let rest = &rest[authority.len()..];
    let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let parameters = rest[path.len()..].split(['?', '#', '&', ';']).chain(path.split(';').skip(1));
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        // What was scrubbed before is no secret any more.
        let value = value.trim_matches(MASK);
        let least = if is_password(name) { 1 } else { 4 };
        if value.len() >= least && (bears(name) || looks_random(value)) {
            return true;
        }
    }
    let mut handed_out = false;
    path.split('/').any(|part| {
        let mixed = part.bytes().any(|b| b.is_ascii_digit())
            || (part.bytes().any(|b| b.is_ascii_uppercase()) && part.bytes().any(|b| b.is_ascii_lowercase()));
        let secret = handed_out && part.len() >= 12 && mixed;
        let lower = part.to_ascii_lowercase();
        handed_out = HANDED_OUT.iter().any(|word| lower.contains(word));
        secret || looks_random(part)
    })
}

/// Words in a path after which something comes that lets its bearer in.
const HANDED_OUT: [&str; 14] = [
    "reset",
    "recover",
    "magic",
    "verify",
    "verif",
    "confirm",
    "activat",
    "invit",
    "token",
    "unsubscribe",
    "login",
    "auth",
    "password",
    "signup",
];

/// Whether a parameter's name, or a word of it, is of [`BEARERS`].
fn bears(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    BEARERS.contains(&name.as_str())
        || name.split(['_', '-', '.', '[', ']']).any(|word| BEARERS[..21].contains(&word))
        || name.ends_with("token")
        || name.ends_with("sessionid")
        || name.ends_with("apikey")
        || name.ends_with("secret")
        || name.ends_with("password")
}

/// Whether a parameter is for passwords, which may be short.
fn is_password(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is = |word: &str| matches!(word, "password" | "passwd" | "pwd" | "pass");
    name.split(['_', '-', '.', '[', ']']).any(is) || name.ends_with("password") || name.ends_with("passwd")
}

/// Twenty characters or more without a word boundary, letters and digits in turn: what is handed out, not what is named.
fn looks_random(value: &str) -> bool {
    let core = value.trim_end_matches('=');
    core.len() >= 20
        && core.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'%' | b'+'))
        && core.bytes().filter(u8::is_ascii_digit).count() >= 3
        && core.split(['-', '_', '.']).any(|piece| {
            let turns =
                piece.as_bytes().windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit());
            piece.len() >= 16 && turns.count() >= 3
        })
}

/// Characters of the longest address, its zone aside.
const LONGEST: usize = 48;

/// IPv4, IPv6 and hardware addresses.
pub(super) fn addresses(text: &[u8], hits: &mut Vec<Hit>) {
    let hexish = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'-' | b'%');
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_hexdigit() && text[at] != b':' || word_before(text, at) {
            at += 1;
            continue;
        }
        let end = at + text[at..].iter().take(LONGEST).take_while(|b| hexish(**b)).count();
        let found = mac(text, at).or_else(|| v6(text, at, end)).or_else(|| v4(text, at));
        match found {
            Some(hit) => {
                at = hit.range.end;
                hits.push(hit);
            }
            // Words that begin inside this stretch have their turn.
            None => at += text[at..].iter().take_while(|b| b.is_ascii_alphanumeric()).count().max(1),
        }
    }
}

fn mac(text: &[u8], at: usize) -> Option<Hit> {
    let hex =
        |from: usize, n: usize| text.get(from..from + n).is_some_and(|t| t.iter().all(u8::is_ascii_hexdigit));
    let groups = |n: usize, width: usize, separators: &[u8]| {
        let separator = *text.get(at + width)?;
        let whole = separators.contains(&separator)
            && (0..n).all(|i| hex(at + i * (width + 1), width))
            && (1..n).all(|i| text[at + i * (width + 1) - 1] == separator);
        let end = at + n * (width + 1) - 1;
        let goes_on = text.get(end) == Some(&separator) && word_at(text, end + 1);
        (whole && !word_at(text, end) && !goes_on).then_some(end)
    };
    let end = groups(6, 2, b":-").or_else(|| {
        // Three groups of four are a part number, too, unless there are letters among them.
        groups(3, 4, b".").filter(|end| text[at..*end].iter().any(u8::is_ascii_alphabetic))
    })?;
    // Six pairs of digits with dashes are drawn in lotteries.
    if text[at + 2] == b'-' && !text[at..end].iter().any(u8::is_ascii_alphabetic) {
        return None;
    }
    Some(Hit { range: at..end, kind: Kind::Mac })
}

fn v6(text: &[u8], at: usize, end: usize) -> Option<Hit> {
    let stretch = std::str::from_utf8(&text[at..end]).ok()?;
    let address = stretch.split('%').next()?.trim_end_matches(['.', '-']);
    let address = if address.ends_with(':') && !address.ends_with("::") {
        &address[..address.len() - 1]
    } else {
        address
    };
    let groups = address.split([':', '.']).filter(|g| !g.is_empty()).count();
    // a::b is a name in some languages' programs.
    let telling =
        groups >= 3 || (groups >= 1 && address.bytes().any(|b| b.is_ascii_digit()) && address.len() >= 6);
    if address.matches(':').count() < 2 || !telling || word_at(text, at + address.len()) {
        return None;
    }
    Ipv6Addr::from_str(address).ok()?;
    let mut to = at + address.len();
    if text.get(to) == Some(&b'%') {
        to += 1 + text[to + 1..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    }
    Some(Hit { range: at..to, kind: Kind::Ip })
}

/// Words whose four numbers are a version.
const VERSIONED: [&str; 14] = [
    "v", "ver", "version", "firmware", "build", "release", "driver", "update", "patch", "rev", "revision",
    "chrome", "sdk", "bios",
];

fn v4(text: &[u8], at: usize) -> Option<Hit> {
    if at > 0 && (text[at - 1] == b'.' && at > 1 && text[at - 2].is_ascii_digit()) {
        return None;
    }
    let mut end = at;
    for i in 0..4 {
        if i > 0 {
            if text.get(end) != Some(&b'.') {
                return None;
            }
            end += 1;
        }
        let n = text[end..].iter().take_while(|b| b.is_ascii_digit()).count();
        let octet = std::str::from_utf8(&text[end..end + n]).ok()?;
        if n == 0 || n > 3 || octet.parse::<u16>().ok()? > 255 || (n > 1 && octet.starts_with('0')) {
            return None;
        }
        end += n;
    }
    let goes_on = text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit);
    if goes_on || is_release(&text[end..]) || VERSIONED.contains(&hint_before(text, at).as_str()) {
        return None;
    }
    Some(Hit { range: at..end, kind: Kind::Ip })
}

/// Whether what follows four numbers at once makes them a version: `rc1`, `b2`, `beta`.
fn is_release(after: &[u8]) -> bool {
    let letters = after.iter().take(LONGEST).take_while(|b| b.is_ascii_alphabetic()).count();
    let numbered = after.get(letters).is_some_and(u8::is_ascii_digit);
    match &after[..letters] {
        b"" => numbered,
        b"beta" | b"alpha" | b"rc" | b"dev" | b"pre" | b"post" | b"final" => true,
        b"a" | b"b" | b"p" | b"r" | b"el" | b"fc" => numbered,
        _ => false,
    }
}
