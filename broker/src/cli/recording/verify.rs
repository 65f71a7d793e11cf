//! `sallyport recording verify`.

use sallyport_session_recorder::types::VerifyingKey;

use super::inventory::prove_all;
use super::proof::{Proof, prove_one};
use super::source::{Source, trusted};
use super::{CliError, Context, Verify};
use crate::recording::ledger::Ledger;

/// Proves what was named, and says what is not whole.
pub(super) async fn verify(arguments: Verify, context: &Context) -> Result<(), CliError> {
    let keys = trusted(&arguments.public_key, context).await?;
    let mut proofs = Vec::new();
    let mut chain = String::new();
    if arguments.all {
        let inventory = prove_all(context, &keys).await?;
        chain = format!("audit chain: whole, {} entries\n", inventory.chain.entries);
        if !inventory.chain.whole() {
            chain.clear();
            proofs.push(Proof::of_chain(&inventory.chain.faults));
        }
        proofs.extend(inventory.proofs);
    }
    for named in &arguments.recordings {
        proofs.push(prove_named(named, context, &keys).await?);
    }
    if context.json() {
        match proofs.as_slice() {
            [proof] if !arguments.all => context.print_json(proof)?,
            many => context.print_json(many)?,
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
async fn prove_named(named: &str, context: &Context, keys: &[VerifyingKey]) -> Result<Proof, CliError> {
    let source = Source::find(named, context).await?;
    let Some(session) = source.recording.as_ref().map(|recording| recording.start.session.clone()) else {
        return Ok(prove_one(named.to_owned(), source, keys));
    };
    let facts = Ledger::of_session(context.store().await?, &session).await.map_err(CliError::failed)?;
    let proof = prove_one(named.to_owned(), source, keys);
    let head = proof.verification.as_ref().map(|verification| verification.head.clone());
    Ok(proof.with(facts.against(head.as_deref())))
}
