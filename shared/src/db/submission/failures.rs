//! URLs that failed in a request that went well for others: written to the tasks whose URLs they are.
//!
//! Called within the transaction that writes the verdicts on requests.

use crate::db::task::{URL_SEPARATOR, cut};
use crate::db::{DbError, execute, rows};
use crate::domain::failures_among;
use crate::domain::task::Verdict;
use sea_orm::{DatabaseTransaction, FromQueryResult};

#[derive(FromQueryResult)]
struct Link {
    task_id: String,
    urls: String,
    first_url: i32,
    url_count: i32,
}

/// Notes at each task of a request what failed of its own URLs.
pub(super) async fn write(tx: &DatabaseTransaction, verdicts: &[(i64, Verdict)]) -> Result<(), DbError> {
    for (id, verdict) in verdicts {
        let Verdict::DoneExcept(failures) = verdict else { continue };
        let sql = "SELECT l.task_id, t.urls, l.first_url, l.url_count FROM task_submission l \
                   JOIN task t ON t.id = l.task_id WHERE l.submission_id = ?";
        let links: Vec<Link> = rows(tx, sql.to_owned(), vec![(*id).into()]).await?;
        for link in links {
            let [first, count] = [link.first_url, link.url_count].map(|number| usize::try_from(number).unwrap_or(0));
            let urls: Vec<&str> = link.urls.split(URL_SEPARATOR).skip(first).take(count).collect();
            let Some(message) = failures_among(urls.into_iter(), failures) else { continue };
            let sql = "UPDATE task_submission SET message = ? WHERE task_id = ? AND submission_id = ?".to_owned();
            execute(tx, sql, vec![cut(&message).into(), link.task_id.into(), (*id).into()]).await?;
        }
    }
    Ok(())
}
