//! What a person who starts the demo reads.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::Ports;
use super::prepare::{Home, Person};
use crate::app::ISSUER;

/// The text: what to paste, and the authenticator's QR code.
pub(super) fn text(home: &Home, ports: Ports, people: &[Person], envelopes: &[String]) -> String {
    let dir = shown(home.dir());
    let config = shown(&home.ssh_config());
    let broker = shown(&home.config());
    let sallyport = program();
    let mut text = format!(
        "\nSallyport demo: a broker on 127.0.0.1:{}, and behind it a simulated plant: ews-1, an engineering \
         workstation, plc-1, a controller (Modbus), and hmi-1, its panel (VNC).\n\
         Everything is in {dir}. Ctrl-C ends it; the next start takes up where this one ends.\n",
        ports.ssh
    );
    if let Some(alice) = people.first() {
        if let Some(picture) = qr(alice) {
            text.push_str(&format!("\nalice's second factor, for an authenticator app:\n\n{picture}\n"));
        }
        text.push_str(&format!("\nWithout an app, this prints her code:\n  {sallyport} demo-code --dir {dir} alice\n"));
    }
    text.push_str(&format!(
        "\nIn another terminal, as alice (her role reaches all three):\n  \
         ssh -F {config} ews-1 status\n  \
         ssh -F {config} ews-1\n  \
         scp -F {config} ews-1:/projects/line-3/recipe.csv .\n  \
         sftp -F {config} ews-1\n  \
         ssh -F {config} alice:ews-1@broker\n  \
         ssh -F {config} broker\n\n\
         The controller, with any Modbus tool; she may read, and a write is denied:\n  \
         ssh -F {config} -N -L 5020:plc-1:502 broker\n  \
         mbpoll -m tcp -p 5020 -a 1 -0 -t 3 -r 0 -c 5 -1 127.0.0.1      # level, temperature, flows, speed\n  \
         mbpoll -m tcp -p 5020 -a 1 -0 -t 4 -r 100 127.0.0.1 1500       # speed up the pump\n  \
         cat {dir}/plc-1.csv                                            # what is where\n\n\
         The panel, with any VNC viewer:\n  \
         ssh -F {config} -N -L 5900:hmi-1:5900 broker\n  \
         vncviewer 127.0.0.1::5900\n\n\
         The portal, in a browser; its certificate is of the demo's own making, and the browser says so:\n  \
         https://localhost:{}\n\n\
         In an emergency, without any login: the code of an envelope, and a reason. Each opens once; they are in {dir}/envelopes.txt:\n  \
         ssh -F {config} glass@broker{}\n\n\
         As bob (he has no role):\n  \
         ssh -F {config} -o IdentityFile=none -i {dir}/bob bob:ews-1@broker\n\n\
         What was recorded:\n  \
         export SALLYPORT_CONFIG={broker}\n  \
         {sallyport} recording list\n  \
         {sallyport} recording verify --all\n  \
         {sallyport} audit list\n\n",
        ports.portal,
        envelopes.iter().map(|line| format!("\n     envelope {line}")).collect::<String>()
    ));
    text
}

fn qr(person: &Person) -> Option<String> {
    let uri = format!(
        "otpauth://totp/{ISSUER}:{name}?secret={secret}&issuer={ISSUER}&algorithm=SHA1&digits=6&period=30",
        name = person.name,
        secret = person.totp_secret
    );
    let code = QrCode::new(uri.as_bytes()).ok()?;
    // Light on dark and dark on light both scan; the quiet zone around it is part of the standard.
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// This program, as it can be pasted: by its name where that was enough to start it.
fn program() -> String {
    let started_as = std::env::args_os().next().map(std::path::PathBuf::from);
    match started_as {
        Some(path) if path.components().count() > 1 => shown(&std::path::absolute(&path).unwrap_or(path)),
        _ => "sallyport".to_owned(),
    }
}

/// A path as it can be pasted: as short as it is from here, and quoted where it must be.
fn shown(path: &std::path::Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(std::path::Path::to_path_buf));
    let text = short.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| path.to_path_buf());
    let text = text.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
