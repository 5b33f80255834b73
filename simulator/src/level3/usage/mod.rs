//! `GET /usage/cdn/v1.0/<scope>`: traffic by time and place (Level 3 Media Portal API help, usage).
//!
//! The series stands directly in the envelope, `<accessGroup>..<data><point id>..</point></data></accessGroup>`,
//! whatever the scope: that of a service or a group is the sum of its properties. A point or a place without traffic is
//! left out, and an answer without any point is a 404 with a fixed text. `geo` says what is in a point's `item`:
//! `regions` with their `metros`, `regions` with sums, or one sum.
//!
//! Inactive properties and those of other products have no traffic but their golden rows. Called by the endpoints.

mod cities;
mod points;
mod query;
mod traffic;

use std::sync::Arc;

use poem::http::StatusCode;

use self::points::Points;
use self::query::{Query, ServiceType};
use self::traffic::{Delivery, Habit, Track};
use super::Level3;
use super::call::Refused;
use super::tree::{Property, Selection};
use super::xml::Xml;
use crate::config::{FIRST_SECOND, Product};
use crate::reply::{Reply, XML};
use crate::usage::GoldenDays;

/// The vendor's words for an empty result, which its clients look for.
const NO_DATA: &str = "No usage data was found for specified criteria.";
const TAIL: &str = "</data></accessGroup>";

impl Level3 {
    /// The usage of what a scope names.
    pub(super) fn usage(&self, selection: &Selection<'_>, query: &str, correlation: &str) -> Result<Reply, Refused> {
        let query = Query::parse(query, self.usage_date_to);
        let mut query = query.map_err(|message| Refused::new(StatusCode::BAD_REQUEST, message))?;
        let mut tracks = self.tracks(selection, &query);
        query.from = query.from.max(FIRST_SECOND);
        query.to = tracks.iter().map(Track::until).max().unwrap_or(0).min(query.to);
        let (from, to) = (query.from, query.to);
        let none = || Refused::new(StatusCode::NOT_FOUND, NO_DATA);
        if from >= to {
            return Err(none());
        }
        let mut columns: Vec<_> = tracks.iter().flat_map(|track| track.columns(from, to)).collect();
        columns.sort_unstable();
        columns.dedup();
        tracks.retain_mut(|track| track.place(&columns, from, to));
        if tracks.is_empty() {
            return Err(none());
        }
        let points = Points::new(query, tracks, &columns, head(selection, correlation), TAIL);
        Ok(Reply::in_pieces(StatusCode::OK, XML, points))
    }

    fn tracks(&self, selection: &Selection<'_>, query: &Query) -> Vec<Track> {
        let properties = selection.properties();
        let view = self.stage.usage.view(properties.iter().map(|property| property.name.as_str()));
        let delivery = Delivery {
            now: self.stage.clock.now().timestamp(),
            delay_minutes: view.delay_minutes,
            corrections: view.corrections,
        };
        let track = |(property, golden): (&Property, Option<Arc<GoldenDays>>)| {
            let made_up = property.active && property.product == Product::Caching;
            let habit = made_up.then(|| Habit::of(&property.name, query.service, self.usage_cities));
            // Golden rows are caching traffic; on their days the origin had none.
            let golden = match query.service {
                ServiceType::Caching => golden,
                ServiceType::Origin => golden.map(|days| Arc::new(days.keys().map(|day| (*day, Vec::new())).collect())),
            };
            Track::new(&property.name, habit, golden, delivery)
        };
        properties.into_iter().zip(view.golden).map(track).collect()
    }
}

fn head(selection: &Selection<'_>, correlation: &str) -> String {
    let group = selection.group;
    let mut xml = Xml::default();
    xml.open("accessGroup", &[("id", &group.id.to_string()), ("name", &group.name)]);
    xml.text("apiCorrelationId", correlation);
    xml.text("serviceResource", &selection.resource);
    xml.open("data", &[]);
    xml.finish()
}
