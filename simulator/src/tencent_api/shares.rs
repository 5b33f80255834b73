//! How traffic is divided among districts and countries: by shares that are made up, with sums that are exact.
//!
//! A source has six districts a day, out of those of its area, with shares of its own. Names and ids of provinces and
//! ISPs are those of the vendor's documentation of Tencent Cloud CDN (product 228, document 6316) as far as they are
//! known; those of countries are chosen. `DescribeMapInfo` lists them all. Called by the rankings of both services.

use super::traffic::{EDGEONE, Source, Usage};
use crate::hash::{mixed, seed};

/// An id with its name.
pub(crate) type Named = (i64, &'static str);

/// Provinces of mainland China.
pub(crate) const PROVINCES: [Named; 31] = [
    (22, "北京"),
    (86, "内蒙古"),
    (146, "山西"),
    (1069, "河北"),
    (1177, "天津"),
    (119, "宁夏"),
    (152, "陕西"),
    (1208, "甘肃"),
    (1467, "青海"),
    (1468, "新疆"),
    (145, "黑龙江"),
    (1445, "吉林"),
    (1464, "辽宁"),
    (2, "福建"),
    (120, "江苏"),
    (121, "安徽"),
    (122, "山东"),
    (1050, "上海"),
    (1442, "浙江"),
    (182, "河南"),
    (1135, "湖北"),
    (1465, "江西"),
    (1466, "湖南"),
    (118, "贵州"),
    (153, "云南"),
    (1051, "重庆"),
    (1068, "四川"),
    (1155, "西藏"),
    (4, "广东"),
    (173, "广西"),
    (1441, "海南"),
];

/// Countries and regions outside of mainland China, where clients are.
pub(crate) const COUNTRIES: [Named; 16] = [
    (35, "中国香港"),
    (72, "中国台湾"),
    (1044, "日本"),
    (73, "韩国"),
    (57, "新加坡"),
    (1195, "印度尼西亚"),
    (471, "马来西亚"),
    (144, "泰国"),
    (1176, "越南"),
    (1056, "印度"),
    (669, "美国"),
    (816, "德国"),
    (1207, "英国"),
    (1206, "法国"),
    (1121, "巴西"),
    (1158, "澳大利亚"),
];

/// Regions outside of mainland China, where the vendor's servers are.
pub(crate) const SERVER_REGIONS: [Named; 6] = [
    (2_000_000_001, "亚太一区"),
    (2_000_000_002, "亚太二区"),
    (2_000_000_003, "亚太三区"),
    (2_000_000_004, "中东"),
    (2_000_000_005, "北美"),
    (2_000_000_006, "欧洲"),
];

/// ISPs of mainland China.
pub(crate) const ISPS: [Named; 7] = [
    (2, "中国电信"),
    (26, "中国联通"),
    (1046, "中国移动"),
    (3947, "中国铁通"),
    (38, "教育网"),
    (43, "长城宽带"),
    (0, "其他"),
];

/// Countries by their codes of ISO 3166.
pub(crate) const CODES: [&str; 14] =
    ["CN", "HK", "TW", "JP", "KR", "SG", "ID", "MY", "TH", "VN", "IN", "US", "DE", "GB"];

/// How many districts a source has in a day.
const DISTRICTS: usize = 6;

/// A district's part of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistrictShare {
    /// Its id in `DescribeMapInfo`.
    pub id: i64,
    /// Its name there.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
}

/// A country's part of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountryShare {
    /// Its code of ISO 3166.
    pub code: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
}

/// How bytes and requests of a domain at Tencent Cloud CDN are divided in a day, which begins at this time (00:00 in
/// UTC+8). The area is `mainland` (provinces), `overseas` (countries of the clients: `AreaType` is `client`) or
/// `overseas-server` (regions of the vendor's servers, which is what `overseas` means without an `AreaType`). The parts
/// sum up to the whole; none is left out.
#[must_use]
pub fn tencent_district_split(
    domain: &str,
    area: &str,
    day_begin_unix: i64,
    bytes: u64,
    requests: u64,
) -> Vec<DistrictShare> {
    let districts: &[Named] = match area {
        "mainland" => &PROVINCES,
        "overseas" => &COUNTRIES,
        _ => &SERVER_REGIONS,
    };
    let parts = split(domain, area, day_begin_unix, districts.len(), Usage { bytes, requests });
    let share = |(place, usage): (usize, Usage)| DistrictShare {
        id: districts[place].0,
        name: districts[place].1,
        bytes: usage.bytes,
        requests: usage.requests,
    };
    parts.into_iter().map(share).collect()
}

/// How bytes and requests of a domain at EdgeOne are divided in a day, which begins at this time (00:00 in UTC). The
/// parts sum up to the whole; none is left out.
#[must_use]
pub fn edgeone_country_split(domain: &str, day_begin_unix: i64, bytes: u64, requests: u64) -> Vec<CountryShare> {
    let parts = split(domain, EDGEONE, day_begin_unix, CODES.len(), Usage { bytes, requests });
    let share = |(place, usage): (usize, Usage)| CountryShare {
        code: CODES[place],
        bytes: usage.bytes,
        requests: usage.requests,
    };
    parts.into_iter().map(share).collect()
}

/// The sum of a domain's traffic, to be divided.
pub(crate) fn usage_between(domain: &str, area: &str, from: i64, until: i64) -> Usage {
    let area = if area == "overseas-server" { "overseas" } else { area };
    Source::new(domain, area).sum(from, until)
}

/// The places that have a part, out of so many, each with its part.
fn split(domain: &str, area: &str, day: i64, places: usize, whole: Usage) -> Vec<(usize, Usage)> {
    // Where a source is at home does not change from day to day, what comes from there does.
    let home = mixed(seed(&domain.to_ascii_lowercase()) ^ seed(area));
    let mut chosen: Vec<usize> = (0..places).collect();
    chosen.sort_by_key(|place| mixed(home ^ *place as u64));
    chosen.truncate(DISTRICTS);
    let weight = |place: usize| 1 + mixed(home ^ day.unsigned_abs().rotate_left(20) ^ place as u64) % 1000;
    let weights: Vec<u64> = chosen.iter().map(|place| weight(*place)).collect();
    let all: u64 = weights.iter().sum();
    let part_up_to = |amount: u64, upto: u64| {
        let part = u128::from(amount) * u128::from(upto) / u128::from(all.max(1));
        u64::try_from(part).unwrap_or(amount)
    };
    let mut before = 0;
    let mut parts = Vec::new();
    for (place, weight) in chosen.into_iter().zip(weights) {
        let upto = before + weight;
        let part = |amount| part_up_to(amount, upto) - part_up_to(amount, before);
        parts.push((place, Usage { bytes: part(whole.bytes), requests: part(whole.requests) }));
        before = upto;
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn parts_sum_up_to_the_whole() {
        for (bytes, requests) in [(0, 0), (1, 1), (7, 5), (123_456_789_012, 98_765), (u64::MAX, u64::MAX)] {
            for area in ["mainland", "overseas", "overseas-server"] {
                let parts = tencent_district_split("shop.example.com", area, 1_700_000_000, bytes, requests);
                assert_eq!(parts.len(), 6);
                assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), bytes);
                assert_eq!(parts.iter().map(|part| part.requests).sum::<u64>(), requests);
            }
            let parts = edgeone_country_split("www.example.org", 1_700_000_000, bytes, requests);
            assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), bytes);
        }
    }

    #[test]
    fn days_and_areas_are_divided_differently() {
        let split = |area, day| tencent_district_split("shop.example.com", area, day, 1_000_000, 1000);
        let first = split("mainland", 1_700_000_000);
        assert_ne!(first, split("mainland", 1_700_086_400));
        assert!(split("overseas", 1_700_000_000).iter().all(|part| !first.iter().any(|other| other.id == part.id)));
    }

    #[test]
    fn ids_and_names_are_unique() {
        let all = || PROVINCES.into_iter().chain(COUNTRIES).chain(SERVER_REGIONS);
        assert_eq!(all().map(|(id, _)| id).collect::<HashSet<_>>().len(), all().count());
        assert_eq!(all().map(|(_, name)| name).collect::<HashSet<_>>().len(), all().count());
    }
}
