use super::*;

struct Clock(Instant);

impl Clock {
    fn new() -> Clock {
        Clock(Instant::now())
    }

    fn pass(&mut self, ms: u64) -> Instant {
        self.0 += Duration::from_millis(ms);
        self.0
    }
}

fn request(member: &str, instance: Option<&str>) -> Join {
    Join {
        member: member.into(),
        instance: instance.map(str::to_owned),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session: Duration::from_millis(1000),
        rebalance: Duration::from_millis(5000),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"topics")), ("sticky".into(), Bytes::new())],
        takes_id_first: false,
    }
}

fn join(group: &mut Group, member: &str, clock: &Clock) -> Receiver<Result<Joined, Code>> {
    group.join(request(member, None), clock.0).unwrap()
}

fn joined(receiver: &mut Receiver<Result<Joined, Code>>) -> Joined {
    receiver.try_recv().expect("still waiting").expect("refused")
}

fn who<'a>(member: &'a str, generation: i32) -> Identity<'a> {
    Identity { member, instance: None, generation }
}

/// A group of two in which both have their assignment; the leader's id comes first.
fn pair(clock: &Clock) -> (Group, [String; 2]) {
    let mut group = Group::default();
    let first = joined(&mut join(&mut group, "", clock)).member;
    let mut second = join(&mut group, "", clock);
    let leader = joined(&mut join(&mut group, &first, clock));
    let other = joined(&mut second);
    assert_eq!((leader.generation, leader.leader == first, leader.members.len()), (2, true, 2));
    assert_eq!((other.generation, other.members.len()), (2, 0));
    let mut waiting = group.sync(&who(&other.member, 2), Vec::new(), clock.0);
    assert!(waiting.try_recv().is_err(), "the leader has not assigned yet");
    let parts = vec![(first.clone(), Bytes::from_static(b"0")), (other.member.clone(), Bytes::from_static(b"1"))];
    assert_eq!(group.sync(&who(&first, 2), parts, clock.0).try_recv().unwrap(), Ok(Bytes::from_static(b"0")));
    assert_eq!(waiting.try_recv().unwrap(), Ok(Bytes::from_static(b"1")));
    assert_eq!((group.state, group.protocol.as_str()), (State::Stable, "range"));
    (group, [first, other.member])
}

#[test]
fn two_members_share_by_the_leaders_word() {
    let clock = Clock::new();
    let (mut group, [leader, other]) = pair(&clock);
    assert_eq!(group.heartbeat(&who(&leader, 2), clock.0), Ok(()));
    assert_eq!(group.heartbeat(&who(&other, 1), clock.0), Err(Code::IllegalGeneration));
    assert_eq!(group.heartbeat(&who("stranger", 2), clock.0), Err(Code::UnknownMemberId));
    group.leave(&other, None, clock.0).unwrap();
    assert_eq!(group.heartbeat(&who(&leader, 2), clock.0), Err(Code::RebalanceInProgress));
    assert_eq!(joined(&mut join(&mut group, &leader, &clock)).generation, 3);
}

#[test]
fn who_is_silent_loses_the_session() {
    let mut clock = Clock::new();
    let (mut group, [leader, other]) = pair(&clock);
    group.heartbeat(&who(&leader, 2), clock.pass(900)).unwrap();
    group.tick(clock.pass(200));
    assert!(!group.members.contains_key(&other));
    assert_eq!(group.state, State::PreparingRebalance);
    group.tick(clock.pass(1000));
    assert!(group.is_vacant());
    assert_eq!(group.state, State::Empty);
}

#[test]
fn who_does_not_join_again_in_time_is_left_behind() {
    let mut clock = Clock::new();
    let (mut group, [leader, other]) = pair(&clock);
    let mut third = join(&mut group, "", &clock);
    let mut again = join(&mut group, &leader, &clock);
    for _ in 0..5 {
        // The other one is alive but never joins.
        let _ = group.heartbeat(&who(&other, 2), clock.pass(900));
        group.tick(clock.0);
    }
    assert!(again.try_recv().is_err());
    group.tick(clock.pass(600));
    assert_eq!((joined(&mut again).members.len(), joined(&mut third).generation), (2, 3));
    assert_eq!(group.heartbeat(&who(&other, 2), clock.0), Err(Code::UnknownMemberId));
}

#[test]
fn a_leader_that_never_assigns_is_dropped() {
    let mut clock = Clock::new();
    let mut group = Group::default();
    let first = joined(&mut join(&mut group, "", &clock)).member;
    let mut second = join(&mut group, "", &clock);
    let _leader = joined(&mut join(&mut group, &first, &clock));
    let second = joined(&mut second).member;
    let mut waiting = group.sync(&who(&second, 2), Vec::new(), clock.0);
    for _ in 0..6 {
        let _ = group.heartbeat(&who(&first, 2), clock.pass(900));
        group.tick(clock.0);
    }
    assert_eq!(waiting.try_recv().unwrap(), Err(Code::RebalanceInProgress));
    assert_eq!(group.members.keys().collect::<Vec<_>>(), [&second]);
}

#[test]
fn an_id_is_given_before_it_is_used() {
    let mut clock = Clock::new();
    let mut group = Group::default();
    let first_ask = Join { takes_id_first: true, ..request("", None) };
    let Err((Code::MemberIdRequired, id)) = group.join(first_ask, clock.0) else { panic!("joined without an id") };
    assert!(id.starts_with("client-") && group.members.is_empty());
    assert_eq!(joined(&mut join(&mut group, &id, &clock)).member, id);
    let unknown = group.join(request("never given", None), clock.0).unwrap_err();
    assert_eq!(unknown.0, Code::UnknownMemberId);
    // An id that is never used does not hold the others up for longer than a session.
    group.sync(&who(&id, 1), Vec::new(), clock.0).try_recv().unwrap().unwrap();
    let first_ask = Join { takes_id_first: true, ..request("", None) };
    let _ = group.join(first_ask, clock.0).unwrap_err();
    let mut again = join(&mut group, &id, &clock);
    assert!(again.try_recv().is_err());
    group.tick(clock.pass(1001));
    assert_eq!(joined(&mut again).generation, 2);
}

#[test]
fn members_must_agree_on_a_protocol() {
    let clock = Clock::new();
    let (mut group, ids) = pair(&clock);
    let with = |protocol: &str| Join { protocols: vec![(protocol.into(), Bytes::new())], ..request("", None) };
    assert_eq!(group.join(with("other"), clock.0).unwrap_err().0, Code::InconsistentGroupProtocol);
    let connect = Join { protocol_type: "connect".into(), ..request("", None) };
    assert_eq!(group.join(connect, clock.0).unwrap_err().0, Code::InconsistentGroupProtocol);
    let mut third = group.join(with("sticky"), clock.0).unwrap();
    for id in &ids {
        let _ = group.join(request(id, None), clock.0);
    }
    assert_eq!(joined(&mut third).protocol, "sticky", "the only one all three know");
}

#[test]
fn a_static_member_comes_back_to_its_assignment_and_shuts_out_its_former_self() {
    let clock = Clock::new();
    let mut group = Group::default();
    let first = joined(&mut group.join(request("", Some("pod-0")), clock.0).unwrap()).member;
    let mut second = group.join(request("", Some("pod-1")), clock.0).unwrap();
    let again = joined(&mut group.join(request(&first, Some("pod-0")), clock.0).unwrap());
    let second = joined(&mut second).member;
    let parts = vec![(first.clone(), Bytes::from_static(b"0")), (second, Bytes::from_static(b"1"))];
    let leader = Identity { member: &first, instance: Some("pod-0"), generation: again.generation };
    group.sync(&leader, parts, clock.0).try_recv().unwrap().unwrap();

    let back = joined(&mut group.join(request("", Some("pod-0")), clock.0).unwrap());
    assert_eq!((back.generation, group.state), (again.generation, State::Stable));
    assert_ne!(back.member, first);
    let now = Identity { member: &back.member, instance: Some("pod-0"), generation: back.generation };
    assert_eq!(group.sync(&now, Vec::new(), clock.0).try_recv().unwrap(), Ok(Bytes::from_static(b"0")));
    assert_eq!(group.heartbeat(&leader, clock.0), Err(Code::FencedInstanceId));
    group.leave("", Some("pod-1"), clock.0).unwrap();
    assert_eq!(group.members.len(), 1);
}

#[test]
fn commits_must_come_from_the_present_generation() {
    let clock = Clock::new();
    let nobody = || who("", -1);
    assert_eq!(Group::default().check_commit(&nobody(), false, clock.0), Ok(()));
    let (mut group, [leader, _]) = pair(&clock);
    assert_eq!(group.check_commit(&who(&leader, 2), true, clock.0), Ok(()));
    assert_eq!(group.check_commit(&who(&leader, 1), true, clock.0), Err(Code::IllegalGeneration));
    assert_eq!(group.check_commit(&who("gone", 2), true, clock.0), Err(Code::UnknownMemberId));
    assert_eq!(group.check_commit(&nobody(), false, clock.0), Err(Code::UnknownMemberId));
    // As Apache Kafka: a transaction that names no member is not fenced.
    assert_eq!(group.check_commit(&nobody(), true, clock.0), Ok(()));
}
