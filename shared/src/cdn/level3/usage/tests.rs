//! Tests of the usage reader on documents that are all there.
//!
//! The documents are the fact sheet's and variants of what is not certain in it: the case of tags, where
//! `data` stands, what nests in what. Answers over a connection are tested beside the client's own tests.

use super::super::document::tests::read_text;
use super::*;
use crate::domain::usage::DAY_SECONDS;
use proptest::prelude::*;

/// 2016-08-04 07:50 UTC.
const AT: i64 = 1_470_297_000;
/// The example of the vendor's documentation; only a line is broken.
const EXAMPLE: &str = r#"<data><point id="08/04/2016 07:50:00">               <!-- %m/%d/%Y %H:%M:%S, UTC -->
 <item><regions><region id="North America"><metros>
  <metro id="Miami"><requests>12</requests><volume>0.000086</volume>
  <averageThroughput>0.00024</averageThroughput></metro>
 </metros></region></regions></item></point></data>"#;

fn window(slots: i64) -> UsageWindow {
    UsageWindow::new(AT, AT + 300 * slots).unwrap()
}

fn read(text: &str, window: UsageWindow) -> Result<UsageReport, CdnError> {
    let mut usage = Usage::new(window);
    read_text(text, &mut usage)?;
    usage.finish()
}

/// The first slot's total and its cities, for answers that are about one point.
fn first(text: &str) -> (Cell, Vec<(String, Cell)>) {
    let report = read(text, window(1)).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(report.is_delivered(0), "{text}");
    let cities = report.cities().map(|(name, usage)| (name.to_owned(), usage.cells[0])).collect();
    (report.totals()[0], cities)
}

fn cell(bytes: u64, requests: u64) -> Cell {
    Cell { bytes, requests }
}

fn cities(cities: &[(&str, Cell)]) -> Vec<(String, Cell)> {
    cities.iter().map(|(name, cell)| ((*name).to_owned(), *cell)).collect()
}

/// One point with this inside.
fn point(inside: &str) -> String {
    format!(r#"<data><point id="08/04/2016 07:50:00">{inside}</point></data>"#)
}

#[test]
fn the_query_is_in_utc_and_asks_for_at_most_a_day() {
    let expected = "serviceType=caching&dataInterval=5min&geo=metro&dateFrom=201608040750&dateTo=201608040755";
    assert_eq!(query(window(1), DAY_SECONDS).unwrap(), expected);
    assert!(query(window(288), DAY_SECONDS).unwrap().ends_with("&dateFrom=201608040750&dateTo=201608050750"));
    assert!(matches!(query(window(289), DAY_SECONDS), Err(CdnError::Rejected(_))));
    for from in [-62_200_000_000 / 300 * 300, 253_402_300_800, i64::MAX / 300 * 300 - 300] {
        let far = UsageWindow::new(from, from + 300).unwrap();
        assert!(matches!(query(far, DAY_SECONDS), Err(CdnError::Rejected(_))), "{from}");
    }
}

#[test]
fn the_vendors_example_is_read() {
    let report = read(EXAMPLE, window(2)).unwrap();
    assert_eq!(report.totals(), [cell(92_342, 12), Cell::default()]);
    assert!(report.is_delivered(0) && !report.is_delivered(1));
    let (name, miami) = report.cities().next().unwrap();
    assert_eq!((name, miami.cells.as_slice()), ("Miami", [cell(92_342, 12), Cell::default()].as_slice()));
}

#[test]
fn every_way_to_write_the_example_says_the_same() {
    for text in [
        r#"<?xml version="1.0"?><accessGroup id="12345" name="A"><apiCorrelationId>C-1</apiCorrelationId>
          <services><service id="S"><networkIdentifiers><ni id="cdn.example.com"><DATA>
          <Point ID="08/04/2016 07:50:00"><Item>
          <Regions><Region Id="North America"><Metros><Metro Id="Miami"><Requests>12</Requests><Volume>0.000086</Volume>
          </Metro></Metros></Region></Regions></Item></Point></DATA></ni></networkIdentifiers></service></services>
          </accessGroup>"#,
        r#"<data><point id="08/04/2016 07:50:00"><metro id="Miami" requests="12.0" volume="8.6E-5"/></point></data>"#,
        r#"<points><point><metros><metro><volume unit="GB"> 0.0000860 </volume>
          <requests>12</requests><id>Miami</id></metro>
          </metros><id>08/04/2016 07:50</id></point></points>"#,
        r#"<u:usage xmlns:u="x"><u:data><u:point id="8/4/2016 07:50:00"><u:region id="NA"><u:area><u:metro id="Miami">
          <u:requests>12</u:requests><u:volume>.000086</u:volume></u:metro></u:area></u:region></u:point></u:data>
          </u:usage>"#,
        r#"{"data":{"point":[{"id":"08/04/2016 07:50:00","item":{"regions":{"region":[{"id":"North America","metros":
          {"metro":[{"id":"Miami","requests":12,"volume":0.000086,"averageThroughput":0.00024}]}}]}}}]}}"#,
        r#"{"accessGroup":{"data":{"points":[{"items":[{"regions":[{"metros":[{"volume":"0.000086","requests":12.0,
          "id":"Miami"}],"id":"NA"}]}],"id":"08/04/2016 07:50:00"}]}}}"#,
    ] {
        assert_eq!(first(text), (cell(92_342, 12), cities(&[("Miami", cell(92_342, 12))])), "{text}");
    }
}

#[test]
fn one_metro_in_two_places_adds_up_and_names_stay_as_they_are() {
    let text = point(
        r#"<item><regions><region id="A"><metros><metro id="New York"><requests>1</requests><volume>1</volume></metro>
        <metro id="West_Fargo"><requests>2</requests><volume>2</volume></metro></metros></region>
        <region id="B"><metros><metro id="New York"><requests>4</requests><volume>4</volume></metro></metros></region>
        </regions></item><item><metro id="S&#227;o Paulo"><volume>8</volume></metro></item>"#,
    );
    let expected = [("New York", cell(5 << 30, 5)), ("São Paulo", cell(8 << 30, 0)), ("West_Fargo", cell(2 << 30, 2))];
    assert_eq!(first(&text), (cell(15 << 30, 7), cities(&expected)));
}

#[test]
fn what_no_metro_claims_is_in_the_total_and_nothing_is_counted_twice() {
    let volume = "<requests>3</requests><volume>1</volume>";
    let metro = |name| format!(r#"<metro id="{name}">{volume}</metro>"#);
    let one = || cell(1 << 30, 3);
    for (inside, total, expected) in [
        (String::new(), Cell::default(), vec![]),
        ("<item/>".to_owned(), Cell::default(), vec![]),
        (volume.to_owned(), one(), vec![]),
        (format!("<item>{volume}</item><item>{volume}</item>"), cell(2 << 30, 6), vec![]),
        (
            format!("<regions><region id='A'>{volume}</region><region id='B'>{volume}</region></regions>"),
            cell(2 << 30, 6),
            vec![],
        ),
        // All levels speak: the innermost counts.
        (
            format!(
                "{volume}<item>{volume}<regions>{volume}<region id='A'>{}<metros>{volume}</metros>{volume}</region>\
                 </regions></item>",
                metro("X")
            ),
            cell(2 << 30, 6),
            vec![("X", one())],
        ),
        (
            format!(
                "<requests>9</requests><volume>9</volume><region id='A'>{volume}\
                 <metros id='all'>{volume}{}</metros></region>",
                metro("X")
            ),
            one(),
            vec![("X", one())],
        ),
        // One region has metros, the other has not.
        (format!("<region>{}</region><region>{volume}</region>", metro("X")), cell(2 << 30, 6), vec![("X", one())]),
        (format!("<region>{volume}<metro id='X'/></region>"), one(), vec![("X", Cell::default())]),
        (format!("<metros><metro>{volume}</metro><metro id=''>{volume}</metro></metros>"), cell(2 << 30, 6), vec![]),
        (format!("<metro id='X'><item>{volume}</item></metro>"), one(), vec![("X", one())]),
        ("<metro id='X'><requests>0</requests></metro>".to_owned(), Cell::default(), vec![("X", Cell::default())]),
        // What is said twice is not two things.
        (
            "<metro id='X' volume='1.0'><volume>1</volume><requests>3</requests></metro>".to_owned(),
            one(),
            vec![("X", one())],
        ),
    ] {
        assert_eq!(first(&point(&inside)), (total, cities(&expected)), "{inside}");
    }
}

#[test]
fn the_contracts_figures_come_from_the_vendors_decimals() {
    let told = [
        ("08/04/2016 07:45:00", "7.5"),
        ("08/04/2016 07:50:00", "0.000140625"),
        ("08/04/2016 07:55:00", "0.0860478515"),
        ("08/04/2016 08:00:00", "1.75782E-4"),
        ("08/04/2016 08:05:00", "8.789E-6"),
        ("08/04/2016 08:10:00", "0.0"),
        ("08/04/2016 08:15:00", "0.645375"),
        ("08/04/2016 08:20:00", "0.064567382"),
        ("08/04/2016 08:25:00", "0.000008789"),
        ("08/04/2016 08:30:00", "7.5"),
    ];
    let points: Vec<String> = told
        .iter()
        .map(|(id, volume)| format!("<point id=\"{id}\"><metro id=\"Miami\"><volume>{volume}</volume></metro></point>"))
        .collect();
    let report = read(&format!("<data>{}</data>", points.concat()), window(8)).unwrap();
    let bytes: Vec<u64> = report.totals().iter().map(|cell| cell.bytes).collect();
    assert_eq!(bytes, [150_995, 92_393_177, 188_744, 9_437, 0, 692_966_130, 69_328_699, 9_437]);
    assert_eq!(report.last_delivered(), Some(AT + 7 * 300));
    let (_, miami) = report.cities().next().unwrap();
    assert_eq!(miami.cells, report.totals());
    let bits: Vec<u64> = bytes.iter().map(|bytes| (bytes * 16 + 300) / 600).collect();
    assert_eq!(bits, [4_027, 2_463_818, 5_033, 252, 0, 18_479_097, 1_848_765, 252]);
}

#[test]
fn nothing_happened_and_nothing_known_are_both_no_failure() {
    for text in [
        "<data/>",
        "<accessGroup id='1'><data></data></accessGroup>",
        "<points/>",
        r#"{"data":[]}"#,
        r#"{"accessGroup":{"data":{"point":[]}}}"#,
        r#"{"Points":[]}"#,
        r#"{"data":null}"#,
        "<error><message>No usage data was found for specified criteria.</message></error>",
    ] {
        assert_eq!(read(text, window(1)).unwrap(), UsageReport::new(window(1)), "{text}");
    }
}

#[test]
fn what_cannot_be_read_makes_the_whole_answer_unreadable_and_is_named() {
    let metro = |inside: &str| point(&format!("<region id='NA'><metro id='Miami'>{inside}</metro></region>"));
    let long = metro("<volume>1</volume>").replace("Miami", &"x".repeat(201));
    for (text, words) in [
        (metro("<volume>-1</volume>"), "volume `-1`"),
        (metro("<volume>1,5</volume>"), "(data/point/region/metro/volume; 08/04/2016 07:50:00, NA, Miami)"),
        (metro("<volume>NaN</volume>"), "volume `NaN`"),
        (metro("<volume/>"), "volume ``"),
        (metro("<volume><value>1</value></volume>"), "volume ``"),
        (metro("<volume>1</volume><requests>1.5</requests>"), "requests `1.5`"),
        (metro("<volume>1</volume><requests>many</requests>"), "requests `many`"),
        (metro("<requests>1</requests>"), "`Miami` has requests but no volume"),
        (metro("<requests>1</requests><bytes>7</bytes>"), "`Miami` has requests but no volume"),
        (metro("<volume>1</volume><volume>2</volume>"), "`Miami` says two different things"),
        (point("<volume>x</volume><metro id='a'><volume>1</volume></metro>"), "volume `x`"),
        (point("<metro id='a'/><point id='08/04/2016 07:55:00'/>"), "a point within a point"),
        ("<data><point id='2016-08-04 07:50:00'/></data>".to_owned(), "`2016-08-04 07:50:00` is no time"),
        ("<data><point id='13/04/2016 07:50:00'/></data>".to_owned(), "`13/04/2016 07:50:00` is no time"),
        ("<data><point/></data>".to_owned(), "a point without an id"),
        ("<data><points><metro id='a'/></points></data>".to_owned(), "a point without an id"),
        (long, "a name longer"),
        ("<html><body><p>Maintenance</p></body></html>".to_owned(), "not about usage"),
        ("<accessGroup id='1'><accessGroups/></accessGroup>".to_owned(), "not about usage"),
        ("{}".to_owned(), "not about usage"),
        (r#"{"data":{"point":{"id":"08/04/2016 07:50:00","volume":-1}}}"#.to_owned(), "volume `-1`"),
        (r#"{"data":{"point":{"id":"08/04/2016 07:50:00","volume":null}}}"#.to_owned(), "volume ``"),
    ] {
        match read(&text, window(1)) {
            Err(CdnError::Unreadable(message)) => {
                assert!(message.contains(words), "{text}: {message}");
                assert!(message.chars().count() <= 301, "{message}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn more_metros_than_there_can_be_are_refused_in_one_point_and_over_all() {
    let metros = |numbers: std::ops::Range<u32>| -> String {
        numbers.map(|number| format!("<metro id='{number}' volume='1'/>")).collect()
    };
    let two = |first: &str, second: &str| {
        let second_point = format!("<point id='08/04/2016 07:55:00'>{second}</point></data>");
        point(first).replace("</data>", &second_point)
    };
    assert_eq!(read(&two(&metros(0..5_000), &metros(0..5_000)), window(2)).unwrap().cities().count(), 5_000);
    for text in [point(&metros(0..5_001)), two(&metros(0..5_000), &metros(4_999..5_001))] {
        let error = read(&text, window(2)).unwrap_err();
        assert!(matches!(&error, CdnError::Unreadable(why) if why.contains("more metros")), "{error}");
    }
}

#[test]
fn an_answer_that_is_cut_anywhere_is_transient() {
    // Without its comment, of which the first two bytes alone are no beginning of anything.
    let text = EXAMPLE.replace(" <!-- %m/%d/%Y %H:%M:%S, UTC -->", "");
    for end in 1..text.len() {
        let cut = &text[..end];
        assert!(matches!(read(cut, window(1)), Err(CdnError::Transient(_))), "{cut}: {:?}", read(cut, window(1)));
    }
    assert!(read(&text, window(1)).is_ok());
}

#[test]
fn the_words_for_no_data_are_found_in_any_form_of_body() {
    let takes = |body: &str| Usage::new(window(1)).takes_refusal(body.as_bytes());
    for body in [
        "No usage data was found for specified criteria.",
        "<error><message>NO USAGE DATA WAS FOUND\n  for specified criteria</message></error>",
        r#"{"error":{"message":"Sorry: No usage data was found for specified criteria."}}"#,
    ] {
        assert!(takes(body), "{body}");
    }
    for body in ["", "usage data was found", "No usage data", "<error>The network identifier was not found</error>"] {
        assert!(!takes(body), "{body}");
    }
}

proptest! {
    #[test]
    fn totals_are_the_sum_of_the_cities_and_order_does_not_matter(
        told in proptest::collection::vec((0..4_i64, 0..5_u8, 0..3_u8, 0..u64::from(u32::MAX), 0..1000_u64), 0..40),
    ) {
        let mut expected = UsageReport::new(window(4));
        let mut points = Vec::new();
        for (slot, metro, region, micros, requests) in &told {
            let volume = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            let bytes = ((u128::from(*micros) << 31) + 1_000_000) / 2_000_000;
            let cell = cell(u64::try_from(bytes).unwrap(), *requests);
            let at = AT + slot * 300;
            expected.add_total(at, cell);
            prop_assert!(expected.add_city(at, &metro.to_string(), cell));
            let id = DateTime::from_timestamp(at, 0).unwrap().format("%m/%d/%Y %H:%M:%S");
            let metro = format!(
                "<metro id='{metro}'><volume>{volume}</volume><requests>{requests}</requests></metro>"
            );
            points.push(format!(
                "<point id='{id}'><item><regions><region id='{region}'><metros>{metro}</metros></region></regions>\
                 </item></point>"
            ));
        }
        let forward = read(&format!("<data>{}</data>", points.concat()), window(4)).unwrap();
        points.reverse();
        let backward = read(&format!("<data>{}</data>", points.concat()), window(4)).unwrap();
        prop_assert_eq!(&forward, &expected);
        prop_assert_eq!(&backward, &expected);
        for index in 0..4 {
            let sum = forward.cities().fold(Cell::default(), |sum, (_, usage)| sum.plus(usage.cells[index]));
            prop_assert_eq!(sum, forward.totals()[index]);
        }
    }

    #[test]
    fn no_soup_of_usage_panics(
        words in proptest::collection::vec(prop_oneof![
            "<(data|points?|metros?|regions?|items?|volume|requests|id)>",
            "</(data|points?|metros?|regions?|items?|volume|requests|id)>",
            Just("08/04/2016 07:50:00".to_owned()),
            "[0-9.eE-]{1,5}",
        ], 0..40)
    ) {
        let _ = read(&words.concat(), window(1));
    }
}
