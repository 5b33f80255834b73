//! Several CDNs behind one API: `cdn` narrows whatever is read.
//!
//! The world has two CDNs; `cdn.example.com` is mapped at both and `a.example.com` at the second one as well.

use crate::support::cdns::{map_at_second, world_with_two_cdns};
use crate::support::world::{DOMAINS, USER};
use crate::support::{Kind, World};
use serde_json::{Value, json};

async fn read(world: &World, token: &str, path: &str, cdn: &str) -> Value {
    let joint = if path.contains('?') { '&' } else { '?' };
    world.get(token, &format!("/level3/{path}{joint}cdn={cdn}")).await.ok()
}

/// Each CDN of a list, in the order of the list.
fn cdns(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|row| row["cdn"].as_str().unwrap()).collect()
}

async fn every_list_is_narrowed(world: &World) {
    let (user, staff) = (&world.user_token, &world.staff_token);
    for domain in ["cdn.example.com", "a.example.com"] {
        map_at_second(world, domain).await;
    }
    world.refresh("http://cdn.example.com/1").await;
    world.preload("http://cdn.example.com/1|http://b.example.com/2").await;
    let mut own = DOMAINS;
    own.sort_unstable();
    for token in [user, staff] {
        let second = read(world, token, "domains", "second").await["domains"].to_string();
        assert!(second.contains("a.example.com") && !second.contains("b.example.com"), "{second}");
        assert_eq!(read(world, token, "domains", "nothing").await, json!({"err": 0, "domains": []}));
    }
    assert_eq!(read(world, user, "domains", "second").await["domains"], json!(["a.example.com", "cdn.example.com"]));
    assert_eq!(read(world, user, "domains", "level3").await["domains"], json!(own));
    assert_eq!(read(world, user, "domains", "").await["domains"], json!(own), "empty is the same as left out");
    assert_eq!(read(world, user, "user_cdns", "").await["cdns"], json!(["level3", "second"]));
    assert_eq!(read(world, user, "user_cdns", "second").await["cdns"], json!(["second"]));
    assert_eq!(read(world, user, "user_cdns", "nothing").await["cdns"], json!([]));
    for (path, level3, second) in [("user_domains", 1, 1), ("refresh_list", 1, 1), ("preload_list", 2, 1)] {
        let path = format!("{path}?login_email={USER}");
        for token in [user, staff] {
            assert_eq!(cdns(&read(world, token, &path, "level3").await), vec!["level3"; level3], "{path}");
            assert_eq!(cdns(&read(world, token, &path, "second").await), vec!["second"; second], "{path}");
            assert_eq!(read(world, token, &path, "").await["results"].as_array().unwrap().len(), level3 + second);
            assert_eq!(read(world, token, &path, "nothing").await["results"], json!([]), "{path}");
        }
    }
    for path in ["tasks", "vendors"] {
        let all = read(world, staff, path, "").await;
        assert!(cdns(&all).contains(&"level3") && cdns(&all).contains(&"second"), "{all}");
        let second = read(world, staff, path, "second").await;
        assert!(!cdns(&second).is_empty() && cdns(&second).iter().all(|cdn| *cdn == "second"), "{second}");
        assert_eq!(read(world, staff, path, "nothing").await["results"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn cdn_narrows_every_list() {
    for kind in [Kind::Sqlite, Kind::Mariadb] {
        every_list_is_narrowed(&world_with_two_cdns(kind).await).await;
    }
}

/// As with statistics: a name that there is not is no failure, and one that was asked for is looked for there only.
#[tokio::test]
async fn a_task_is_not_found_at_another_cdn() {
    let world = world_with_two_cdns(Kind::Sqlite).await;
    let id = world.refresh("http://cdn.example.com/1").await.remove(0);
    let at = async |cdn: &str| read(&world, &world.user_token, &format!("refresh_list?taskid={id}"), cdn).await;
    assert_eq!(at("level3").await["results"][0]["taskid"], id);
    for cdn in ["second", "nothing"] {
        assert_eq!(at(cdn).await["results"], json!([]));
    }
    let span = "startTime=1470297000&endTime=1470299100";
    let zeros = read(&world, &world.user_token, &format!("fluxs?{span}"), "nothing").await;
    assert!(zeros["results"].as_array().unwrap().iter().all(|point| point["value"] == 0), "{zeros}");
    let areas = read(&world, &world.user_token, &format!("fluxs/area?{span}"), "nothing").await;
    assert_eq!(areas["results"], json!([]));
}
