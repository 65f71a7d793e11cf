//! What whoever comes is shown before a login.

use crate::broker::Broker;

/// The notice of the configuration, and while the database is away what nobody can do then, and what can be done.
pub(super) fn before_login(broker: &Broker) -> Option<String> {
    let greeting = broker.greetings.now();
    let mut shown = String::new();
    if !greeting.notice.is_empty() {
        shown.push_str(greeting.notice.trim_end());
        shown.push('\n');
    }
    if !*broker.store.available().borrow() {
        shown.push_str("The broker does not reach its database: nobody can log in now.\n");
        if broker.policy.current().break_glass().next().is_some() {
            let name = greeting.names.first().map_or("BROKER", String::as_str);
            shown.push_str(&format!("In an emergency, an envelope opens: ssh glass@{name}\n"));
        }
    }
    (!shown.is_empty()).then_some(shown)
}
