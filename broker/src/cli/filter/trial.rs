//! `sallyport filter test`.

use jiff::Timestamp;
use sallyport_policy::{BuiltIn, FilterSection, Policy, Protocol, ResolvedFilter, RulePoints, Service};
use sallyport_protocol_filter::Phase;
use sallyport_protocol_filter::modbus::{Mode, Rules};

use super::desktops;
use super::listing::{Act, Listing};
use super::replay::Replay;
use super::told::{Listener, Told};
use super::{CliError, Context, Test, place, said};
use crate::capture::Connection;
use crate::cli::policy;
use crate::tcp::journal::modbus_entry;
use crate::tcp::rules::{self, Dated, Known};

pub(super) async fn trial(arguments: Test, context: &Context) -> Result<(), CliError> {
    let name = arguments.filter.as_str();
    // A built-in filter without an asset needs no plant at all.
    let needs_plant = arguments.asset.is_some() || BuiltIn::named(name).is_none() || !arguments.plant.is_empty();
    let policy = if needs_plant { policy::policy(&arguments.plant, context).await? } else { Policy::empty() };
    let place = |asset| place(&policy, asset, arguments.service.as_ref(), arguments.protocol);
    let place = arguments.asset.as_ref().map(place).transpose()?;
    let service = place.map(|place| place.service);
    let protocol = service.map(|service| service.protocol).or(arguments.protocol).unwrap_or(Protocol::Modbus);
    let filter = filter(&policy, protocol, name, service)?;
    let wanted = arguments.traffic.wanted(place, protocol);
    let listing = Listing::begin(protocol.as_str(), context.json(), filter.mode);
    let (found, counts) = match protocol {
        Protocol::Vnc | Protocol::Rdp => desktops::trial(&filter, &arguments.pcap, wanted, listing)?,
        Protocol::Modbus | Protocol::Ssh | Protocol::Tcp => {
            let known = service.map(|service| Known::of(&policy, service)).unwrap_or_default();
            let mut replay = Replay::new(|now| dated(&filter, &known, now), listing);
            let found = replay.file(&arguments.pcap, wanted)?;
            let counts = replay.listener().end(&found)?;
            (found, counts)
        }
    };
    found.notes(&arguments.pcap);
    match (&found.fault, counts.complaint()) {
        (Some(fault), _) => Err(CliError::Failed(fault.to_string())),
        (None, Some(complaint)) => Err(CliError::Failed(complaint)),
        (None, None) => Ok(()),
    }
}

/// What is no filter for Modbus allows nothing; `filter` gives none such.
fn dated(filter: &ResolvedFilter, known: &Known, now: Timestamp) -> Dated {
    let nothing = || Dated { rules: Rules::new(&filter.name, Mode::Enforce, Vec::new(), Vec::new()), until: None };
    rules::dated(filter, known, &[], now).unwrap_or_else(nothing)
}

/// The filter of this name, as it is for a protocol.
fn filter(
    policy: &Policy,
    protocol: Protocol,
    name: &str,
    service: Option<&Service>,
) -> Result<ResolvedFilter, CliError> {
    let named = policy.filter(name);
    let unknown = || {
        CliError::Failed(match (named, BuiltIn::named(name)) {
            (Some(_), _) | (None, Some(_)) => {
                let then = BuiltIn::default_of(protocol).map_or("any security that both sides choose", BuiltIn::as_str);
                format!("filter `{name}` says nothing of {}, which then has `{then}`", said(protocol))
            }
            (None, None) => format!("the plant has no filter `{name}`, and none of that name is built in"),
        })
    };
    let filter = policy.filter_of(protocol, name, service).ok_or_else(unknown)?;
    let about_tags = |filter: &FilterSection| {
        let mut rules = filter.modbus.iter().flatten();
        rules.any(|rule| matches!(rule.points, RulePoints::Tags(_)))
    };
    if service.is_none() && named.is_some_and(about_tags) {
        return Err(CliError::Usage(format!(
            "filter `{name}` names tags: give the asset whose tags they are with `--asset`"
        )));
    }
    Ok(filter)
}

impl Listener for Listing {
    fn hear(&mut self, at: Timestamp, connection: &Connection, told: Told<'_>) {
        match told {
            Told::Operation(operation) if operation.phase == Phase::Request => {
                let entry = || modbus_entry(operation);
                let act = Act { verdict: operation.verdict, text: operation.act().to_string(), entry: &entry };
                self.operation(at, connection, &act);
            }
            Told::Operation(_) => {}
            Told::Malformed(malformed) => self.malformed(at, connection, malformed),
            Told::Cut(cut) => self.cut(at, connection, cut),
        }
    }

    fn is_done(&self) -> bool {
        self.is_broken()
    }
}
