//! What an output of a load is made of, for whoever reads it by something else than the library's own frames.

use tickbarn::{Align, Dataset, Error, Interval, Job, OnFailure, PieceOptions, Split};

use crate::barn::{Barn, COPY, first_hours, instrument};

#[test]
fn pieces_are_what_was_requested_each_moment_once_and_in_order() {
    let barn = Barn::new();
    let dataset = barn.dataset(COPY).split(Split::every("1h").unwrap().aligned(Align::Cover)).time_column("at").build().unwrap();
    let cut = Interval::parse("2024-01-01T00:15", "2024-01-01T01:45").unwrap();
    let loaded = barn.store.load().request(&dataset, &instrument(), cut).request(&dataset, &instrument(), first_hours(2)).blocking().unwrap();
    let made_of = loaded.pieces("table", &PieceOptions::default()).unwrap();
    assert_eq!((made_of.time_column.as_str(), made_of.model.rows), ("at", 3));
    let ends: Vec<_> = made_of.pieces.iter().map(|piece| (piece.start(), piece.end())).collect();
    let (first, last) = (Some(cut.start()), Some(cut.end()));
    // What the first request left of both hours comes with the second.
    assert_eq!(ends, [(first, None), (None, last), (None, first), (last, None)]);
    assert_eq!(made_of.pieces.iter().map(|piece| piece.nth()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(made_of.pieces.iter().all(|piece| piece.artifact().path.is_file() && piece.instrument() == &instrument()));

    let whole = loaded.pieces("table", &PieceOptions::default().untrimmed().time_column("ts")).unwrap();
    assert_eq!((whole.pieces.len(), whole.time_column.as_str()), (2, "ts"));
    assert!(whole.pieces.iter().all(|piece| piece.start().is_none() && piece.end().is_none()));
    assert!(matches!(loaded.pieces("prices", &PieceOptions::default()), Err(Error::UnknownOutput { known, .. }) if known == ["table"]));
    assert!(matches!(loaded.pieces("table", &PieceOptions::default().dataset("md")), Err(Error::NotLoaded { .. })));
}

#[test]
fn what_has_no_rows_is_no_piece_and_still_tells_the_columns() {
    let barn = Barn::new();
    let none = barn.dataset(r#"cp "$FIXTURES/none.parquet" "$1""#).build().unwrap();
    let loaded = barn.load(&none, 2).blocking().unwrap();
    let made_of = loaded.pieces("table", &PieceOptions::default()).unwrap();
    assert!(made_of.pieces.is_empty() && made_of.model.path.is_file());
    let failing = barn.dataset("exit 1").build().unwrap();
    let loaded = barn.load(&failing, 2).on_failure(OnFailure::Skip).blocking().unwrap();
    assert!(matches!(loaded.pieces("table", &PieceOptions::default()), Err(Error::NothingRead { failed: 2, .. })));
}

#[test]
fn a_job_sees_the_part_of_its_upstream_that_is_its_own() {
    let barn = Barn::new();
    let days = barn.dataset(COPY).split(Split::every("2h").unwrap()).build().unwrap();
    let seen = |job: &Job| -> Result<Option<()>, tickbarn::BoxError> {
        let made_of = job.upstream("numbers")?.pieces("table")?;
        let [piece] = &made_of.pieces[..] else { return Err("one piece".into()) };
        let own = (piece.start().unwrap_or(job.start()), piece.end().unwrap_or(job.end()));
        if own == (job.start(), job.end()) { Ok(None) } else { Err(format!("{own:?}").into()) }
    };
    let derived = Dataset::function("derived", "1", seen).upstream(&days).split(Split::every("1h").unwrap()).build().unwrap();
    let loaded = barn.load(&derived, 2).blocking().unwrap();
    assert_eq!(crate::barn::outcomes(&loaded), ["empty"; 2]);
}
