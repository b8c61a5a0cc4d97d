use super::*;

fn with(name: &str, value: &str) -> KafkaConfig {
    KafkaConfig { librdkafka: BTreeMap::from([(name.to_owned(), value.to_owned())]), ..KafkaConfig::default() }
}

fn refused(config: &KafkaConfig, part: &str) {
    let error = config.validate().expect_err(part);
    assert!(error.contains(part), "{error}");
}

#[test]
fn what_guarantees_rest_on_cannot_be_changed_and_the_refusal_says_what_to_do() {
    for (name, instead) in GUARDED {
        refused(&with(name, "true"), instead);
    }
    assert_eq!(with("queued.max.messages.kbytes", "1024").validate(), Ok(()));
    refused(&with("queued.max.mesages.kbytes", "1024"), "queued.max.mesages.kbytes");
    refused(&KafkaConfig { brokers: " ".to_owned(), ..KafkaConfig::default() }, "host:port");
}

#[test]
fn the_map_wins_over_our_defaults() {
    let config = with("linger.ms", "50").producer("test");
    assert_eq!((config.get("linger.ms"), config.get("acks")), (Some("50"), Some("all")));
    let config = with("session.timeout.ms", "9000").group("test", "g");
    assert_eq!(config.get("session.timeout.ms"), Some("9000"));
    assert_eq!(config.get("partition.assignment.strategy"), Some("cooperative-sticky"));
}

#[test]
fn what_is_restored_is_read_from_leaders() {
    let config = with("client.rack", "eu-1a");
    assert_eq!(config.group("test", "g").get("client.rack"), Some("eu-1a"));
    assert_eq!(config.reader().get("client.rack"), None);
}

#[test]
fn the_new_group_protocol_refuses_what_it_does_not_have_and_names_the_replacement() {
    for (name, instead) in CLASSIC_ONLY {
        let mut config = with(name, "6000");
        config.group_protocol = GroupProtocol::Consumer;
        refused(&config, instead);
    }
    let config = KafkaConfig { group_protocol: GroupProtocol::Consumer, ..KafkaConfig::default() };
    assert_eq!(config.validate(), Ok(()));
    let group = config.group("test", "g");
    for (name, _) in CLASSIC_ONLY {
        assert_eq!(group.get(name), None, "librdkafka refuses it");
    }
}

#[test]
fn security_is_whole_or_refused() {
    let config = |change: fn(&mut Security)| {
        let mut config = KafkaConfig::default();
        change(&mut config.security);
        config
    };
    refused(&config(|s| s.protocol = Protocol::SaslSsl), "both username and password");
    refused(&config(|s| s.username = "finflow".to_owned()), "of no use without");
    refused(&config(|s| s.ca = "/ca.pem".to_owned()), "of no use without ssl");
    let tls = config(|s| (s.protocol, s.cert) = (Protocol::Ssl, "/cert.pem".to_owned()));
    refused(&tls, "belong together");
    let tls = config(|s| (s.protocol, s.ca) = (Protocol::Ssl, "/no/such/ca.pem".to_owned()));
    refused(&tls, "there is no file /no/such/ca.pem");
    let scram = config(|s| {
        s.protocol = Protocol::SaslPlaintext;
        (s.username, s.password) = ("finflow".to_owned(), Secret::new("hush"));
    });
    assert_eq!(scram.validate(), Ok(()));
    let base = scram.base("test");
    assert_eq!((base.get("sasl.mechanism"), base.get("sasl.password")), (Some("SCRAM-SHA-512"), Some("hush")));
    assert!(!format!("{scram:?}").contains("hush"), "shown");
}

#[test]
fn no_secret_among_the_options_is_shown() {
    let secrets = [
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.token.endpoint.url",
    ];
    let mut config = with("client.rack", "plain");
    config.librdkafka.extend(secrets.map(|name| (name.to_owned(), "hush".to_owned())));
    // `--print-config` is the config as YAML.
    for printed in [format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(!printed.contains("hush") && printed.contains("plain"), "{printed}");
        assert!(secrets.iter().all(|name| printed.contains(name)), "{printed}");
    }
    assert_eq!(config.base("test").get("ssl.keystore.password"), Some("hush"), "librdkafka gets it");
    let read_back: KafkaConfig = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
    refused(&read_back, "the mask that --print-config shows");
}

#[test]
fn a_misspelt_option_is_named_without_its_value() {
    let error = with("ssl.keystore.pasword", "hush").validate().unwrap_err();
    assert!(error.contains("kafka.librdkafka.ssl.keystore.pasword") && !error.contains("hush"), "{error}");
}

fn assert_set(config: &ClientConfig, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        assert_eq!(config.get(name), Some(*value), "{name}");
    }
}

#[test]
fn what_guarantees_rest_on_is_set() {
    let kafka = KafkaConfig::default();
    let idempotent = [("enable.idempotence", "true"), ("acks", "all"), ("partitioner", "murmur2_random")];
    assert_set(&kafka.producer("test"), &idempotent);
    assert_set(&kafka.producer("test"), &[("message.timeout.ms", "0"), ("allow.auto.create.topics", "false")]);
    let consumer = [
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "false"),
        ("allow.auto.create.topics", "false"),
    ];
    assert_set(&kafka.consumer("test"), &consumer);
    assert_set(&kafka.group("test", "g"), &consumer);
    assert_set(&kafka.group("test", "g"), &[("group.id", "g")]);
}

#[test]
fn every_codec_has_its_name() {
    for (compression, name) in [
        (Compression::None, "none"),
        (Compression::Snappy, "snappy"),
        (Compression::Gzip, "gzip"),
        (Compression::Lz4, "lz4"),
        (Compression::Zstd, "zstd"),
    ] {
        let config = KafkaConfig { compression, ..KafkaConfig::default() };
        assert_set(&config.producer("test"), &[("compression.type", name)]);
        assert_eq!(config.validate(), Ok(()), "{name}");
    }
    assert_set(&KafkaConfig::default().producer("test"), &[("compression.type", "snappy")]);
}

#[test]
fn mutual_tls_reaches_librdkafka() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        path.to_str().unwrap().to_owned()
    };
    let security = Security {
        protocol: Protocol::Ssl,
        ca: file("ca.pem"),
        cert: file("cert.pem"),
        key: file("key.pem"),
        key_password: Secret::new("hush"),
        ..Security::default()
    };
    let config = KafkaConfig { security: security.clone(), ..KafkaConfig::default() };
    assert_eq!(config.validate(), Ok(()));
    for client in [config.producer("test"), config.group("test", "g"), config.base("admin")] {
        let expected = [
            ("security.protocol", "ssl"),
            ("ssl.ca.location", &security.ca),
            ("ssl.certificate.location", &security.cert),
            ("ssl.key.location", &security.key),
            ("ssl.key.password", "hush"),
        ];
        assert_set(&client, &expected);
        assert_eq!(client.get("sasl.mechanism"), None);
        assert_eq!(client.get("enable.ssl.certificate.verification"), None, "left on");
    }
}

#[test]
fn every_mechanism_reaches_librdkafka_with_its_name_and_password() {
    for (mechanism, name) in [
        (Mechanism::Plain, "PLAIN"),
        (Mechanism::ScramSha256, "SCRAM-SHA-256"),
        (Mechanism::ScramSha512, "SCRAM-SHA-512"),
    ] {
        for (protocol, wire) in [(Protocol::SaslPlaintext, "sasl_plaintext"), (Protocol::SaslSsl, "sasl_ssl")] {
            let (username, password) = ("finflow".to_owned(), Secret::new("hush"));
            let security = Security { protocol, mechanism, username, password, ..Security::default() };
            let config = KafkaConfig { security, ..KafkaConfig::default() };
            assert_eq!(config.validate(), Ok(()), "{name} over {wire}");
            let expected = [
                ("security.protocol", wire),
                ("sasl.mechanism", name),
                ("sasl.username", "finflow"),
                ("sasl.password", "hush"),
            ];
            assert_set(&config.producer("test"), &expected);
            assert_set(&config.group("test", "g"), &expected);
            // As it is written in a config file.
            assert_eq!(serde_json::to_value(mechanism).unwrap(), name);
        }
    }
}
