//! `sallyport identity totp`: an authenticator is shown, proven by a code, and in force then.

use std::io::{BufRead, IsTerminal};

use jiff::Timestamp;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use sallyport_policy::IdentityId;

use super::{failed, here, told};
use crate::cli::{CliError, Context};
use crate::identity::admin::{Admin, AdminError, Enrollment};
use crate::totp::{TotpAlgorithm, TotpSettings, TotpSettingsError};
use crate::vault::Secret;

/// `sallyport identity totp …`
#[derive(Debug, clap::Args)]
pub struct TotpCommand {
    /// The name at login
    name: IdentityId,
    /// The hash; apps expect sha1
    #[arg(long, value_enum, default_value = "sha1")]
    algorithm: TotpAlgorithm,
    /// How long a code is: 6 or 8
    #[arg(long, default_value_t = 6)]
    digits: i64,
    /// How many seconds a code stands
    #[arg(long, default_value_t = 30)]
    period: i64,
    /// Read the code that proves it from standard input, a line for each try
    #[arg(long, conflicts_with_all = ["unproven", "remove"])]
    code_stdin: bool,
    /// Put it in force without a code: nobody knows then whether its owner has it, and the record says so
    #[arg(long, conflicts_with = "remove")]
    unproven: bool,
    /// Take the authenticator away, with its recovery codes and leases
    #[arg(long)]
    remove: bool,
}

/// Enrols an authenticator, or takes it away.
pub(super) async fn run(admin: &Admin, command: TotpCommand, context: &Context) -> Result<(), CliError> {
    let TotpCommand { name, algorithm, digits, period, code_stdin, unproven, remove } = command;
    if remove {
        admin.remove_totp(&name, Timestamp::now()).await.map_err(failed)?;
        return told(&name, "has no authenticator any more", context);
    }
    let usage = |error: TotpSettingsError| CliError::Usage(error.to_string());
    let settings = TotpSettings {
        algorithm,
        digits: digits.try_into().map_err(usage)?,
        period: period.try_into().map_err(usage)?,
    };
    let issuer = format!("Sallyport {}", context.config()?.name);
    if unproven {
        let enrollment = admin.enroll_totp(&name, settings, &issuer, Timestamp::now()).await.map_err(failed)?;
        return show(&name, &enrollment, context);
    }
    if !code_stdin && !std::io::stdin().is_terminal() {
        return Err(CliError::Usage(
            "there is no terminal to ask for a code that proves it; give `--code-stdin`, or `--unproven`".to_owned(),
        ));
    }
    // Nobody is shown a code for a name that nobody has.
    here(&name, context).await?;
    let proposed = Proposed { seed: settings.new_seed(), name, settings };
    let shown = Enrollment::of(&proposed.name, settings, &issuer, &proposed.seed);
    show(&proposed.name, &shown, context)?;
    prove(admin, &proposed, code_stdin, context).await
}

/// What nobody has proven yet. It is kept nowhere else: whatever was enrolled before is in force.
struct Proposed {
    name: IdentityId,
    settings: TotpSettings,
    seed: Secret<Vec<u8>>,
}

/// Asks for a code until one is right, or too often.
async fn prove(admin: &Admin, proposed: &Proposed, code_stdin: bool, context: &Context) -> Result<(), CliError> {
    let Proposed { name, settings, seed } = proposed;
    for _ in 0..TRIES {
        if !code_stdin {
            eprint!("Code that the app shows: ");
        }
        let code = line(std::io::stdin().lock())?;
        let now = Timestamp::now();
        match admin.enroll_proven_totp(name, *settings, seed, code.expose(), now).await {
            Ok(()) if context.json() => return Ok(()),
            Ok(()) => return context.print("The authenticator is in force.\n"),
            Err(AdminError::WrongCode) if settings.nearby(seed, code.expose(), now).is_some() => {
                eprintln!(
                    "sallyport: this code is right at another time: is the phone's clock wrong, or the broker's?"
                );
            }
            Err(AdminError::WrongCode) => eprintln!("sallyport: this is not its code"),
            Err(error) => return Err(failed(error)),
        }
    }
    Err(CliError::Failed(UNCHANGED.to_owned()))
}

fn line(from: impl BufRead) -> Result<Secret<String>, CliError> {
    let mut line = String::new();
    let read = from.take(LONGEST_LINE).read_line(&mut line).map_err(CliError::failed)?;
    if read == 0 { Err(CliError::Failed(UNCHANGED.to_owned())) } else { Ok(Secret::new(line.trim().to_owned())) }
}

fn show(name: &IdentityId, enrollment: &Enrollment, context: &Context) -> Result<(), CliError> {
    let (uri, secret) = (enrollment.uri.expose(), enrollment.secret.expose());
    if context.json() {
        return context.print_json(&serde_json::json!({ "identity": name, "uri": uri, "secret": secret }));
    }
    // Light on dark and dark on light both scan; a margin of four is part of the standard.
    let code = QrCode::new(uri.as_bytes()).map_err(CliError::failed)?;
    let picture = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    context.print_bytes(on_dark(&picture, std::io::stdout().is_terminal()).as_bytes())?;
    context.print(&format!("\n\n{uri}\n\nTo type it in: {secret}\nThis is shown once.\n"))
}

/// At a terminal whose paper is light, a picture in its own colours would come out inverted, which many apps do not read.
fn on_dark(picture: &str, at_terminal: bool) -> String {
    if !at_terminal {
        return picture.to_owned();
    }
    let lines: Vec<String> = picture.lines().map(|line| format!("\u{1b}[40;97m{line}\u{1b}[0m")).collect();
    lines.join("\n")
}

/// So many codes may be wrong.
const TRIES: usize = 3;
/// A code has eight digits at most.
const LONGEST_LINE: u64 = 64;
const UNCHANGED: &str =
    "no code proved this authenticator: it is not in force, and what was enrolled before is as it was";
