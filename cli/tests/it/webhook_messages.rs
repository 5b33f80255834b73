//! What is told to webhooks: one message for each end of a task and each enabled webhook, signed as in Standard
//! Webhooks, and what becomes of messages that nobody takes.
//!
//! How they are delivered side by side is in `webhook_deliveries`.

use crate::support::database::{execute, server};
use crate::support::receiver::{Answer, Received, Receiver};
use crate::support::world::{OTHER, USER};
use crate::support::{World, on_both};
use overseas_shared::domain::Kind as TaskKind;
use overseas_simulator::{FaultKind, FaultRule, FaultTarget, Operation};
use overseas_worker::jobs::{housekeeping, poll::Poll};
use overseas_worker::reconcile::Reconciler;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const WAITING: &str = "SELECT COUNT(*) FROM webhook_message WHERE due_at IS NOT NULL";

/// Another implementation of the specification judges a message; returns what it complains of.
fn complaint(secret: &str, message: &Received) -> String {
    let judge = "import json, sys\n\
        from standardwebhooks import Webhook\n\
        given = json.load(sys.stdin)\n\
        Webhook(given['secret']).verify(given['body'], given['headers'])\n";
    let mut python = Command::new(server("OVERSEAS_TEST_PYTHON"));
    let python = python.args(["-c", judge]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().unwrap();
    let given = json!({"secret": secret, "body": message.body, "headers": message.headers});
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// The types and tasks of messages, sorted.
fn told(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = receiver.received();
    let mut told: Vec<_> = messages
        .iter()
        .map(|message| message.json())
        .map(|body| (text(&body["type"]), text(&body["data"]["taskid"])))
        .collect();
    told.sort();
    told
}

async fn end_in_all_ways(world: &World) -> Vec<(String, String)> {
    let only = |operation| FaultTarget::Only(operation);
    let done = world.done_task("http://cdn.example.com/done").await;
    // Refused by the vendor as it is handed over.
    let rule = FaultRule {
        operation: only(Operation::Invalidate),
        status: Some(400),
        times: Some(1),
        ..FaultRule::new(FaultKind::Status)
    };
    world.control.set_faults(vec![rule]).unwrap();
    let refused = world.refresh("http://cdn.example.com/refused").await.remove(0);
    world.submit(TaskKind::Refresh).await;
    world.control.clear_faults();
    // Cancelled by staff.
    let cancelled = world.refresh("http://cdn.example.com/cancelled").await.remove(0);
    world.post(&world.staff_token, "/level3/tasks/cancel", json!({"taskid": cancelled})).await.ok();
    // Fetched by the worker, all and not all.
    let fetched = world.preload("http://cdn.example.com/fetched").await.remove(0);
    let unfetched = world.preload("http://www.example.com/unfetched?status=404").await.remove(0);
    world.submit(TaskKind::Preload).await;
    world.control.advance(60);
    world.poll().await;
    world.fetch().await;
    // Never listed by the vendor.
    let forget = FaultRule { operation: only(Operation::Invalidations), ..FaultRule::new(FaultKind::Forget) };
    world.control.set_faults(vec![forget]).unwrap();
    let expired = world.refresh("http://cdn.example.com/expired").await.remove(0);
    world.submit(TaskKind::Refresh).await;
    world.clock.advance(13 * HOUR);
    world.poll().await;
    world.control.clear_faults();
    let ended = [
        ("done", done),
        ("failed", refused),
        ("failed", cancelled),
        ("done", fetched),
        ("failed", unfetched),
        ("expired", expired),
    ];
    let mut expected: Vec<_> = ended.into_iter().map(|(state, id)| (format!("task.{state}"), id)).collect();
    expected.sort();
    expected
}

on_both! {
    async fn every_end_is_told_once_to_each_enabled_webhook_of_its_user(world: World) {
        let [first, second, disabled, others] =
            [Receiver::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await];
        world.webhook(&first.url()).await;
        world.webhook(&second.url()).await;
        let id = world.webhook(&disabled.url()).await["id"].clone();
        execute(&world.url, &format!("UPDATE webhook SET enabled = 0 WHERE id = {id}")).await;
        let order = json!({"url": others.url(), "login_email": OTHER});
        world.post(&world.staff_token, "/level3/webhooks", order).await.ok();
        let expected = end_in_all_ways(&world).await;
        world.send_webhooks().await;
        assert_eq!(told(&first), expected);
        assert_eq!(told(&second), expected);
        assert!(disabled.received().is_empty() && others.received().is_empty());
        let mut ids: Vec<String> = [&first, &second].iter().flat_map(|receiver| receiver.received()).map(|message| message.id().to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 2 * expected.len(), "an id for each message");
        world.send_webhooks().await;
        assert_eq!(first.received().len(), expected.len(), "what was delivered is not sent again");
    }

    async fn an_end_and_its_messages_are_written_together_or_not_at_all(world: World) {
        let receiver = Receiver::start().await;
        world.webhook(&receiver.url()).await;
        let running = world.refresh("http://cdn.example.com/a").await.remove(0);
        world.submit(TaskKind::Refresh).await;
        let queued = world.refresh("http://cdn.example.com/b").await.remove(0);
        world.control.advance(60);
        world.clock.advance(60_000);
        // As if the process had died between the two.
        execute(&world.url, "ALTER TABLE webhook_message RENAME TO away").await;
        let poll = Poll::new(&world.context, world.account());
        let outcome = poll.round(&world.stop).await;
        world.post(&world.staff_token, "/level3/tasks/cancel", json!({"taskid": queued})).await.failed(500);
        execute(&world.url, "ALTER TABLE away RENAME TO webhook_message").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM task WHERE step = 'ended'").await, 0, "{outcome:?}");
        world.poll().await;
        world.post(&world.staff_token, "/level3/tasks/cancel", json!({"taskid": queued})).await.ok();
        world.send_webhooks().await;
        let mut expected = [("task.done".to_owned(), running), ("task.failed".to_owned(), queued)];
        expected.sort();
        assert_eq!(told(&receiver), expected);
    }

    async fn without_webhooks_nothing_is_written(world: World) {
        end_in_all_ways(&world).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message").await, 0);
    }

    async fn a_message_is_what_standard_webhooks_says_and_another_implementation_accepts_it(world: World) {
        let receiver = Receiver::start().await;
        let webhook = world.webhook(&receiver.url()).await;
        let id = world.done_task("http://cdn.example.com/ä?b=c|http://cdn.example.com/b").await;
        world.send_webhooks().await;
        let message = receiver.received().remove(0);
        assert_eq!(complaint(webhook["secret"].as_str().unwrap(), &message), "");
        let other = world.webhook(&receiver.url()).await;
        assert!(complaint(other["secret"].as_str().unwrap(), &message).contains("No matching signature"));
        let mut changed = message.clone();
        changed.body = changed.body.replace("done", "gone");
        assert!(complaint(webhook["secret"].as_str().unwrap(), &changed).contains("No matching signature"));
        assert_eq!((message.path.as_str(), message.header("content-type")), ("/hook", "application/json"));
        assert!(message.header("user-agent").starts_with("overseas/"));
        let seconds: i64 = message.header("webhook-timestamp").parse().unwrap();
        assert!(seconds.abs_diff(world.clock.now_seconds()) < 30);
        assert!(message.id().starts_with("msg_") && message.id().contains(&id));
        let body = message.json();
        let (task, data) = (world.task("refresh", &id).await, &body["data"]);
        assert_eq!(body["type"], "task.done");
        assert_eq!((&data["url"], &data["percentComplete"], &data["state"]), (&task["url"], &task["percentComplete"], &task["state"]));
        let expected = json!({
            "taskid": id, "login_email": USER, "kind": "refresh", "cdn": "level3", "domain": "cdn.example.com", "urls": 2,
            "url": data["url"], "percentComplete": "100", "state": "done", "message": "", "created": data["created"], "ended": body["timestamp"],
        });
        assert_eq!(data, &expected);
        for time in [&data["created"], &data["ended"]] {
            let time = chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
            assert!(time.timestamp().abs_diff(world.clock.now_seconds()) < 120);
        }
    }

    async fn a_message_is_tried_again_with_its_id_until_it_is_taken(world: World) {
        let receiver = Receiver::start().await;
        let webhook = world.webhook(&receiver.url()).await;
        receiver.answer(Answer::status(500));
        world.done_task("http://cdn.example.com/a").await;
        world.send_webhooks().await;
        let listed = world.webhooks().await.remove(0);
        assert_eq!((&listed["failure"], &listed["waiting"], &listed["last_success"]), (&json!("status 500"), &json!(1), &Value::Null));
        assert!(listed["last_failure"].as_i64().unwrap().abs_diff(world.clock.now_seconds()) < 30);
        world.send_webhooks().await;
        assert_eq!(receiver.received().len(), 1, "not before its time");
        world.clock.advance(7_000);
        world.send_webhooks().await;
        receiver.answer(Answer::status(204));
        world.clock.advance(13_000);
        world.send_webhooks().await;
        let tries = receiver.received();
        assert_eq!(tries.len(), 3);
        assert!(tries.iter().all(|message| message.id() == tries[0].id() && message.body == tries[0].body));
        let times: Vec<i64> = tries.iter().map(|message| message.header("webhook-timestamp").parse().unwrap()).collect();
        assert!(times[0] < times[1] && times[1] < times[2], "{times:?}");
        assert_eq!(complaint(webhook["secret"].as_str().unwrap(), &tries[2]), "", "each try is signed anew");
        let listed = world.webhooks().await.remove(0);
        assert_eq!((&listed["waiting"], &listed["enabled"]), (&json!(0), &json!(true)));
        assert!(listed["last_success"].as_i64().unwrap() >= listed["last_failure"].as_i64().unwrap());
    }

    async fn a_message_that_nobody_takes_is_given_up_after_three_days(world: World) {
        let receiver = Receiver::start().await;
        world.webhook(&receiver.url()).await;
        receiver.answer(Answer::status(503));
        world.done_task("http://cdn.example.com/a").await;
        for _ in 0..30 {
            world.send_webhooks().await;
            world.clock.advance(6 * HOUR);
        }
        assert_eq!(receiver.received().len(), 13, "every six hours for three days, and once at their end");
        assert_eq!(world.number(WAITING).await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message WHERE state = 'given_up'").await, 1);
        // Kept for a week after that, and not longer.
        housekeeping::sweep(&world.context).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message").await, 1);
        world.clock.advance(7 * DAY);
        housekeeping::sweep(&world.context).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message").await, 0);
    }

    async fn a_webhook_that_fails_for_five_days_is_disabled_with_its_audit_row(world: World) {
        let receiver = Receiver::start().await;
        let id = world.webhook(&receiver.url()).await["id"].as_i64().unwrap();
        receiver.answer(Answer::status(500));
        world.done_task("http://cdn.example.com/a").await;
        world.send_webhooks().await;
        world.clock.advance(4 * DAY);
        world.done_task("http://cdn.example.com/b").await;
        world.send_webhooks().await;
        assert_eq!(world.webhooks().await[0]["enabled"], true);
        world.clock.advance(DAY + HOUR);
        world.send_webhooks().await;
        let listed = world.webhooks().await.remove(0);
        assert_eq!((&listed["enabled"], &listed["failure"]), (&json!(false), &json!("status 500")));
        let trail = world.get(&world.staff_token, "/level3/audit?action=disable_webhook").await.ok();
        let row = &trail["results"][0];
        assert_eq!((&trail["results"][1], &row["actor"], &row["target"]), (&Value::Null, &json!("worker"), &json!(USER)));
        let detail = format!("{id} http://127.0.0.1:{}: all deliveries have failed for 5 days: status 500", receiver.port);
        assert_eq!(row["detail"], detail.as_str());
        // Nothing is told to it now; what waits is sent when it is enabled again.
        let sent = receiver.received().len();
        world.done_task("http://cdn.example.com/c").await;
        world.clock.advance(HOUR);
        world.send_webhooks().await;
        assert_eq!(receiver.received().len(), sent);
        receiver.answer(Answer::status(200));
        world.post(&world.user_token, "/level3/webhooks/enable", json!({"id": id})).await.ok();
        world.send_webhooks().await;
        assert_eq!(receiver.received().len(), sent + 1);
        assert_eq!(world.number(WAITING).await, 0);
        // One success, and the five days begin anew.
        receiver.answer(Answer::status(500));
        world.done_task("http://cdn.example.com/d").await;
        world.send_webhooks().await;
        assert_eq!(world.webhooks().await[0]["enabled"], true);
    }

    async fn a_receiver_that_says_gone_is_disabled_at_once_and_loses_nothing_for_three_days(world: World) {
        let receiver = Receiver::start().await;
        let id = world.webhook(&receiver.url()).await["id"].clone();
        world.done_task("http://cdn.example.com/a").await;
        world.done_task("http://cdn.example.com/b").await;
        receiver.answer(Answer::status(410));
        world.send_webhooks().await;
        let listed = world.webhooks().await.remove(0);
        assert_eq!((&listed["enabled"], &listed["waiting"]), (&json!(false), &json!(2)));
        assert_eq!(world.number("SELECT COUNT(*) FROM audit WHERE action = 'disable_webhook'").await, 1);
        receiver.answer(Answer::status(200));
        let sent = receiver.received().len();
        world.clock.advance(2 * DAY);
        housekeeping::sweep(&world.context).await.unwrap();
        world.post(&world.user_token, "/level3/webhooks/enable", json!({"id": id})).await.ok();
        world.send_webhooks().await;
        assert_eq!(receiver.received().len(), sent + 2);
        // Nobody enables it again: what waits is given up.
        receiver.answer(Answer::status(410));
        world.done_task("http://cdn.example.com/c").await;
        world.send_webhooks().await;
        world.clock.advance(3 * DAY);
        housekeeping::sweep(&world.context).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message WHERE state = 'given_up'").await, 1);
    }

    async fn the_messages_of_a_removed_webhook_go_and_a_task_stays_while_its_message_waits(world: World) {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::status(500));
        let id = world.webhook(&receiver.url()).await["id"].clone();
        world.done_task("http://cdn.example.com/a").await;
        world.send_webhooks().await;
        // Older than tasks are kept, were it not for the message.
        execute(&world.url, "UPDATE task SET id = '00000000000000000000000000', ended_at = 1").await;
        execute(&world.url, "UPDATE webhook_message SET task_id = '00000000000000000000000000'").await;
        housekeeping::sweep(&world.context).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 1);
        world.post(&world.user_token, "/level3/webhooks/remove", json!({"id": id})).await.ok();
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message").await, 0);
        housekeeping::sweep(&world.context).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM task").await, 0);
        // One that the end of a task wrote meanwhile.
        execute(&world.url, "INSERT INTO webhook_message (task_id, webhook_id, state, attempts, due_at, created_at) VALUES ('x', 999, 'waiting', 0, 1, 1)").await;
        world.send_webhooks().await;
        housekeeping::sweep(&world.context).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook_message").await, 0);
    }
}
