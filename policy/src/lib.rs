//! Who may reach what in a plant: the plant file, the decision, and its reasons.
//!
//! ```text
//! plant files ──Policy::parse──► Policy ──decide(request, now)──► Deny | NeedApproval | NeedFactors | Permit(Terms)
//! ```
//!
//! Everything here is pure: no file, socket or clock. Time is an argument, and the text of the plant files is handed in.
//! `docs/plant-file.md` describes the plant file for administrators, `docs/adr/0002-policy-decisions.md` the decisions.

mod access_request;
mod approval;
mod asset;
mod break_glass;
mod decide;
mod decision;
mod doubts;
mod duration;
mod emergency;
mod error;
mod evaluate;
mod explain;
mod factors;
mod filter;
mod modbus;
mod names;
mod network;
mod parse;
mod place;
mod points;
mod policy;
mod reach;
mod request;
mod resolve;
mod role;
mod selector;
mod subject;
pub mod tables;
mod tags;
mod terms;
mod window;
mod window_rule;
mod write_window;

pub use access_request::{
    AccessRequest, ApprovalDenial, RequestDenial, RequestState, Requestable, WAITS, approved, lasting, lasting_text,
    may_approve, may_request, request_state,
};
pub use approval::Approval;
pub use asset::{
    Account, AccountAuth, Asset, AssetAlgorithms, Conduit, Protocol, PurdueLevel, Service, Tolerated, Zone,
};
pub use break_glass::{BreakGlass, EmergencyRef};
pub use decide::{decide, decide_again, held_permit};
pub use decision::{Decision, Denial, DenialReason, NeedFactors, Permit, PermitRule, Unmet};
pub use duration::display as written_duration;
pub use emergency::{LiftedTimes, decide_emergency, decide_lifted, decide_lifted_again};
pub use error::{PlantError, PlantErrors, PlantFile};
pub use explain::{AtOnce, EmergencyExplanation, Explanation, GrantExplanation, explain};
pub use factors::{FactorKind, Proof};
pub use filter::{BuiltIn, ClipboardWay, FilterMode, FilterSection, RdpFilter, RdpSecurity, VncFilter};
pub use modbus::{ModbusFunction, ModbusRule, OperationKind, RulePoints, UnitRange, ValueLimits};
pub use names::{AccountName, AssetId, IdentityId, NameError, RequestId, RoleId, ServiceName, WindowId, ZoneId};
pub use network::{Network, NetworkError};
pub use place::Place;
pub use points::{PointError, PointRange, Table};
pub use policy::Policy;
pub use reach::{Claimant, GrantedWay, Reach};
pub use request::{LiveSession, Request};
pub use resolve::{ModbusBase, ModbusRules, ProtocolRules, ResolvedFilter, ResolvedPoints, ResolvedRule, Validity};
pub use role::{ApprovalRule, Forbid, ForbidRef, Grant, NotARule, Role, RuleRef};
pub use selector::{AssetSelector, Glob, IdentitySelector};
pub use subject::Subject;
pub use tags::{ByteOrder, Tag, TagList, TagType, WordOrder};
pub use terms::{ChannelKind, FileTransfer, OnEnd, RecorderTrouble, Terms};
pub use window::{DayTime, Days, Stretch, When, Window};
pub use window_rule::{Beneficiary, WindowRule, WindowRuleRef};
pub use write_window::{Opening, OpeningDenial, WindowPoints, WindowPointsError, WriteWindow, may_open};

/// Reads an instant as plant files and decision tables write it: with its offset from UTC
/// (`2026-12-01T06:00:00+01:00`, `…Z`) or with its time zone (`2026-12-01T06:00:00[Europe/Oslo]`).
pub fn instant(text: &str) -> Option<jiff::Timestamp> {
    parse::instant(text)
}

/// Which of the known words was probably meant: the same but for case, or one or a few slips away.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    parse::nearest(word, known)
}
