use std::io::Write;

use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str, &'static str)],
) -> Result<Settings, String> {
    let mut toml = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    toml.write_all(file.as_bytes()).expect("written");
    let sources = Sources {
        file: Some(toml.path().to_owned()),
        environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        flags: flags.iter().map(|(k, v, f)| (*k, (*v).to_owned(), *f)).collect(),
    };
    // The path is shown relative to the working directory where that is shorter; the name is there either way.
    let name = toml.path().file_name().expect("a name").to_string_lossy().into_owned();
    Settings::load(&sources).map_err(|e| e.to_string().replace(&name, "FILE"))
}

#[test]
fn the_defaults_have_the_shape_of_their_keys() {
    let settings = Settings::defaults();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.limits.body_bytes, 1024 * 1024);
    assert!(settings.only_this_device() && settings.may_host(true) && !settings.has_model());
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "listen = \"127.0.0.1:1\"\n[limits]\nconnections = 1\nguests_burst = 2\n";
    let environment = [("ROUNDTABLE_LISTEN", "127.0.0.1:2"), ("ROUNDTABLE_LIMITS_GUESTS_BURST", "3"), ("PATH", "x")];
    let settings = load(file, &environment, &[("listen", "127.0.0.1:3", "--listen")]).expect("good settings");
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.limits.guests_burst, 3);
    assert_eq!(settings.limits.connections, 1);
    assert_eq!(settings.limits.guests_per_second, 5);
}

#[test]
fn lists_come_from_every_source() {
    let settings = load("allowed_hosts = [\"a\", \"b\"]", &[("ROUNDTABLE_TRUSTED_PROXIES", "10.0.0.1, fd00::/8")], &[]);
    let settings = settings.expect("good settings");
    assert_eq!(settings.allowed_hosts, ["a", "b"]);
    assert_eq!(settings.trusted_proxies.len(), 2);
    let flags = [("allowed_hosts", "c", "--allowed-host"), ("allowed_hosts", "d", "--allowed-host")];
    assert_eq!(load("allowed_hosts = [\"a\"]", &[], &flags).expect("good settings").allowed_hosts, ["c", "d"]);
}

#[test]
fn an_error_names_the_key_and_where_its_value_came_from() {
    let check = |result: Result<Settings, String>, words: &[&str]| {
        let error = result.expect_err("a wrong setting");
        assert!(words.iter().all(|word| error.contains(word)), "{error} lacks one of {words:?}");
    };
    check(load("[limits]\nconnections = \"many\"", &[], &[]), &["limits.connections", "FILE"]);
    check(
        load("", &[("ROUNDTABLE_LIMITS_CONNECTIONS", "many")], &[]),
        &["limits.connections", "ROUNDTABLE_LIMITS_CONNECTIONS"],
    );
    check(load("", &[], &[("listen", "here", "--listen")]), &["listen", "--listen"]);
    check(load("", &[("ROUNDTABLE_LISTEM", "x")], &[]), &["ROUNDTABLE_LISTEM", "the environment"]);
    check(load("[limits]\nconections = 1", &[], &[]), &["limits.conections", "FILE"]);
    check(load("colour = 1", &[], &[]), &["colour", "FILE"]);
    check(load("public_url = \"roundtable.example\"", &[], &[]), &["public_url", "https://"]);
    check(load("[model]\nurl = \"http://127.0.0.1:1/v1\"", &[], &[]), &["model.name", "model.url"]);
}

#[test]
fn secrets_are_not_shown() {
    let settings = load("[model]\nurl = \"http://u:canary@127.0.0.1:1/v1\"\nkey = \"canary\"\nname = \"m\"", &[], &[]);
    assert!(!format!("{:?}", settings.expect("good settings")).contains("canary"));
}

#[test]
fn hosting_is_for_everybody_only_where_nobody_else_can_come() {
    let host = |file: &str| {
        let settings = load(file, &[], &[]).expect("good settings");
        (settings.may_host(false), settings.may_host(true))
    };
    assert_eq!(host(""), (true, true));
    assert_eq!(host("listen = \"0.0.0.0:1\""), (false, false));
    assert_eq!(host("public_url = \"https://r.example/\""), (false, false));
    assert_eq!(host("trusted_proxies = [\"127.0.0.1\"]"), (false, false));
    assert_eq!(host("listen = \"0.0.0.0:1\"\nhosting = \"everyone\""), (true, false));
    assert_eq!(host("hosting = \"nobody\""), (false, false));
}

#[test]
fn the_page_about_settings_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let expected = keys::document();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &expected).expect("the page is written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == expected, "docs/configuration.md is not current: run this test with UPDATE_EXPECT=1");
}
