//! Command-line flags: the same words for every service, each setting one key of the config.

use clap::{Arg, ArgAction, Command};

use crate::config::Config;

/// A flag and the key it sets. A service lists those that apply to it in [`Config::FLAGS`]; any other is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    pub name: &'static str,
    pub key: &'static str,
    /// Placeholder shown in the help; empty for a switch, which sets `true`. A flag whose key holds a list may be
    /// repeated.
    pub value: &'static str,
    pub help: &'static str,
}

impl Flag {
    pub const BROKERS: Flag = Flag::own("brokers", "kafka.brokers", "HOST:PORT[,…]", "Kafka brokers to start from");
    pub const GROUP: Flag = Flag::own("group", "group", "NAME", "Consumer group");
    pub const IN: Flag = Flag::own("in", "input", "TOPIC[,…]", "Topic to read");
    pub const OUT: Flag = Flag::own("out", "output", "TOPIC", "Topic to write");
    pub const S3_ENDPOINT: Flag = Flag::own("s3-endpoint", "s3.endpoint", "URL", "S3 endpoint, if it is not AWS");
    pub const BUCKET: Flag = Flag::own("bucket", "s3.bucket", "NAME", "S3 bucket");
    pub const PREFIX: Flag =
        Flag::own("prefix", "s3.prefix", "PATH", "Path inside the bucket under which all objects go");
    /// Sets [`crate::Drain`] from the start, not a key.
    pub const UNTIL_END: Flag =
        Flag::own("until-end", "", "", "Read what is there now, finish it, print a summary as one JSON line, exit");

    /// A flag that only this service has.
    pub const fn own(name: &'static str, key: &'static str, value: &'static str, help: &'static str) -> Flag {
        Flag { name, key, value, help }
    }

    /// The same flag for a config that keeps the value elsewhere.
    pub const fn to(self, key: &'static str) -> Flag {
        Flag { key, ..self }
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).long(self.name).help(self.help);
        if self.value.is_empty() {
            arg.action(ArgAction::SetTrue)
        } else {
            arg.value_name(self.value).action(ArgAction::Append)
        }
    }
}

/// What every service takes beside its own [`Config::FLAGS`].
pub(crate) const ADMIN: Flag =
    Flag::own("admin", "admin", "HOST:PORT|off", "Admin port: /live /ready /metrics /log-level");
pub(crate) const LOG_LEVEL: Flag =
    Flag::own("log-level", "log.level", "FILTER", "Log filter, e.g. `debug` or `info,streams=trace`");
pub(crate) const CONFIG: Flag = Flag::own("config", "", "FILE", "Read settings from a YAML file");
pub(crate) const SET: Flag = Flag::own("set", "", "KEY=VALUE", "Set any key of the config; may be repeated");
pub(crate) const PRINT_CONFIG: Flag =
    Flag::own("print-config", "", "", "Print the settings in force, secrets masked, and exit");

/// The command line of one service, by itself or as a sub-command.
pub fn command<C: Config>(service: &'static str) -> Command {
    let mut command = Command::new(service)
        .about(C::ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(AFTER_HELP)
        .args(C::FLAGS.iter().map(Flag::arg))
        .args([&ADMIN, &LOG_LEVEL, &SET, &PRINT_CONFIG].map(Flag::arg))
        .arg(CONFIG.arg().action(ArgAction::Set));
    // Wide enough that each flag keeps one line on a usual terminal.
    command = command.max_term_width(120);
    command
}

const AFTER_HELP: &str = "\
Settings come from, later ones winning: defaults, --config FILE, environment (FINFLOW_KAFKA__BROKERS sets
kafka.brokers; .env is read), flags. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.";
