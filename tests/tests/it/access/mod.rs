//! Who may reach what: what `policy explain`, `policy access` and `plan` say of it, against what the gate does.

mod doubts;
mod explain;
mod plan;
mod report;
