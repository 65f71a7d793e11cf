//! What somebody hears on a channel that comes to nothing.

use russh::Channel;
use russh::server::Msg;

/// Answers a shell, a command or a subsystem with one plain sentence on stderr, if the channel is still open.
pub(in crate::ssh) async fn say_and_close(channel: Option<Channel<Msg>>, sentence: String) {
    let Some(channel) = channel else { return };
    let (_, writer) = channel.split();
    let said = async {
        writer.extended_data_bytes(1, format!("sallyport: {sentence}\r\n")).await?;
        writer.exit_status(REFUSED).await?;
        writer.eof().await?;
        writer.close().await
    };
    if said.await.is_err() {
        tracing::debug!("The person left before the answer");
    }
}

/// The exit status of what the broker refused or could not reach: ssh's own for whatever kept a command from running. Any other could be
/// the command's answer (`ssh ews-1 test -e /interlock || …` must not act because the asset is off).
pub(super) const REFUSED: u32 = 255;
