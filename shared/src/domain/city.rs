//! Cities that CDNs serve from, and the provinces and countries that some vendors tell in their place: names in English and
//! Chinese, the country and where they are.
//!
//! A vendor writes `New York`, `New_York` or `NewYork`, and some of them misspell; so a city is looked up by
//! [`key`], and `data/cities.csv` and `data/areas.csv` list the spellings. Those files were written by hand from general
//! knowledge (public facts; no other collection was copied). A city that they do not know is shown in the vendor's words.
//! Called by the merging of usage, the statistics handlers and the doctor command.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

const CITY_DATA: &str = include_str!("../../data/cities.csv");
const AREA_DATA: &str = include_str!("../../data/areas.csv");
const HEADING: &str = "keys,city,city_cn,country,country_cn,latitude,longitude";

static CITIES: LazyLock<Vec<City>> = LazyLock::new(|| rows().filter_map(parse).collect());

static BY_KEY: LazyLock<HashMap<&'static str, &'static City>> =
    LazyLock::new(|| CITIES.iter().flat_map(|city| city.keys().map(move |key| (key, city))).collect());

/// A city that is known by name, or an area: a province of China, or a country or region, whose country is itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct City {
    keys: &'static str,
    /// The name in English, such as `New York`.
    pub name: &'static str,
    /// The name in simplified Chinese, such as `纽约`.
    pub name_cn: &'static str,
    /// The country or region in English.
    pub country: &'static str,
    /// The country or region in simplified Chinese.
    pub country_cn: &'static str,
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

impl City {
    /// The spellings that mean this city, in the form of [`key`]; the first is that of [`City::name`].
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.split('|')
    }
}

/// The form in which names are compared: lower case, without spaces, underscores, hyphens, dots and apostrophes.
#[must_use]
pub fn key(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | '.' | '\'' | '’'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// What tells cities apart: the [`key`] of the name to show, so that all spellings of a known city are one.
#[must_use]
pub fn identity(name: &str) -> String {
    find(name).map_or_else(|| key(name), |city| key(city.name))
}

/// The city that a vendor calls by this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static City> {
    BY_KEY.get(key(name).as_str()).copied()
}

/// The English name to show: the proper one of a known city, else the vendor's text with underscores as spaces.
#[must_use]
pub fn english(name: &str) -> Cow<'_, str> {
    match find(name) {
        Some(city) => Cow::Borrowed(city.name),
        None if name.contains('_') => Cow::Owned(name.replace('_', " ").trim().to_owned()),
        None => Cow::Borrowed(name.trim()),
    }
}

/// The Chinese name to show; of an unknown city the English one.
#[must_use]
pub fn chinese(name: &str) -> Cow<'_, str> {
    find(name).map_or_else(|| english(name), |city| Cow::Borrowed(city.name_cn))
}

/// All known cities, by country, then all known areas.
#[must_use]
pub fn all() -> &'static [City] {
    &CITIES
}

fn rows() -> impl Iterator<Item = &'static str> {
    CITY_DATA
        .lines()
        .chain(AREA_DATA.lines())
        .filter(|line| !line.is_empty() && !line.starts_with('#') && *line != HEADING)
}

/// Reads one row. No name holds a comma, so nothing is quoted.
fn parse(row: &'static str) -> Option<City> {
    let mut fields = row.split(',');
    let mut next = || fields.next().filter(|field| !field.is_empty());
    let city = City {
        keys: next()?,
        name: next()?,
        name_cn: next()?,
        country: next()?,
        country_cn: next()?,
        latitude: next()?.parse().ok()?,
        longitude: next()?.parse().ok()?,
    };
    fields.next().is_none().then_some(city)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The names in statistics that a vendor is known to have used, as it wrote them.
    const SEEN: [&str; 85] = [
        "Amsterdam",
        "Atlanta",
        "Baghdad",
        "Baku",
        "Barcelona",
        "Berlin",
        "Birmingham",
        "Bogota",
        "Boston",
        "Brussels",
        "Bucharest",
        "BuenosAires",
        "CapeTown",
        "Chicago",
        "Cincinnati",
        "Cleveland",
        "Copenhagen",
        "Dallas",
        "Denver",
        "Djibouti",
        "Doha",
        "Dubai",
        "Dublin",
        "Dusseldorf",
        "Frankfurt",
        "Fujairah",
        "Hamburg",
        "Helsinki",
        "Herndon",
        "HongKong",
        "Houston",
        "Jeddah",
        "Johannesburg",
        "KualaLumpur",
        "Leeds",
        "Lima",
        "Lockridge",
        "London",
        "Madrid",
        "Marseille",
        "Mascot",
        "McLean",
        "Miami",
        "Milan",
        "Minneapolis",
        "Mombasa",
        "Montreal",
        "Moscow",
        "Nairobi",
        "NewYork",
        "Newark",
        "Novosibrsk",
        "Orlando",
        "Oslo",
        "Paris",
        "Phoenix",
        "Pittsburgh",
        "Prague",
        "Quito",
        "Raleigh",
        "ReunionIsland",
        "Reykjavik",
        "RiodeJaneiro",
        "Rochedale",
        "SanJose",
        "SaoPaulo",
        "Seattle",
        "Seoul",
        "Singapore",
        "SiouxFalls",
        "Sofia",
        "StLouis",
        "Stockholm",
        "Sunnyvale",
        "Sydney",
        "Tampa",
        "Tokyo",
        "Toronto",
        "Tustin",
        "Valencia",
        "Vienna",
        "Warsaw",
        "WestFargo",
        "Yekaterinburg",
        "Zurich",
    ];

    fn is_chinese(name: &str) -> bool {
        !name.is_empty() && name.chars().all(|c| ('\u{4e00}'..='\u{9fff}').contains(&c) || "（）-".contains(c))
    }

    #[test]
    fn every_row_is_read() {
        assert_eq!(all().len(), rows().count());
        assert!(all().len() >= 300, "{}", all().len());
    }

    #[test]
    fn the_contracts_examples_are_translated() {
        let miami = find("Miami").unwrap();
        assert_eq!((miami.name_cn, miami.country, miami.country_cn), ("迈阿密", "United States", "美国"));
        assert_eq!(find("Seoul").unwrap().name_cn, "首尔");
    }

    #[test]
    fn every_name_that_a_vendor_used_is_known() {
        for name in SEEN {
            let city = find(name).unwrap_or_else(|| panic!("{name} is not known"));
            assert!(is_chinese(city.name_cn), "{name}: {}", city.name_cn);
        }
    }

    #[test]
    fn a_misspelling_is_shown_properly() {
        assert_eq!(english("Novosibrsk"), "Novosibirsk");
        assert_eq!(chinese("Novosibrsk"), "新西伯利亚");
        assert_eq!(identity("Novosibrsk"), identity("Novosibirsk"));
        assert_eq!(english("StLouis"), "St. Louis");
        assert_eq!(english("RiodeJaneiro"), "Rio de Janeiro");
        assert_eq!(english("ReunionIsland"), "Reunion Island");
    }

    /// The 31 provinces of the mainland, as vendors write them.
    const PROVINCES: &str = "北京 天津 河北 山西 内蒙古 辽宁 吉林 黑龙江 上海 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 \
        广东 广西 海南 重庆 四川 贵州 云南 西藏 陕西 甘肃 青海 宁夏 新疆";

    /// The codes of ISO 3166-1.
    const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT \
        BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH \
        ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT \
        HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS \
        LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI \
        NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG \
        SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG \
        UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

    #[test]
    fn provinces_are_places_in_china() {
        assert_eq!(PROVINCES.split_whitespace().count(), 31);
        for name in PROVINCES.split_whitespace() {
            let province = find(name).unwrap_or_else(|| panic!("{name} is not known"));
            assert_eq!((province.name_cn, province.country_cn), (name, "中国"));
            assert_eq!(find(province.name), Some(province));
        }
        for (long, short) in [
            ("广东省", "Guangdong"),
            ("北京市", "Beijing"),
            ("广西壮族自治区", "Guangxi"),
            ("新疆维吾尔自治区", "Xinjiang"),
            ("吉林省", "Jilin"),
            ("香港特别行政区", "Hong Kong"),
            ("澳门", "Macao"),
            ("台湾省", "Taiwan"),
        ] {
            assert!(find(long).is_some() && find(long) == find(short), "{long}");
        }
    }

    #[test]
    fn every_country_is_known_by_its_code_and_its_names() {
        assert_eq!(COUNTRIES.split_whitespace().count(), 249);
        let found: Vec<&City> = COUNTRIES.split_whitespace().filter_map(find).collect();
        let names: std::collections::HashSet<&str> = found.iter().map(|area| area.country).collect();
        assert_eq!((found.len(), names.len()), (249, 249), "each code means a country of its own");
        for area in &found {
            assert_eq!(find(area.name_cn).map(|found| found.name), Some(area.name));
        }
        for (code, spellings) in [
            ("US", ["USA", "United States", "United States of America", "美国"]),
            ("GB", ["UK", "United Kingdom", "Great Britain", "英国"]),
            ("KR", ["South Korea", "Republic of Korea", "Korea", "韩国"]),
            ("JP", ["Japan", "japan", "JAPAN", "日本"]),
            ("CZ", ["Czechia", "Czech Republic", "Czech_Republic", "捷克"]),
            ("SG", ["Singapore", "singapore", "SINGAPORE", "新加坡"]),
            ("HK", ["Hong Kong", "HongKong", "hk", "香港"]),
            ("CI", ["Ivory Coast", "Côte d'Ivoire", "Cote d'Ivoire", "科特迪瓦"]),
        ] {
            let area = find(code);
            for spelling in spellings {
                assert_eq!(find(spelling), area, "{spelling}");
            }
        }
    }

    #[test]
    fn every_city_is_in_a_country_that_is_known() {
        for city in all() {
            assert_eq!(find(city.country).map(|area| area.country), Some(city.country), "{}", city.name);
        }
    }

    #[test]
    fn spaces_underscores_and_case_do_not_matter() {
        for name in ["New York", "New_York", "NewYork", "NEW-YORK", " new york "] {
            assert_eq!(find(name).unwrap().name_cn, "纽约", "{name}");
            assert_eq!(english(name), "New York");
        }
        assert_eq!(find("Xi'an").unwrap().name_cn, "西安");
        assert_eq!(find("São Paulo").unwrap().name_cn, "圣保罗");
    }

    #[test]
    fn an_unknown_city_is_shown_in_the_vendors_words() {
        assert!(find("Nowhere_in_Particular").is_none());
        assert_eq!(english("Nowhere_in_Particular"), "Nowhere in Particular");
        assert_eq!(chinese("Nowhere_in_Particular"), "Nowhere in Particular");
        assert_eq!(english(""), "");
    }

    #[test]
    fn a_spelling_means_one_city_and_stands_in_the_form_in_which_it_is_looked_up() {
        let mut seen = HashMap::new();
        for city in all() {
            assert_eq!(city.keys().next().unwrap(), key(city.name), "the first key is the name's");
            for spelling in city.keys() {
                assert_eq!(spelling, key(spelling));
                assert_eq!(seen.insert(spelling, city.name), None, "{spelling} stands twice");
            }
        }
    }

    #[test]
    fn names_are_in_their_languages_and_places_are_on_earth() {
        for city in all() {
            assert!(city.name.is_ascii() && city.country.is_ascii(), "{}", city.name);
            assert!(is_chinese(city.name_cn) && is_chinese(city.country_cn), "{}", city.name);
            assert!((-85.0..=80.0).contains(&city.latitude), "{}", city.name);
            assert!((-180.0..=180.0).contains(&city.longitude), "{}", city.name);
        }
    }

    #[test]
    fn a_country_has_one_name_in_each_language() {
        let (mut chinese, mut english) = (HashMap::new(), HashMap::new());
        for city in all() {
            assert_eq!(*chinese.entry(city.country).or_insert(city.country_cn), city.country_cn);
            assert_eq!(*english.entry(city.country_cn).or_insert(city.country), city.country);
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_name_to_show(text in "\\PC{0,30}") {
            prop_assert_eq!(key(&key(&text)), key(&text));
            let shown = english(&text).into_owned();
            prop_assert!(!shown.contains('_'));
            prop_assert_eq!(find(&shown), find(&text));
            prop_assert_eq!(identity(&shown), identity(&text));
        }
    }
}
