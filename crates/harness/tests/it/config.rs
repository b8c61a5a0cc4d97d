//! Settings as a user meets them: exit codes, messages, what is printed.

use crate::process::{echo, output};

#[test]
fn wrong_settings_exit_with_2() {
    let (code, stdout, stderr) = output(echo().env("FINFLOW_KAFKA__BROKER", "x"));
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("did you mean `FINFLOW_KAFKA__BROKERS`?"), "{stderr}");
    let (code, _, stderr) = output(echo().args(["--config", "/nowhere.yaml"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("cannot read the config file /nowhere.yaml"), "{stderr}");
}

#[test]
fn a_flag_that_does_not_apply_is_wrong_usage() {
    for args in [&["--bucket", "x"][..], &["--broker", "x"], &["stray"], &["--brokers"]] {
        let (code, _, stderr) = output(echo().args(args));
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains("--help"), "{stderr}");
    }
    let (code, stdout, _) = output(echo().arg("--help"));
    assert_eq!(code, 0);
    assert!(stdout.contains("--brokers <HOST:PORT[,…]>") && !stdout.contains("--bucket"), "{stdout}");
}

#[test]
fn print_config_shows_what_is_in_force_with_secrets_masked() {
    let mut command = echo();
    command.args(["--print-config", "--brokers", "flag:1"]);
    command.envs([("FINFLOW_PASSWORD", "0123456"), ("FINFLOW_BEHAVE", "return"), ("KAFKA_BOOTSTRAP_SERVERS", "env:1")]);
    let (code, stdout, stderr) = output(&mut command);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("brokers: flag:1") && stdout.contains("behave: return"), "{stdout}");
    assert!(stdout.contains("password: '***'") && !stdout.contains("0123456"), "{stdout}");
}

#[test]
fn a_dotenv_file_is_below_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "FINFLOW_BEHAVE=fail\nKAFKA_BOOTSTRAP_SERVERS=\"dotenv:1\"\n").unwrap();
    let print = |name: &str, value: &str| {
        let mut command = echo();
        command.current_dir(dir.path()).arg("--print-config").env(name, value);
        output(&mut command).1
    };
    let stdout = print("X", "");
    assert!(stdout.contains("brokers: dotenv:1") && stdout.contains("behave: fail"), "{stdout}");
    let stdout = print("FINFLOW_BEHAVE", "return");
    assert!(stdout.contains("brokers: dotenv:1") && stdout.contains("behave: return"), "{stdout}");
    std::fs::write(dir.path().join(".env"), "FINFLOW_BEHAV=x\n").unwrap();
    let (code, _, stderr) = output(echo().current_dir(dir.path()));
    assert_eq!(code, 2);
    assert!(stderr.contains(".env: FINFLOW_BEHAV: unknown key `behav`"), "{stderr}");
}
