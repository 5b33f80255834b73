//! Usage as the vendor answers it: its form, its golden values, its sums, and when there is none.
//!
//! Answers are taken apart by a small reader of this file. Volumes are compared in bytes, by arithmetic that is written
//! here anew; golden values are those of `demo.toml`. What a test may change of the data is in `usage_controls`, which
//! uses the reader too.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::client::{Answer, Wire, config};

pub(crate) const CDN: &str = "12345/BBBN56789/cdn.example.com";
pub(crate) const WWW: &str = "12345/BBBN56789/www.example.com";
pub(crate) const A: &str = "12346/BBKN17110/a.example.com";

/// Bytes and requests by the place's name; a sum has an empty name.
pub(crate) type Places = BTreeMap<String, (u64, u64)>;

/// The points of an answer, by their ids' text.
pub(crate) type Series = Vec<(String, Places)>;

/// `round(volume × 1024³)`, by the digits.
fn bytes(volume: &str) -> u64 {
    let (whole, decimals) = volume.split_once('.').unwrap_or((volume, ""));
    let scale = 10_u128.pow(decimals.len() as u32);
    let number: u128 = format!("{whole}{decimals}").parse().unwrap();
    u64::try_from(((number << 30) * 2 + scale) / (scale * 2)).unwrap()
}

pub(crate) fn series(answer: &Answer) -> Series {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut reader = Reader::from_str(&answer.body);
    let mut series = Series::new();
    let (mut place, mut element, mut requests) = (String::new(), String::new(), 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                element = tag.name().as_ref().to_owned();
                let id = || tag.attributes().next().unwrap().unwrap().value.into_owned();
                match element.as_str() {
                    "point" => {
                        series.push((id(), Places::new()));
                        place.clear();
                    }
                    "region" | "metro" => place = id(),
                    _ => {}
                }
            }
            Event::Text(text) => match element.as_str() {
                "requests" => requests = text.xml10_content().parse().unwrap(),
                "volume" => {
                    let measured = (bytes(&text.xml10_content()), requests);
                    let twice = series.last_mut().unwrap().1.insert(place.clone(), measured);
                    assert_eq!(twice, None, "{place}");
                }
                _ => {}
            },
            Event::Eof => return series,
            _ => {}
        }
    }
}

fn total(places: &Places) -> (u64, u64) {
    places.values().fold((0, 0), |sum, place| (sum.0 + place.0, sum.1 + place.1))
}

/// The sums of each place over all points.
pub(crate) fn by_place<'s>(points: impl IntoIterator<Item = &'s (String, Places)>) -> Places {
    let mut sums = Places::new();
    for (name, (bytes, requests)) in points.into_iter().flat_map(|(_, places)| places) {
        let sum = sums.entry(name.clone()).or_default();
        *sum = (sum.0 + bytes, sum.1 + requests);
    }
    sums
}

fn target(scope: &str, from: &str, to: &str, rest: &str) -> String {
    format!("/usage/cdn/v1.0/{scope}?dateFrom={from}&dateTo={to}&serviceType=caching&{rest}")
}

pub(crate) async fn metros(wire: &Wire, scope: &str, from: &str, to: &str) -> Series {
    series(&wire.get(&target(scope, from, to, "dataInterval=5min&geo=metro")).await)
}

#[tokio::test]
async fn a_point_has_the_form_of_the_help_pages() {
    let wire = Wire::start().await;
    let golden = async |rest: &str| {
        let answer = wire.get(&target(CDN, "201608040750", "201608040755", rest)).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/xml;charset=UTF-8"));
        let (head, data) = answer.body.split_once("<data>").unwrap();
        assert!(head.starts_with("<accessGroup id=\"12345\" name=\"Example Group\"><apiCorrelationId>CDNPortal-"));
        assert!(head.ends_with(&format!("<serviceResource>/{CDN}</serviceResource>")));
        data.to_owned()
    };
    let metro = |id: &str, requests: u32, volume: &str, throughput: &str| {
        let volume = format!("<requests>{requests}</requests><volume>{volume}</volume>");
        format!("<metro id=\"{id}\">{volume}<averageThroughput>{throughput}</averageThroughput></metro>")
    };
    let point = "<point id=\"08/04/2016 07:50:00\"><item>";
    let end = "</item></point></data></accessGroup>";
    let (miami, york) = (metro("Miami", 12, "0.000110625", "0.00316"), metro("New York", 3, "0.00002", "0.00057"));
    let seoul = metro("Seoul", 2, "0.00001", "0.00028");
    assert_eq!(
        golden("dataInterval=5min&geo=metro").await,
        format!(
            "{point}<regions><region id=\"North America\"><metros>{miami}{york}</metros></region>\
             <region id=\"Asia Pacific\"><metros>{seoul}</metros></region></regions>{end}"
        )
    );
    let sums = golden("dataInterval=5min&geo=region").await;
    let seoul = "<requests>2</requests><volume>0.00001</volume><averageThroughput>0.00028</averageThroughput>";
    assert!(sums.starts_with(&format!("{point}<regions><region id=\"North America\"><requests>15</requests><volume>")));
    assert!(sums.ends_with(&format!("<region id=\"Asia Pacific\">{seoul}</region></regions>{end}")));
    let sum = golden("dataInterval=5min").await;
    assert!(sum.starts_with(&format!("{point}<requests>17</requests><volume>0.000140625")), "{sum}");
    assert_eq!(sum, golden("dataInterval=5min&geo=none").await);
}

#[tokio::test]
async fn the_golden_values_are_exact_and_alone_on_their_day() {
    let wire = Wire::start().await;
    let day = metros(&wire, CDN, "201608040000", "201608050000").await;
    let totals: Vec<u64> = day.iter().map(|(_, places)| total(places).0).collect();
    assert_eq!(totals, [150_995, 92_393_177, 188_744, 9437, 0, 692_966_130, 69_328_699, 9437]);
    let ids: Vec<&str> = day.iter().map(|(id, _)| &id[11..]).collect();
    let times = ["07:50:00", "07:55:00", "08:00:00", "08:05:00", "08:10:00", "08:15:00", "08:20:00", "08:25:00"];
    assert_eq!(ids, times);
    // The same without places: the sums are made before they are rounded.
    let sums = wire.get(&target(CDN, "201608040000", "201608050000", "dataInterval=5min")).await;
    let sums: Vec<u64> = series(&sums).iter().map(|(_, places)| total(places).0).collect();
    assert_eq!(sums, totals);
    let areas = by_place(&metros(&wire, WWW, "201608040750", "201608040830").await);
    let expected = [("Miami".to_owned(), (29_490, 5)), ("Seoul".to_owned(), (16_513, 2))];
    assert_eq!(areas, Places::from(expected));
    let bandwidth = |bytes: u64| (bytes * 8 * 2 + 300) / 600;
    assert_eq!((bandwidth(29_490), bandwidth(16_513)), (786, 440));
    // The day before and the day after are made up.
    assert_eq!(metros(&wire, CDN, "201608030000", "201608060000").await.len(), 288 + 8 + 288);
}

#[tokio::test]
async fn a_made_up_day_has_cities_by_share_and_an_evening_and_is_the_same_everywhere() {
    let wire = Wire::start().await;
    let day = metros(&wire, A, "201608030000", "201608040000").await;
    assert_eq!(day.len(), 288);
    assert!(day.iter().all(|(_, places)| places.len() == 20 && places.values().all(|(bytes, _)| *bytes > 0)));
    assert_eq!((day[0].0.as_str(), day[287].0.as_str()), ("08/03/2016 00:00:00", "08/03/2016 23:55:00"));
    let hours: Vec<u64> = day.chunks(12).map(|hour| hour.iter().map(|(_, places)| total(places).0).sum()).collect();
    let (evening, night) = (hours[17..22].iter().max().unwrap(), hours[0..7].iter().min().unwrap());
    assert!(*evening == *hours.iter().max().unwrap() && *evening > 3 * night, "{hours:?}");
    let mut shares: Vec<u64> = by_place(&day).values().map(|(bytes, _)| *bytes).collect();
    shares.sort_unstable();
    assert!(shares[19] > 5 * shares[0]);
    let mut wide = config();
    wide.usage_cities = 85;
    let other = Wire::with(wide).await;
    let all = metros(&other, A, "201608030000", "201608030005").await;
    assert_eq!(all[0].1.len(), 85);
    assert!(all[0].1.contains_key("New York") && all[0].1.contains_key("West_Fargo"));
    let again = Wire::start().await;
    assert_eq!(metros(&again, A, "201608030000", "201608040000").await, day);
    let origin = target(A, "201608030000", "201608040000", "dataInterval=daily").replace("caching", "o");
    let origin = total(&series(&again.get(&origin).await)[0].1);
    assert!(origin.0 > 0 && origin.0 < total(&by_place(&day)).0 / 8);
}

#[tokio::test]
async fn regions_are_the_sums_of_their_metros() {
    let wire = Wire::start().await;
    let range = ("201608030000", "201608030100");
    let with = async |geo: &str| series(&wire.get(&target(A, range.0, range.1, geo)).await);
    let metros = with("dataInterval=5min&geo=metro").await;
    let regions = with("dataInterval=5min&geo=region").await;
    let sums = with("dataInterval=5min").await;
    for (index, (id, places)) in metros.iter().enumerate() {
        assert_eq!((id, total(places)), (&regions[index].0, total(&regions[index].1)));
        assert_eq!((id, total(places)), (&sums[index].0, total(&sums[index].1)));
    }
    assert!(regions[0].1.keys().any(|region| region == "Europe"), "{:?}", regions[0].1);
    assert_eq!(sums[0].1.keys().collect::<Vec<_>>(), [""]);
}

#[tokio::test]
async fn days_and_months_are_the_sums_of_their_points() {
    let wire = Wire::start().await;
    let with = async |from, to, interval: &str| {
        let rest = format!("dataInterval={interval}&geo=metro");
        series(&wire.get(&target(A, from, to, &rest)).await)
    };
    let (from, to) = ("201607302200", "201608020100");
    let points = with(from, to, "5min").await;
    let days = with(from, to, "daily").await;
    let months = with(from, to, "monthly").await;
    for (coarse, length) in [(&days, 10), (&months, 2)] {
        for (id, places) in coarse {
            let part = points.iter().filter(|(point, _)| point[..length] == id[..length]);
            assert_eq!(*places, by_place(part), "{id}");
        }
    }
    let ids = |series: &Series| series.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    let midnights = ["07/30", "07/31", "08/01", "08/02"].map(|day| format!("{day}/2016 00:00:00"));
    assert_eq!(ids(&days), midnights);
    assert_eq!(ids(&months), ["07/01/2016 00:00:00", "08/01/2016 00:00:00"]);
    let whole =
        |rest: &str| format!("/usage/cdn/v1.0/{A}?serviceType=c&dateMonth=201602&geo=metro&dataInterval={rest}");
    let month = series(&wire.get(&whole("monthly")).await);
    let days = series(&wire.get(&whole("daily")).await);
    assert_eq!((month.len(), days.len()), (1, 29));
    assert_eq!(month[0].1, by_place(&days));
}

#[tokio::test]
async fn a_wider_scope_is_the_sum_of_its_properties() {
    let wire = Wire::start().await;
    let range = ("201608040745", "201608040800");
    let of = async |scope: &str| metros(&wire, scope, range.0, range.1).await;
    let b = "12346/BBKN17110/b.example.com";
    let image = "12345/BBBN56789/*.img.example.com";
    for (scope, parts) in [
        ("12346/BBKN17110", vec![A, b]),
        ("12346", vec![A, b]),
        ("12345/BBBN56789", vec![CDN, WWW, image]),
        ("12345", vec![CDN, WWW, image, A, b]),
    ] {
        let mut sums: BTreeMap<String, Places> = BTreeMap::new();
        for part in parts {
            for (id, places) in of(part).await {
                let before = sums.remove(&id).unwrap_or_default();
                let both = [(String::new(), before), (String::new(), places)];
                sums.insert(id, by_place(&both));
            }
        }
        let wide = of(scope).await;
        assert_eq!(wide.len(), 3);
        assert_eq!(wide.into_iter().collect::<BTreeMap<_, _>>(), sums, "{scope}");
    }
}

#[tokio::test]
async fn where_there_is_no_traffic_the_answer_is_404_with_a_fixed_text() {
    let wire = Wire::start().await;
    let day = ("201608030000", "201608040000");
    for (scope, from, to) in [
        ("12345/BBBN56789/old.example.com", day.0, day.1),
        ("12345/BBBN10111/sample-live", day.0, day.1),
        ("12345/BBBN10111", day.0, day.1),
        (A, "209901010000", "209901020000"),
        (A, "200912310000", "201001010000"),
        (CDN, "201608040000", "201608040750"),
        (CDN, "201608040830", "201608050000"),
        (CDN, "201608040752", "201608040753"),
    ] {
        let answer = wire.get(&target(scope, from, to, "dataInterval=5min&geo=metro")).await;
        let expected = if to == "201608040753" { 400 } else { 404 };
        assert_eq!(answer.status, expected, "{scope} {from}");
        let text = "<error><message>No usage data was found for specified criteria.</message></error>";
        assert_eq!(answer.body == text, expected == 404, "{}", answer.body);
    }
    let origin = target(CDN, "201608040000", "201608050000", "dataInterval=5min").replace("caching", "origin");
    assert_eq!(wire.get(&origin).await.status, 404);
}

#[tokio::test]
async fn wrong_requests_are_refused_before_anything_is_looked_up() {
    let mut wire = Wire::start().await;
    let good = target(CDN, "201608040750", "201608040755", "dataInterval=5min&geo=metro");
    assert_eq!(wire.get(&good).await.status, 200);
    for (part, wrong, named) in [
        ("serviceType=caching", "serviceType=both", "serviceType"),
        ("&serviceType=caching", "", "serviceType"),
        ("dateFrom=201608040750", "dateFrom=2016-08-04", "dateFrom"),
        ("&dateTo=201608040755", "", "dateTo"),
        ("dateTo=201608040755", "dateTo=201608040745", "dateTo"),
        ("dataInterval=5min", "dataInterval=1h", "dataInterval"),
        ("&dataInterval=5min", "", "dataInterval"),
        ("geo=metro", "geo=city", "geo"),
        ("geo=metro", "dateMonth=201608", "dateMonth"),
    ] {
        let answer = wire.get(&good.replace(part, wrong)).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.body.starts_with("<error><message>") && answer.body.contains(named), "{}", answer.body);
    }
    assert_eq!(wire.post(&good, &["/a"]).await.status, 405);
    wire.accept = "application/json";
    assert_eq!(wire.get(&good).await.status, 406);
    (wire.accept, wire.secret) = ("text/xml", "SECONDsecret01234567");
    assert_eq!(wire.get(&good).await.status, 403);
    let wire = wire.with_second_key();
    assert_eq!(wire.get(&good).await.status, 403);
}

#[tokio::test]
async fn the_end_of_a_range_is_in_it_if_the_configuration_says_so() {
    let mut config = config();
    config.usage_date_to = overseas_simulator::DateTo::Inclusive;
    let wire = Wire::with(config).await;
    assert_eq!(metros(&wire, A, "201608030000", "201608030010").await.len(), 3);
    assert_eq!(metros(&wire, A, "201608030000", "201608030000").await.len(), 1);
}
