//! The metros that usage is reported for, by region, spelt as clients met them: with spaces or with underscores.
//!
//! The oddities among the names are the vendor's, the regions behind the first are made up. A golden row may name any
//! other city, which then stands in the region of the metro that differs by spelling only, or in [`OTHER`].

use std::borrow::Cow;

use crate::config::MAX_CITIES;

/// Names of regions; a metro refers to one by its place.
pub(super) const REGIONS: [&str; 7] =
    ["North America", "Latin America", "Europe", "Middle East", "Africa", "Asia Pacific", "Other"];
/// The region of cities that are not in the table.
pub(super) const OTHER: usize = 6;
/// A metro id and its region's place.
type Metro = (&'static str, usize);

pub(super) const METROS: [Metro; MAX_CITIES] = [
    ("Atlanta", 0),
    ("Boston", 0),
    ("Chicago", 0),
    ("Cincinnati", 0),
    ("Cleveland", 0),
    ("Dallas", 0),
    ("Denver", 0),
    ("Herndon", 0),
    ("Houston", 0),
    ("McLean", 0),
    ("Miami", 0),
    ("Minneapolis", 0),
    ("Montreal", 0),
    ("New York", 0),
    ("Newark", 0),
    ("Orlando", 0),
    ("Phoenix", 0),
    ("Pittsburgh", 0),
    ("Raleigh", 0),
    ("San Jose", 0),
    ("Seattle", 0),
    ("Sioux_Falls", 0),
    ("St_Louis", 0),
    ("Sunnyvale", 0),
    ("Tampa", 0),
    ("Toronto", 0),
    ("Tustin", 0),
    ("West_Fargo", 0),
    ("Bogota", 1),
    ("Buenos Aires", 1),
    ("Lima", 1),
    ("Quito", 1),
    ("Rio de Janeiro", 1),
    ("Sao_Paulo", 1),
    ("Amsterdam", 2),
    ("Barcelona", 2),
    ("Berlin", 2),
    ("Birmingham", 2),
    ("Brussels", 2),
    ("Bucharest", 2),
    ("Copenhagen", 2),
    ("Dublin", 2),
    ("Dusseldorf", 2),
    ("Frankfurt", 2),
    ("Hamburg", 2),
    ("Helsinki", 2),
    ("Leeds", 2),
    ("London", 2),
    ("Madrid", 2),
    ("Marseille", 2),
    ("Milan", 2),
    ("Moscow", 2),
    ("Novosibrsk", 2),
    ("Oslo", 2),
    ("Paris", 2),
    ("Prague", 2),
    ("Reykjavik", 2),
    ("Sofia", 2),
    ("Stockholm", 2),
    ("Valencia", 2),
    ("Vienna", 2),
    ("Warsaw", 2),
    ("Yekaterinburg", 2),
    ("Zurich", 2),
    ("Baghdad", 3),
    ("Baku", 3),
    ("Doha", 3),
    ("Dubai", 3),
    ("Fujairah", 3),
    ("Jeddah", 3),
    ("Cape_Town", 4),
    ("Djibouti", 4),
    ("Johannesburg", 4),
    ("Mombasa", 4),
    ("Nairobi", 4),
    ("Reunion_Island", 4),
    ("Hong Kong", 5),
    ("Kuala_Lumpur", 5),
    ("Lockridge", 5),
    ("Mascot", 5),
    ("Rochedale", 5),
    ("Seoul", 5),
    ("Singapore", 5),
    ("Sydney", 5),
    ("Tokyo", 5),
];

/// A column of an answer: ordered by region and then by name, as the answer is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    pub(super) region: usize,
    pub(super) city: Cow<'static, str>,
}

impl Column {
    /// The column of a metro of the table.
    pub(super) fn of_metro(index: usize) -> Self {
        let (city, region) = METROS[index];
        Self { region, city: Cow::Borrowed(city) }
    }

    /// The column of a city by its name.
    pub(super) fn of_city(city: &str) -> Self {
        let plain = |name: &str| name.replace([' ', '_'], "").to_ascii_lowercase();
        let wanted = plain(city);
        let region = METROS.iter().find(|(name, _)| plain(name) == wanted).map_or(OTHER, |(_, region)| *region);
        Self { region, city: Cow::Owned(city.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metros_are_in_the_order_of_an_answer_and_each_is_there_once() {
        let columns: Vec<Column> = (0..MAX_CITIES).map(Column::of_metro).collect();
        assert!(columns.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_city_is_found_however_it_is_spelt_and_another_is_elsewhere() {
        assert_eq!(Column::of_city("Miami"), Column::of_metro(10));
        assert_eq!((Column::of_city("NewYork").region, Column::of_city("west fargo").region), (0, 0));
        assert_eq!(Column::of_city("Atlantis").region, OTHER);
    }
}
