//! Requests that a vendor accepted, and what their progress means for the tasks they serve.
//!
//! Recording an acceptance and moving its tasks on is one transaction, fenced by the tasks' lease.
//! Progress is written with "never less than before", so two polls at once do no harm. A property
//! with open requests has a row in `property_poll` that says when to ask the vendor again.
//! Called by the worker's submit and poll jobs.

mod failures;
mod polls;

pub use polls::{claim_poll, due_polls, finish_poll, next_poll, plan_forgotten_polls};

use crate::db::task::cut;
use crate::db::webhook::message;
use crate::db::{Database, DbError, execute, marks, retrying, row, row_marks, rows};
use crate::domain::task::{Verdict, Watched, percent};
use crate::domain::{Kind, State, Step};
use sea_orm::{DatabaseTransaction, EntityTrait, FromQueryResult, Value};
use std::collections::BTreeMap;

/// A share of a task that went with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The task.
    pub task_id: String,
    /// Which of its URLs was the first, counted from 0.
    pub first_url: u32,
    /// How many of its URLs.
    pub url_count: u32,
    /// What the task says of those that the vendor refused while it took others.
    pub failure: Option<String>,
}

/// A request that the vendor accepted.
#[derive(Debug, Clone)]
pub struct NewSubmission<'a> {
    /// The account at the vendor.
    pub cdn_id: i64,
    /// The property.
    pub property_id: i64,
    /// The vendor's id.
    pub vendor_id: &'a str,
    /// What of which tasks went with it.
    pub shares: &'a [Share],
    /// UTC milliseconds.
    pub now: i64,
    /// When to ask the vendor about it first.
    pub first_poll_at: i64,
}

/// Records an acceptance and moves its tasks on; returns how many of the tasks were still ours.
///
/// # Errors
/// [`DbError`] when the change fails; the tasks will be handed over again after their lease.
pub async fn record(db: &Database, owner: &str, new: &NewSubmission<'_>) -> Result<usize, DbError> {
    retrying(|| async {
        let tx = db.begin().await?;
        // The property's row before the tasks', in the same order as `apply`, so that the two cannot deadlock.
        plan_poll(db, &tx, new).await?;
        let ours = owned_shares(db, &tx, owner, new.shares).await?;
        if ours.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let id = insert_submission(&tx, new).await?;
        for chunk in ours.chunks(200) {
            let sql = format!(
                "INSERT INTO task_submission (task_id, submission_id, first_url, url_count, message) VALUES {}",
                row_marks(chunk.len(), 5)
            );
            let values = chunk.iter().flat_map(|share| {
                let [first, count] =
                    [share.first_url, share.url_count].map(|n| Value::from(i32::try_from(n).unwrap_or(i32::MAX)));
                [share.task_id.as_str().into(), id.into(), first, count, share.failure.as_deref().map(cut).into()]
            });
            execute(&tx, sql, values.collect()).await?;
        }
        move_on(db, &tx, new.vendor_id, &ours).await?;
        tx.commit().await?;
        Ok(ours.len())
    })
    .await
}

/// The shares of tasks whose lease is still held; their rows are locked.
async fn owned_shares(
    db: &Database,
    tx: &DatabaseTransaction,
    owner: &str,
    shares: &[Share],
) -> Result<Vec<Share>, DbError> {
    #[derive(FromQueryResult)]
    struct Id {
        id: String,
    }
    let sql = format!(
        "SELECT id FROM task WHERE id IN ({}) AND lease_owner = ? ORDER BY id{}",
        marks(shares.len()),
        db.for_update()
    );
    let mut values: Vec<Value> = shares.iter().map(|share| share.task_id.as_str().into()).collect();
    values.push(owner.into());
    let held: Vec<Id> = rows(tx, sql, values).await?;
    Ok(shares.iter().filter(|share| held.iter().any(|row| row.id == share.task_id)).cloned().collect())
}

async fn insert_submission(tx: &DatabaseTransaction, new: &NewSubmission<'_>) -> Result<i64, DbError> {
    use crate::db::entity::submission;
    use sea_orm::ActiveValue::{NotSet, Set};
    let row = submission::ActiveModel {
        id: NotSet,
        cdn_id: Set(new.cdn_id),
        property_id: Set(new.property_id),
        vendor_id: Set(new.vendor_id.to_owned()),
        state: Set(State::Running.as_str().to_owned()),
        percent: Set(0),
        submitted_at: Set(new.now),
        seen_at: Set(None),
        message: Set(None),
    };
    Ok(submission::Entity::insert(row).exec(tx).await?.last_insert_id)
}

/// A task whose URLs are all at the vendor is watched; one with more to hand over keeps its lease.
async fn move_on(db: &Database, tx: &DatabaseTransaction, vendor_id: &str, shares: &[Share]) -> Result<(), DbError> {
    let appended = if db.is_mysql() { "CONCAT(vendor_ids, ?)" } else { "vendor_ids || ?" };
    let mut by_size: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for share in shares {
        by_size.entry(share.url_count).or_default().push(&share.task_id);
    }
    for (size, ids) in by_size {
        // MySQL assigns from left to right and sees new values, hence the order of these columns.
        let sql = format!(
            "UPDATE task SET state = 'running', message = NULL, attempts = 0, \
             vendor_ids = CASE WHEN vendor_ids = '' THEN ? ELSE {appended} END, \
             step = CASE WHEN submitted_count + ? >= url_count THEN 'watch' ELSE step END, \
             lease_owner = CASE WHEN submitted_count + ? >= url_count THEN NULL ELSE lease_owner END, \
             tried_at = CASE WHEN submitted_count + ? >= url_count THEN NULL ELSE tried_at END, \
             submitted_count = submitted_count + ? WHERE id IN ({})",
            marks(ids.len())
        );
        let size = Value::from(i32::try_from(size).unwrap_or(i32::MAX));
        let mut values =
            vec![vendor_id.into(), format!("|{vendor_id}").into(), size.clone(), size.clone(), size.clone(), size];
        values.extend(ids.into_iter().map(Value::from));
        execute(tx, sql, values).await?;
    }
    Ok(())
}

async fn plan_poll(db: &Database, tx: &DatabaseTransaction, new: &NewSubmission<'_>) -> Result<(), DbError> {
    let insert = db.insert_new();
    let sql = format!("{insert} INTO property_poll (property_id, cdn_id, due_at) VALUES (?, ?, ?)");
    let at: Value = new.first_poll_at.into();
    execute(tx, sql, vec![new.property_id.into(), new.cdn_id.into(), at]).await.map(drop)
}

/// Which URLs of a task are at the vendor, as `(first, count)`, by first.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn handed_over(db: &Database, task_id: &str) -> Result<Vec<(u32, u32)>, DbError> {
    #[derive(FromQueryResult)]
    struct Part {
        first_url: i32,
        url_count: i32,
    }
    let sql = "SELECT first_url, url_count FROM task_submission WHERE task_id = ? ORDER BY first_url";
    let parts: Vec<Part> = rows(&db.connection, sql.to_owned(), vec![task_id.into()]).await?;
    let unsigned = |value: i32| u32::try_from(value).unwrap_or(0);
    Ok(parts.iter().map(|part| (unsigned(part.first_url), unsigned(part.url_count))).collect())
}

/// An open request at the vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSubmission {
    /// The row's id.
    pub id: i64,
    /// The vendor's id.
    pub vendor_id: String,
    /// What the tasks that it serves asked for.
    pub kind: Kind,
    /// What is known of it.
    pub watched: Watched,
}

/// Open requests of a property with an id above `after`, oldest first.
///
/// # Errors
/// [`DbError`] when the database cannot be asked.
pub async fn open(db: &Database, property_id: i64, after: i64, most: u64) -> Result<Vec<OpenSubmission>, DbError> {
    #[derive(FromQueryResult)]
    struct Found {
        id: i64,
        vendor_id: String,
        percent: i32,
        submitted_at: i64,
        seen_at: Option<i64>,
        preloads: i64,
    }
    let sql = "SELECT id, vendor_id, percent, submitted_at, seen_at, CAST(EXISTS (SELECT 1 FROM task_submission l \
               JOIN task t ON t.id = l.task_id WHERE l.submission_id = submission.id AND t.kind = 'preload') AS SIGNED) AS preloads \
               FROM submission WHERE property_id = ? AND state = 'running' AND id > ? ORDER BY id LIMIT ?";
    let found: Vec<Found> =
        rows(&db.connection, sql.to_owned(), vec![property_id.into(), after.into(), most.into()]).await?;
    Ok(found
        .into_iter()
        .map(|row| OpenSubmission {
            id: row.id,
            vendor_id: row.vendor_id,
            kind: if row.preloads > 0 { Kind::Preload } else { Kind::Refresh },
            watched: Watched {
                submitted_at: row.submitted_at,
                seen: row.seen_at.is_some(),
                percent: u8::try_from(row.percent).unwrap_or(0),
            },
        })
        .collect())
}

/// What followed from verdicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Whether a task now waits to be fetched.
    pub fetch: bool,
    /// How many tasks ended, by the stored words of their kind and state.
    pub ended: BTreeMap<(String, &'static str), u64>,
}

impl Applied {
    fn add(&mut self, more: Self) {
        self.fetch |= more.fetch;
        for (key, number) in more.ended {
            *self.ended.entry(key).or_default() += number;
        }
    }
}

/// Writes verdicts on requests of a property and moves the tasks they serve; `fetches` says that a preload
/// of this account goes on with the worker fetching the URLs.
/// Those who write to one property do so one after the other: its row in `property_poll` is locked first.
///
/// # Errors
/// [`DbError`] when a change fails; what was written before stays and the rest follows with the next poll.
pub async fn apply(
    db: &Database,
    property_id: i64,
    verdicts: &[(i64, Verdict)],
    fetches: bool,
    now: i64,
) -> Result<Applied, DbError> {
    let lock = format!("SELECT due_at AS id FROM property_poll WHERE property_id = ?{}", db.for_update());
    let mut applied = Applied::default();
    for chunk in verdicts.chunks(100) {
        let part = retrying(|| async {
            let tx = db.begin().await?;
            row::<Locked>(&tx, lock.clone(), vec![property_id.into()]).await?;
            write_verdicts(&tx, chunk, now).await?;
            failures::write(&tx, chunk).await?;
            let ids: Vec<i64> = chunk.iter().map(|(id, _)| *id).collect();
            let part = move_tasks(db, &tx, &ids, fetches, now).await?;
            tx.commit().await?;
            Ok(part)
        })
        .await?;
        applied.add(part);
    }
    Ok(applied)
}

#[derive(FromQueryResult)]
#[expect(dead_code, reason = "read for its lock")]
struct Locked {
    id: i64,
}

async fn write_verdicts(tx: &DatabaseTransaction, verdicts: &[(i64, Verdict)], now: i64) -> Result<(), DbError> {
    let mut alike: BTreeMap<(&str, u8, bool, Option<&str>), Vec<i64>> = BTreeMap::new();
    for (id, verdict) in verdicts {
        let key = match verdict {
            Verdict::Open { percent, seen } => (State::Running.as_str(), *percent, *seen, None),
            Verdict::Done | Verdict::DoneExcept(_) => (State::Done.as_str(), 100, true, None),
            Verdict::Failed(reason) => (State::Failed.as_str(), 0, true, Some(reason.as_str())),
            Verdict::Expired(reason) => (State::Expired.as_str(), 0, false, Some(reason.as_str())),
        };
        alike.entry(key).or_default().push(*id);
    }
    for ((state, percent, seen, message), ids) in alike {
        let sql = format!(
            "UPDATE submission SET state = ?, percent = CASE WHEN percent > ? THEN percent ELSE ? END, \
             seen_at = COALESCE(seen_at, ?), message = ? WHERE state = 'running' AND id IN ({})",
            marks(ids.len())
        );
        let percent = Value::from(i32::from(percent));
        let mut values =
            vec![state.into(), percent.clone(), percent, seen.then_some(now).into(), message.map(cut).into()];
        values.extend(ids.into_iter().map(Value::from));
        execute(tx, sql, values).await?;
    }
    Ok(())
}

#[derive(Debug, FromQueryResult)]
struct Part {
    task_id: String,
    kind: String,
    url_count: i32,
    submitted_count: i32,
    fetched_count: i32,
    part_urls: i32,
    part_percent: i32,
    part_state: String,
    part_message: Option<String>,
    own_failure: Option<String>,
}

/// How a task is to be changed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    percent: u8,
    state: &'static str,
    step: &'static str,
    message: Option<String>,
}

/// Looks at all tasks that these requests serve and writes where they stand now.
async fn move_tasks(
    db: &Database,
    tx: &DatabaseTransaction,
    submissions: &[i64],
    fetches: bool,
    now: i64,
) -> Result<Applied, DbError> {
    let sql = format!(
        "SELECT t.id AS task_id, t.kind, t.url_count, t.submitted_count, t.fetched_count, l.url_count AS part_urls, \
         s.percent AS part_percent, s.state AS part_state, s.message AS part_message, l.message AS own_failure \
         FROM task t JOIN task_submission l ON l.task_id = t.id JOIN submission s ON s.id = l.submission_id \
         WHERE t.step IN ('watch', 'submit') AND t.id IN (SELECT task_id FROM task_submission WHERE submission_id IN ({})) \
         ORDER BY t.id{}",
        marks(submissions.len()),
        db.for_update()
    );
    let parts: Vec<Part> = rows(tx, sql, submissions.iter().map(|id| (*id).into()).collect()).await?;
    let mut moves: BTreeMap<Move, Vec<&str>> = BTreeMap::new();
    let mut applied = Applied::default();
    for task in parts.chunk_by(|a, b| a.task_id == b.task_id) {
        let change = next_move(task, fetches);
        if change.step == Step::Ended.as_str() {
            *applied.ended.entry((task[0].kind.clone(), change.state)).or_default() += 1;
        }
        moves.entry(change).or_default().push(&task[0].task_id);
    }
    for (change, ids) in moves {
        applied.fetch |= change.step == Step::Fetch.as_str();
        for chunk in ids.chunks(500) {
            write_move(tx, &change, chunk, now).await?;
            if change.step == Step::Ended.as_str() {
                message::announce(db, tx, chunk, now).await?;
            }
        }
    }
    Ok(applied)
}

async fn write_move(tx: &DatabaseTransaction, change: &Move, ids: &[&str], now: i64) -> Result<(), DbError> {
    let ended = change.step == Step::Ended.as_str();
    let sql = format!(
        "UPDATE task SET percent = CASE WHEN percent > ? THEN percent ELSE ? END, state = ?, \
         due_at = CASE WHEN step = 'submit' THEN due_at ELSE ? END, \
         step = CASE WHEN step = 'submit' THEN step ELSE ? END, message = COALESCE(?, message), \
         ended_at = ? WHERE id IN ({})",
        marks(ids.len())
    );
    let percent = Value::from(i32::from(change.percent));
    let mut values = vec![
        percent.clone(),
        percent,
        change.state.into(),
        now.into(),
        change.step.into(),
        change.message.as_deref().map(cut).into(),
        ended.then_some(now).into(),
    ];
    values.extend(ids.iter().map(|id| Value::from(*id)));
    execute(tx, sql, values).await.map(drop)
}

/// Where a task stands, from all its requests. It ends only when all of them have ended and no URL is left.
fn next_move(parts: &[Part], fetches: bool) -> Move {
    let first = &parts[0];
    let unsigned = |value: i32| u32::try_from(value).unwrap_or(0);
    let handed: Vec<(u32, u8)> =
        parts.iter().map(|part| (unsigned(part.part_urls), u8::try_from(part.part_percent).unwrap_or(0))).collect();
    let fetched = (fetches && first.kind == Kind::Preload.as_str()).then_some(unsigned(first.fetched_count));
    let percent = percent(unsigned(first.url_count), &handed, fetched);
    let running = Move { percent, state: State::Running.as_str(), step: Step::Watch.as_str(), message: None };
    let all_handed = first.submitted_count >= first.url_count;
    if !all_handed || parts.iter().any(|part| part.part_state == State::Running.as_str()) {
        return running;
    }
    let ended = |state: State, message: Option<String>| {
        // What failed in part is not whole, however much of it went well.
        let (state, step, percent) = (state.as_str(), Step::Ended.as_str(), percent.min(99));
        Move { percent, state, step, message }
    };
    for bad in [State::Failed, State::Expired] {
        if let Some(part) = parts.iter().find(|part| part.part_state == bad.as_str()) {
            return ended(bad, part.part_message.clone());
        }
    }
    if let Some(part) = parts.iter().find(|part| part.own_failure.is_some()) {
        return ended(State::Failed, part.own_failure.clone());
    }
    if fetched.is_some() {
        return Move { step: Step::Fetch.as_str(), ..running };
    }
    Move { percent: 100, state: State::Done.as_str(), step: Step::Ended.as_str(), message: None }
}

/// Deletes ended requests that are older than `before` and that no task refers to; returns how many.
/// Looks at the oldest `most` only, so its cost does not grow with the table.
///
/// # Errors
/// [`DbError`] when the change fails.
pub async fn sweep(db: &Database, before: i64, most: u64) -> Result<u64, DbError> {
    #[derive(FromQueryResult)]
    struct Old {
        id: i64,
        submitted_at: i64,
    }
    let sql = "SELECT id, submitted_at FROM submission ORDER BY id LIMIT ?".to_owned();
    let oldest: Vec<Old> = rows(&db.connection, sql, vec![most.into()]).await?;
    let ids: Vec<Value> = oldest.iter().filter(|row| row.submitted_at < before).map(|row| row.id.into()).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let sql = format!(
        "DELETE FROM submission WHERE state <> 'running' AND id IN ({}) \
         AND NOT EXISTS (SELECT 1 FROM task_submission l WHERE l.submission_id = submission.id)",
        marks(ids.len())
    );
    retrying(|| execute(&db.connection, sql.clone(), ids.clone())).await
}
