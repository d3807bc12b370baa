//! Every input of the committed corpus still fulfils its target's properties.

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        check(&fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
}

macro_rules! corpus {
    ($($target:ident)+) => {
        $(#[test] fn $target() { replay(stringify!($target), fuzz::$target::check); })+

        #[test]
        fn every_folder_of_the_corpus_has_a_fuzz_target() {
            let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).unwrap();
            for folder in folders {
                let name = folder.unwrap().file_name();
                assert!([$(stringify!($target)),+].iter().any(|target| name == *target), "{}", name.display());
            }
        }
    };
}

corpus!(annotations announce buffer chunked conversation exchange head http2 inject protocol);
