//! The list of the logs of the host, which come and go.

use mmlog::{Holder, Sight};

use super::*;
use crate::discovery::{Census, Found};

fn found(path: &str, sight: Sight) -> Found {
    let holder = Holder { pid: 4312, command: "web\n".to_owned() };
    Found { path: path.into(), sight, holders: Some(vec![holder]) }
}

fn now(model: &mut Model, found: &[Found]) {
    let found = found.to_vec();
    model.update(Event::Found(Census { found, unseen: 3, ..Census::default() }));
}

#[test]
fn without_any_log_there_is_nothing_to_open() {
    let mut model = Model::new(&[], Access::Operate, LARGE);
    assert!(text(&model).starts_with("no logs"), "{}", text(&model));
    assert!(text(&model).contains("no process has a log open that can be seen"));
    assert_eq!(press(&mut model, "\nzyf?\x1b"), None);
    assert!(text(&model).starts_with("no logs"), "{}", text(&model));
}

#[test]
fn those_of_other_places_are_named_and_never_looked_at() {
    for (size, name) in SIZES {
        let mut model = Model::new(&[], Access::Operate, size);
        let all = [
            found("/a.log", Sight::Here),
            found("/a.log", Sight::Elsewhere),
            found("/a.log", Sight::Deleted),
            found("/b.log", Sight::Here),
        ];
        now(&mut model, &all);
        let wanted: Vec<bool> = (0..4).map(|log| model.wants(log)).collect();
        assert_eq!(wanted, [true, false, false, true]);
        looked(&mut model, 0, 1, Ok(Box::new(empty())));
        looked(&mut model, 3, 1, Ok(Box::new(stalled())));
        insta::assert_snapshot!(format!("list-of-the-host-{name}"), text(&model));
        // A deleted one has no operations.
        press(&mut model, "j\n");
        assert_eq!(press(&mut model, "T"), None);
        let text = text(&model);
        assert!(text.starts_with("DELETED") && text.contains("not possible from here"), "{text}");
    }
}

#[test]
fn logs_come_and_go_but_for_those_that_somebody_should_see() {
    let mut model = Model::new(&[], Access::Operate, LARGE);
    let [a, b] = ["/a.log", "/b.log"].map(|path| found(path, Sight::Here));
    now(&mut model, &[a.clone(), b.clone()]);
    looked(&mut model, 0, 1, Ok(Box::new(empty())));
    looked(&mut model, 1, 1, Ok(Box::new(stalled())));
    // The one that stalls stays; of the other nobody has to know.
    now(&mut model, &[]);
    assert!(text(&model).starts_with("1 log: 1 STALLED"), "{}", text(&model));
    looked(&mut model, 0, 2, Ok(Box::new(empty())));
    now(&mut model, &[]);
    assert!(text(&model).starts_with("no logs"), "{}", text(&model));
    // The open one stays open.
    now(&mut model, &[a, b.clone()]);
    press(&mut model, "j\n");
    assert_eq!(model.log().path, PathBuf::from("/b.log"));
    now(&mut model, &[found("/0.log", Sight::Here)]);
    assert_eq!((model.log().path.clone(), model.logs.len()), (PathBuf::from("/b.log"), 2));
    press(&mut model, "\x1b");
    now(&mut model, &[b]);
    assert!(text(&model).starts_with("1 log"), "{}", text(&model));
}
