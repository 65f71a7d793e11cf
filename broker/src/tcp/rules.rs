//! From what the plant file says to what a protocol filter judges by.

use jiff::Timestamp;
use sallyport_policy::{
    ByteOrder, ClipboardWay, FilterMode, ModbusBase, ModbusRules, OperationKind, Policy, ProtocolRules, RdpSecurity,
    ResolvedFilter, ResolvedPoints, ResolvedRule, Service, Stretch, TagType, Terms, Tolerated,
};
use sallyport_protocol_filter::modbus::{self, Device, Function, Limits, Points, Rule, Tolerance, Units, ValueType};
use sallyport_protocol_filter::{Kind, Mode, rdp, rfb};

use crate::live::Endpoint;

/// The rules of a Modbus session at a moment, and when they have to be made anew.
pub(crate) struct Dated {
    /// What the filter judges by: every rule with the stretch of time that is open, or comes next.
    pub(crate) rules: modbus::Rules,
    /// When the first of these stretches is over.
    pub(crate) until: Option<Timestamp>,
}

/// The rules that the terms of a session mean now, with what windows add. `None` where the asset or its service has left
/// the plant: then the session ends, and until then nothing is allowed.
pub(crate) fn modbus(
    policy: &Policy,
    of: Endpoint<'_>,
    terms: &Terms,
    windows: &[ResolvedRule],
    now: Timestamp,
) -> Option<Dated> {
    let filter = policy.filter_for(of.asset, of.service, terms)?;
    let service = policy.asset(of.asset)?.services.get(of.service)?;
    dated(&filter, &Known::of(policy, service), windows, now)
}

/// What the plant says of a Modbus service beside who may do what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Its tags.
    pub(crate) tags: Vec<modbus::Tag>,
    /// What is known of the device.
    pub(crate) device: Device,
}

impl Known {
    /// What the plant says of a service.
    pub(crate) fn of(policy: &Policy, service: &Service) -> Self {
        let tolerances = service.tolerate.iter().copied().map(tolerance).collect();
        Self { tags: tags(policy, service), device: Device { tolerances, takes_rtu: service.takes_rtu } }
    }
}

/// The rules that a filter means now. `None` if it is not for Modbus.
pub(crate) fn dated(filter: &ResolvedFilter, known: &Known, windows: &[ResolvedRule], now: Timestamp) -> Option<Dated> {
    let ProtocolRules::Modbus(ModbusRules { base, rules: written }) = &filter.rules else { return None };
    let mut rules = match base {
        ModbusBase::Nothing => Vec::new(),
        ModbusBase::ReadOnly => modbus::Rules::read_only().rules().to_vec(),
        ModbusBase::Full => modbus::Rules::full().rules().to_vec(),
    };
    let mut until: Option<Timestamp> = None;
    for each in written.iter().chain(windows) {
        let Some(stretch) = each.stretch(now) else { continue };
        if stretch.until < Timestamp::MAX {
            until = Some(until.map_or(stretch.until, |earlier| earlier.min(stretch.until)));
        }
        rules.push(rule(each, stretch));
    }
    let rules = modbus::Rules::new(&filter.name, mode(filter.mode), rules, known.tags.clone()).on(known.device);
    Some(Dated { rules, until })
}

/// The tags of a service.
pub(crate) fn tags(policy: &Policy, service: &Service) -> Vec<modbus::Tag> {
    policy.tags_of(service).map(|list| list.tags().map(tag).collect()).unwrap_or_default()
}

/// What the terms of a session mean for VNC. Where the service has left the plant: the picture only, until the session ends.
pub(crate) fn vnc(policy: &Policy, of: Endpoint<'_>, terms: &Terms) -> rfb::Rules {
    let filter = policy.filter_for(of.asset, of.service, terms);
    filter.as_ref().and_then(vnc_of).unwrap_or_else(rfb::Rules::view_only)
}

/// What a filter means for VNC. `None` if it is not for that.
pub(crate) fn vnc_of(filter: &ResolvedFilter) -> Option<rfb::Rules> {
    let ProtocolRules::Vnc(rules) = &filter.rules else { return None };
    Some(rfb::Rules {
        input: rules.input,
        clipboard_to_asset: rules.clipboard.contains(&ClipboardWay::ToAsset),
        clipboard_from_asset: rules.clipboard.contains(&ClipboardWay::FromAsset),
        mode: mode(filter.mode),
    })
}

/// What the terms of a session mean for RDP. Where the service has left the plant: the most, until the session ends.
pub(crate) fn rdp(policy: &Policy, of: Endpoint<'_>, terms: &Terms) -> rdp::Rules {
    let filter = policy.filter_for(of.asset, of.service, terms);
    let most = rdp::Rules { require: rdp::Require::Nla, mode: Mode::Enforce };
    filter.as_ref().and_then(rdp_of).unwrap_or(most)
}

/// What a filter means for RDP. `None` if it is not for that.
pub(crate) fn rdp_of(filter: &ResolvedFilter) -> Option<rdp::Rules> {
    let ProtocolRules::Rdp(rules) = &filter.rules else { return None };
    let require = match rules.require {
        RdpSecurity::Any => rdp::Require::Any,
        RdpSecurity::Tls => rdp::Require::Tls,
        RdpSecurity::Nla => rdp::Require::Nla,
    };
    Some(rdp::Rules { require, mode: mode(filter.mode) })
}

fn mode(written: FilterMode) -> Mode {
    match written {
        FilterMode::Enforce => Mode::Enforce,
        FilterMode::Observe => Mode::Observe,
    }
}

fn rule(written: &ResolvedRule, stretch: Stretch) -> Rule {
    let points = match &written.points {
        ResolvedPoints::Everywhere => Vec::new(),
        ResolvedPoints::Ranges(ranges) => {
            ranges.iter().map(|range| Points::range(table(range.table()), range.first(), range.last())).collect()
        }
        ResolvedPoints::Tags(tags) => tags.iter().map(|each| Points::Tag(tag(each))).collect(),
    };
    let units = match &written.units {
        None => Units::default(),
        Some(ranges) => ranges.iter().flat_map(|range| range.first()..=range.last()).collect(),
    };
    let functions = written.functions.iter().map(|function| match function.sub {
        None => Function::new(function.code),
        Some(sub) => Function::with_sub(function.code, sub),
    });
    Rule {
        name: written.name.clone(),
        kinds: written.operations.iter().copied().map(kind).collect(),
        functions: functions.collect(),
        units,
        points,
        limits: written.values.as_ref().map(|values| Limits {
            min: values.min,
            max: values.max,
            allowed: values.allowed.clone().unwrap_or_default(),
            max_step: values.max_step,
            bits: values.bits,
        }),
        per_minute: written.per_minute,
        from: (stretch.from > Timestamp::MIN).then(|| stretch.from.as_millisecond()),
        until: (stretch.until < Timestamp::MAX).then(|| stretch.until.as_millisecond()),
    }
}

fn tolerance(written: Tolerated) -> Tolerance {
    match written {
        Tolerated::Unit => Tolerance::Unit,
        Tolerated::Transaction => Tolerance::Transaction,
        Tolerated::Length => Tolerance::Length,
        Tolerated::Surplus => Tolerance::Surplus,
    }
}

fn kind(written: OperationKind) -> Kind {
    match written {
        OperationKind::Read => Kind::Read,
        OperationKind::Write => Kind::Write,
        OperationKind::Control => Kind::Control,
        OperationKind::Program => Kind::Program,
        OperationKind::Diagnose => Kind::Diagnose,
    }
}

fn table(written: sallyport_policy::Table) -> modbus::Table {
    match written {
        sallyport_policy::Table::Coil => modbus::Table::Coils,
        sallyport_policy::Table::DiscreteInput => modbus::Table::DiscreteInputs,
        sallyport_policy::Table::InputRegister => modbus::Table::InputRegisters,
        sallyport_policy::Table::Register => modbus::Table::Registers,
    }
}

fn tag(written: &sallyport_policy::Tag) -> modbus::Tag {
    modbus::Tag {
        name: written.name.clone(),
        table: table(written.table),
        address: written.address,
        value_type: match written.kind {
            TagType::Bool => ValueType::Bool,
            TagType::U16 => ValueType::U16,
            TagType::I16 => ValueType::I16,
            TagType::U32 => ValueType::U32,
            TagType::I32 => ValueType::I32,
            TagType::U64 => ValueType::U64,
            TagType::I64 => ValueType::I64,
            TagType::F32 => ValueType::F32,
            TagType::F64 => ValueType::F64,
        },
        order: match (written.word_order, written.byte_order) {
            (sallyport_policy::WordOrder::Big, ByteOrder::Big) => modbus::WordOrder::Big,
            (sallyport_policy::WordOrder::Little, ByteOrder::Big) => modbus::WordOrder::Little,
            (sallyport_policy::WordOrder::Big, ByteOrder::Little) => modbus::WordOrder::BigSwapped,
            (sallyport_policy::WordOrder::Little, ByteOrder::Little) => modbus::WordOrder::LittleSwapped,
        },
        bit: written.bit,
        scale: written.scale,
        offset: written.offset,
        unit: written.unit.clone().unwrap_or_default(),
    }
}
