//! Messages of syslog (RFC 5424), and how a stream tells them apart.

use crate::audit::Severity;
use crate::config::Format;

use super::cef;
use super::message::{Message, What};

/// The message, with its body in this format.
pub(super) fn rendered(message: &Message, format: Format, facility: u8) -> String {
    let priority = u16::from(facility) * 8 + u16::from(level(message.severity()));
    let (at, host, body) = (message.at, word(&message.broker, 255), body(message, format));
    let (id, data) = match &message.what {
        What::Event(event) => {
            let mut data = format!("[{ID}");
            let fields = [
                ("code", Some(event.code.as_str())),
                ("event", Some(event.name.as_str())),
                ("id", Some(event.id.as_str())),
                ("severity", Some(event.severity.as_str())),
                ("identity", event.identity.as_deref()),
                ("session", event.session.as_deref()),
            ];
            for (name, value) in fields {
                data.extend(value.map(|value| format!(" {name}=\"{}\"", escaped(value))));
            }
            (event.code.as_str(), data + "]")
        }
        What::Head(head) => ("HEAD", format!("[{ID} head=\"{}\" hash=\"{}\"]", head.seq, escaped(&head.hash))),
    };
    format!("<{priority}>1 {at} {host} sallyport - {id} {data} {body}")
}

/// What it says.
pub(super) fn body(message: &Message, format: Format) -> String {
    match format {
        Format::Json => message.body.clone(),
        Format::Cef => cef::rendered(message),
    }
}

/// With the number of its octets before it (RFC 6587 section 3.4.1, RFC 5425 section 4.3).
pub(super) fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// The severity of syslog (RFC 5424 table 2). What is an alarm has the one that wakes people.
pub(super) fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Alert => 1,
        Severity::Warning => 4,
        Severity::Notice => 5,
        Severity::Info => 6,
    }
}

/// A word of the header: visible ASCII.
fn word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// A value of structured data: nothing in it may end it, nor act on whoever reads it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in sallyport_plain::printable(text).chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Who gives the fields their meaning. 32473 is the number of nobody's own (RFC 5612).
const ID: &str = "sallyport@32473";
