//! A broker with the listeners that isolate the filter. It is this program itself: no `sallyport` has them.

use std::process::{Command, ExitCode};

use super::ways::on_core;
use crate::site::Site;

/// The word on the command line.
pub(crate) const WORD: &str = "broker";

/// Whether this program can be one.
pub(crate) const BUILT_IN: bool = cfg!(feature = "bench-listener");

/// The command that starts it on a core, with a listener that records and one that does not.
pub(crate) fn command(site: &Site, core: usize, [recorded, unrecorded]: &[u16; 2]) -> Command {
    let mut command = on_core(core);
    command.args(["setpriv", "--pdeathsig", "KILL", "--"]);
    command.arg(std::env::current_exe().expect("this program has a path"));
    command.arg(WORD).arg(site.config()).arg(site.alice.key().with_extension("pub"));
    command.args([recorded.to_string(), unrecorded.to_string()]);
    command
}

/// Serves until it is told to stop.
#[cfg(not(feature = "bench-listener"))]
pub(crate) fn run(_arguments: &[String]) -> ExitCode {
    eprintln!("this bench was built without `--features bench-listener`");
    ExitCode::FAILURE
}

/// Serves until it is told to stop.
#[cfg(feature = "bench-listener")]
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    use std::path::Path;
    use std::sync::Arc;

    use sallyport::app::App;
    use sallyport::bench_listener::{Record, Stand, listen};
    use sallyport::config::Config;
    use tokio::net::TcpListener;

    let [config, key, recorded, unrecorded] = arguments else { panic!("only the bench itself starts this") };
    let config = Config::load(Path::new(config)).expect("a configuration");
    sallyport::logging::begin(&config.log).expect("a log");
    let key = std::fs::read_to_string(key).expect("a public key").parse().expect("a public key");
    // As `sallyport serve` has it.
    let runtime = sallyport::workers::runtime().expect("a runtime");
    runtime.block_on(async {
        let app = App::start(config, false).await.expect("a broker");
        let stand = Stand {
            identity: "alice".to_owned(),
            key,
            asset: "plc-1".parse().expect("an asset"),
            service: "modbus".parse().expect("a service"),
        };
        for (port, record) in [(recorded, Record::Kept), (unrecorded, Record::Dropped)] {
            let address = format!("127.0.0.1:{port}");
            let listener = TcpListener::bind(address).await.expect("a free port");
            tokio::spawn(listen(Arc::clone(app.broker()), listener, stand.clone(), record));
        }
        app.run(Default::default()).await.expect("a broker that stops when it is told to");
    });
    ExitCode::SUCCESS
}
