//! Keeping the copy of a vendor's catalogue: what is read, and what stays when reading fails.
//!
//! The world has read the simulator's demo data once before a test begins. Nothing is ever deleted: what
//! the vendor drops is no longer listed, and a failure leaves the rows as they were.

use crate::support::{World, on_both};
use overseas_shared::db::catalogue;
use overseas_simulator::{FaultKind, FaultRule, FaultTarget, Operation};
use overseas_worker::jobs::sync;

on_both! {
    async fn the_catalogue_holds_groups_with_children_and_all_kinds_of_properties(world: World) {
        let groups = catalogue::groups(&world.db, world.account().id).await.unwrap();
        let ids: Vec<(&str, Option<&str>)> = groups
            .iter()
            .map(|row| (row.group.vendor_id.as_str(), row.group.parent_vendor_id.as_deref()))
            .collect();
        assert_eq!(ids, [("12345", None), ("12346", Some("12345"))]);
        let domains = world.get(&world.staff_token, "/level3/domains").await.ok();
        let domains = domains["domains"].to_string();
        for name in ["cdn.example.com", "a.example.com", "*.img.example.com", "old.example.com"] {
            assert!(domains.contains(&format!("\"{name}\"")), "{name} in {domains}");
        }
        assert!(!domains.contains("sample-live"), "a streaming property is no domain: {domains}");
    }

    async fn whatever_changes_who_may_do_what_raises_the_epoch(world: World) {
        use crate::support::world::entry;
        use overseas_shared::db::{account, api_token, epoch, session};
        use overseas_shared::secret::token_hash;
        let mut last = epoch::read(&world.db).await.unwrap();
        let mut raised = async |what: &str| {
            let now = epoch::read(&world.db).await.unwrap();
            assert!(now > last, "{what} does not raise the epoch");
            last = now;
        };
        world.map(crate::support::world::OTHER, &["a.example.com"]).await;
        raised("a mapping").await;
        world.sync().await;
        raised("the catalogue").await;
        session::end(&world.db, &token_hash(&world.other_token), &entry(0)).await.unwrap();
        raised("a logout").await;
        let token = world.api_token(crate::support::world::OTHER, "read").await;
        session::end(&world.db, &token_hash(&token), &entry(0)).await.unwrap();
        raised("an API token's logout").await;
        world.api_token(crate::support::world::OTHER, "read").await;
        let token = api_token::list(&world.db, None).await.unwrap().pop().unwrap();
        assert!(api_token::revoke(&world.db, token.id, &entry(0)).await.unwrap());
        raised("a revoked API token").await;
        let cdn = catalogue::create_cdn(&world.db, "acme", &entry(0)).await.unwrap();
        catalogue::rename_cdn(&world.db, cdn, "Acme", &entry(0)).await.unwrap();
        raised("a renamed CDN").await;
        let id = world.user_id(crate::support::world::OTHER).await;
        account::reset_password(&world.db, id, account::Role::User, "hash", &entry(0)).await.unwrap();
        raised("a new password").await;
        catalogue::store_groups(&world.db, world.account().id, &[], world.clock.now() + 1000).await.unwrap();
        catalogue::unlist_orphans(&world.db, world.account().id).await.unwrap();
        raised("groups that are gone").await;
    }

    async fn reading_the_catalogue_again_changes_nothing(world: World) {
        let before = catalogue::counts(&world.db, world.account().id).await.unwrap();
        world.clock.advance(1000);
        world.sync().await;
        assert_eq!(catalogue::counts(&world.db, world.account().id).await.unwrap(), before);
    }

    async fn an_inactive_property_shows_as_inactive_and_an_unlisted_one_as_pending(world: World) {
        world.map(crate::support::world::OTHER, &["old.example.com", "new.example.com", "cdn.example.com"]).await;
        let answer = world.get(&world.other_token, "/level3/user_domains").await.ok();
        let states: Vec<String> = answer["results"][0]["domains"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("{} {}", row["domain"].as_str().unwrap(), row["state"].as_str().unwrap()))
            .collect();
        assert_eq!(states, ["cdn.example.com Active", "new.example.com Pending", "old.example.com Inactive"]);
    }

    async fn what_the_vendor_drops_is_kept_but_not_listed(world: World) {
        // Another account's key sees other groups: for the catalogue that is the same as a vendor that dropped all.
        let before = catalogue::counts(&world.db, world.account().id).await.unwrap();
        assert!(before.1 > 0);
        world.clock.advance(1000);
        catalogue::store_groups(&world.db, world.account().id, &[], world.clock.now()).await.unwrap();
        catalogue::unlist_orphans(&world.db, world.account().id).await.unwrap();
        assert_eq!(catalogue::counts(&world.db, world.account().id).await.unwrap(), (0, 0));
        world.clock.advance(1000);
        world.sync().await;
        assert_eq!(catalogue::counts(&world.db, world.account().id).await.unwrap(), before);
    }

    async fn a_vendor_that_fails_leaves_the_catalogue_as_it_was(world: World) {
        let before = catalogue::counts(&world.db, world.account().id).await.unwrap();
        for kind in [FaultKind::Garbage, FaultKind::Cut, FaultKind::Status] {
            let status = (kind == FaultKind::Status).then_some(500);
            let rule = FaultRule { operation: FaultTarget::Any, status, ..FaultRule::new(kind) };
            world.control.set_faults(vec![rule]).unwrap();
            assert!(sync::groups(&world.db, &world.clock, world.account()).await.is_err());
            assert!(sync::services(&world.db, &world.clock, world.account()).await.is_err());
            assert_eq!(catalogue::counts(&world.db, world.account().id).await.unwrap(), before, "{kind:?}");
        }
    }

    async fn a_group_that_fails_does_not_hold_the_others_back(world: World) {
        let rule = FaultRule {
            operation: FaultTarget::Only(Operation::Services),
            status: Some(500),
            times: Some(1),
            ..FaultRule::new(FaultKind::Status)
        };
        world.control.set_faults(vec![rule]).unwrap();
        let calls = |world: &World| world.control.requests(0).requests.iter().filter(|entry| entry.operation == Operation::Services).count();
        let before = calls(&world);
        assert!(sync::services(&world.db, &world.clock, world.account()).await.is_err());
        assert_eq!(calls(&world) - before, 2, "both groups were asked for");
    }
}
