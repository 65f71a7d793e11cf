//! `sallyport recording verify`.

use sallyport_session_recorder::types::VerifyingKey;

use super::bundle::prove_excerpt;
use super::folder::prove_against;
use super::inventory::{hold, prove_all};
use super::proof::{Proof, prove_one};
use super::source::Source;
use super::{CliError, Context, Verify};
use crate::recording::ledger::Ledger;

/// Proves what was named, and says what is not whole.
pub(super) async fn verify(arguments: Verify, context: &Context) -> Result<(), CliError> {
    let keys = context.evidence_keys(&arguments.public_key).await?;
    let mut proofs = Vec::new();
    let mut chain = String::new();
    let all = match &arguments.audit {
        _ if arguments.all => Some(prove_all(context, &keys).await?),
        Some(audit) => Some(prove_against(audit, &arguments, &keys)?),
        None => None,
    };
    let many = all.is_some();
    if let Some(inventory) = all {
        chain = format!("audit chain: whole, {} entries\n", inventory.chain.entries);
        if let (Some((seq, hash)), Some(_)) = (&inventory.chain.head, &arguments.audit) {
            chain.push_str(&format!("  head: {seq}:{hash}\n"));
        }
        if !inventory.chain.whole() {
            chain.clear();
            proofs.push(Proof::of_chain(&inventory.chain.faults));
        }
        proofs.extend(inventory.proofs);
    } else {
        for named in &arguments.recordings {
            proofs.push(prove_named(named, context, &keys).await?);
        }
    }
    if context.json() {
        match proofs.as_slice() {
            [proof] if !many => context.print_json(proof)?,
            proofs => context.print_json(proofs)?,
        }
    } else {
        context.print(&(chain + &proofs.iter().map(Proof::text).collect::<String>()))?;
    }
    let elsewhere = proofs.iter().filter(|proof| proof.verdict == "elsewhere").count();
    if elsewhere > 0 {
        eprintln!("sallyport: {elsewhere} recordings lie with other brokers and are not proven here");
    }
    let faults = proofs.iter().filter(|proof| !proof.stands(arguments.allow_unsealed)).count();
    match faults {
        0 => Ok(()),
        1 if proofs.len() == 1 => Err(CliError::Failed("the recording is not proven whole".to_owned())),
        _ => Err(CliError::Failed(format!("{faults} of {} recordings are not proven whole", proofs.len()))),
    }
}

/// One file, or one session: of that the chain is asked too, though not proven.
pub(super) async fn prove_named(named: &str, context: &Context, keys: &[VerifyingKey]) -> Result<Proof, CliError> {
    let source = Source::find(named, context).await?;
    if let Some(folder) = source.shared.clone() {
        let mut proof = prove_one(named.to_owned(), source, keys);
        let Some(verification) = &proof.verification else { return Ok(proof) };
        let excerpt = prove_excerpt(&folder, verification, keys);
        proof.note = excerpt.note;
        return Ok(proof.with(excerpt.faults));
    }
    let Some(recording) = source.recording.clone() else {
        return Ok(prove_one(named.to_owned(), source, keys));
    };
    let facts = Ledger::of_session(context.store().await?, &recording.start.session).await.map_err(CliError::failed)?;
    let proof = prove_one(named.to_owned(), source, keys);
    let head = proof.verification.as_ref().map(|verification| verification.head.clone());
    let mut faults = facts.against(head.as_deref());
    faults.extend(hold(&recording, &facts));
    Ok(proof.with(faults))
}
