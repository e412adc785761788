use super::machine::MAX_OBJECTS;
use super::*;

fn root(bytes: &[u8]) -> Result<Node> {
    let (pickle, _) = Pickle::read(bytes)?;
    Ok(pickle.node(pickle.root()).clone())
}

#[test]
fn plain_values_of_protocols_2_and_4_are_read() {
    // pickle.dumps([None, True, 7, 300, -2, 1.5, "é", b"x"], protocol=2 and 4), without b"x" in 2.
    let two = b"\x80\x02]q\x00(N\x88K\x07M,\x01J\xfe\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00X\x02\x00\x00\x00\xc3\xa9q\x01e.";
    let four = b"\x80\x04\x95\x21\x00\x00\x00\x00\x00\x00\x00]\x94(N\x88K\x07M,\x01J\xfe\xff\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00\x8c\x02\xc3\xa9\x94C\x01x\x94e.";
    for (bytes, count) in [(&two[..], 7), (&four[..], 8)] {
        let (pickle, taken) = Pickle::read(bytes).unwrap();
        assert_eq!(taken, bytes.len());
        let Node::List(items) = pickle.node(pickle.root()) else { panic!("a list") };
        assert_eq!(items.len(), count);
        assert!(matches!(pickle.node(items[3]), Node::Int(300)));
        assert!(matches!(pickle.node(items[4]), Node::Int(-2)));
        assert!(matches!(pickle.node(items[5]), Node::Float(1.5)));
        assert_eq!(pickle.text(items[6]), Some("é"));
    }
}

#[test]
fn a_foreign_global_is_named_in_both_spellings() {
    let named = |name: &str| Err(PickleError::Global(name.to_owned()));
    // pickle.dumps(os.system) in protocols 2 and 4.
    assert_eq!(root(b"\x80\x02cposix\nsystem\nq\x00.").map(drop), named("posix.system"));
    let four = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.";
    assert_eq!(root(four).map(drop), named("posix.system"));
    assert_eq!(root(b"\x80\x02cbuiltins\neval\n.").map(drop), named("builtins.eval"));
}

#[test]
fn long_integers_keep_their_sign() {
    assert!(matches!(root(b"\x80\x02\x8a\x02\xe9\x03."), Ok(Node::Int(1001))));
    assert!(matches!(root(b"\x80\x02\x8a\x01\xff."), Ok(Node::Int(-1))));
    assert!(matches!(root(b"\x80\x02\x8a\x00."), Ok(Node::Int(0))));
    assert!(matches!(
        root(b"\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."),
        Ok(Node::BigInt(_))
    ));
}

#[test]
fn memo_and_nesting_bombs_cost_nothing() {
    // Each level holds the one before twice: 2^1000 elements when copied.
    let mut bomb = b"\x80\x02]q\x00".to_vec();
    for _ in 0..1000 {
        bomb.extend(b"h\x00h\x00\x86q\x00");
    }
    bomb.push(b'.');
    assert!(root(&bomb).is_ok());

    // A list inside itself, and 100,000 nested tuples: neither is walked or dropped recursively.
    assert!(root(b"\x80\x02]q\x00h\x00a.").is_ok());
    let mut nested = b"\x80\x02]".to_vec();
    nested.extend([0x85; 100_000]);
    nested.push(b'.');
    assert!(root(&nested).is_ok());
}

#[test]
fn object_counts_are_bounded() {
    for opcode in [b'N', b']', b'(', b'2'] {
        let mut bytes = b"\x80\x02N".to_vec();
        bytes.resize(bytes.len() + MAX_OBJECTS + 8, opcode);
        bytes.push(b'.');
        assert_eq!(root(&bytes).map(drop), Err(PickleError::TooLarge), "{opcode:#x}");
    }
    let mut long = b"\x80\x02B\xff\xff\xff\x7f".to_vec();
    long.resize(MAX_PICKLE + 64, 0);
    assert_eq!(root(&long).map(drop), Err(PickleError::TooLarge));
}

#[test]
fn a_mark_is_never_a_value() {
    assert!(root(b"\x80\x02(\x85.").is_err());
    assert!(root(b"\x80\x02(q\x00.").is_err());
    assert!(root(b"\x80\x02K\x01(.").is_err());
    assert!(root(b"\x80\x02K\x01(00.").is_err());
    assert!(root(b"\x80\x02t.").is_err());
    assert!(root(b"\x80\x02.").is_err());
    assert!(root(b"").is_err());
}

#[test]
fn text_protocols_and_unknown_opcodes_are_refused() {
    assert_eq!(root(b"I1\n.").map(drop), Err(PickleError::Opcode(b'I')));
    assert_eq!(root(b"\x80\x02\xff").map(drop), Err(PickleError::Opcode(0xff)));
    assert!(matches!(root(b"\x80\x09N."), Err(PickleError::Invalid(_))));
}
