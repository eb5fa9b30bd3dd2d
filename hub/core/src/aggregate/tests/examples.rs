//! Each rule of aggregation, by example.

use super::*;

#[test]
fn an_agent_that_runs_says_so_everywhere() {
    let status = over(&[member("a", 3).ready(), member("b", 2).ready()]).first();
    assert_eq!(status.phase, Some(Phase::Running));
    assert_eq!((status.desired_replicas, status.replicas, status.ready_replicas), (5, 5, 5));
    assert_eq!(status.replica_summary.as_deref(), Some("5/5"));
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(status.selector.as_deref(), Some("parallax.io/agent=coder,parallax.io/incarnation=uid-1"));
    assert_eq!(condition(&status, READY), ("True", "AllReplicasReady", "5 of 5 replicas are ready"));
    assert_eq!(condition(&status, PLACED), ("True", "Placed", "5 replicas on 2 clusters"));
    assert_eq!(
        condition(&status, SYNCED),
        ("True", "Synced", "2 of 2 clusters have persisted the current order")
    );
    assert_eq!(brief(&status, PROGRESSING), ("False", "Settled"));
    assert_eq!(brief(&status, DEGRADED), ("False", "NotDegraded"));
    let summary = ClusterSummary { assigned: 2, synced: 2, ready: 2, stale: 0, failed: 0 };
    assert_eq!(status.cluster_summary, Some(summary));
}

#[test]
fn two_replicated_on_two_members_are_four() {
    let fixture = over(&[member("a", 2).ready(), member("b", 2).ready()]).replicated();
    assert_eq!(fixture.first().replica_summary.as_deref(), Some("4/4"));
}

#[test]
fn what_autoscalers_choose_is_what_is_wanted() {
    let scaled = |members: &[Member]| {
        let mut fixture = over(members);
        let scaling = serde_json::json!({ "maxReplicas": 9, "targetCPUUtilization": 70 });
        fixture.spec.scaling = Some(serde_json::from_value(scaling).unwrap());
        fixture
    };
    let up = member("a", 1).says(Phase::Running, 4, "").chose(4, 6);
    let same = member("b", 1).says(Phase::Running, 1, "").chose(1, 3);
    let fixture = scaled(&[up.clone(), same.clone()]);
    let status = fixture.first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Running), Some("5/5")));
    assert_eq!(condition(&status, READY), ("True", "AllReplicasReady", "5 of 5 replicas are ready"));
    assert_eq!(row(&status, "a").desired_replicas, Some(4));

    let starting = member("a", 1).says(Phase::Scaling, 2, "Progressing").chose(4, 6);
    let status = scaled(&[starting, same.clone()]).first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Scaling), Some("3/5")));

    // A hub that has just started goes by what was shown, until it hears.
    let silent = scaled(&[up.clone().unheard(), same.clone().unheard()]);
    assert_eq!(silent.then(&fixture.first(), 5).replica_summary.as_deref(), Some("5/5"));

    // Beyond its bounds no cluster's word counts, nor does what it chose of another order.
    let wild = member("a", 1).says(Phase::Running, 4, "").chose(400, 6);
    assert_eq!(scaled(&[wild, same.clone()]).first().desired_replicas, 7);
    let mut before = up;
    before.wanted = Some(3);
    assert_eq!(scaled(&[before, same]).first().desired_replicas, 4);
}

#[test]
fn what_has_no_place_is_wanted_beside_what_autoscalers_choose() {
    let mut fixture = over(&[member("a", 1).says(Phase::Running, 4, "").chose(4, 6)]);
    let scaling = serde_json::json!({ "minReplicas": 3, "maxReplicas": 6, "targetCPUUtilization": 70 });
    fixture.spec.scaling = Some(serde_json::from_value(scaling).unwrap());
    assert_eq!(fixture.first().replica_summary.as_deref(), Some("4/6"), "2 of 3 to start with have no place");
}

#[test]
fn an_agent_that_nobody_calls_is_running_with_nothing_and_idle() {
    let with = |member: Member| {
        let mut fixture = over(&[member]);
        let scaling = serde_json::json!({ "minReplicas": 0 });
        fixture.spec.scaling = Some(serde_json::from_value(scaling).unwrap());
        fixture
    };
    let awake = with(member("a", 1).says(Phase::Running, 1, "")).first();
    assert_eq!((brief(&awake, IDLE), awake.replica_summary.as_deref()), (("False", "Awake"), Some("1/1")));

    let asleep = with(member("a", 1).says(Phase::Running, 0, "").sleeps()).first();
    assert_eq!((asleep.phase, asleep.replica_summary.as_deref()), (Some(Phase::Running), Some("0/0")));
    assert_eq!(brief(&asleep, IDLE), ("True", "NobodyCalls"));
    assert_eq!(brief(&asleep, READY), ("True", "Idle"));

    let waking = with(member("a", 1).says(Phase::Pending, 0, "Progressing")).first();
    assert_eq!((waking.phase, brief(&waking, IDLE)), (Some(Phase::Pending), ("False", "Awake")));

    let mut suspended = with(member("a", 0).ready());
    suspended.spec.suspend = true;
    assert_eq!(brief(&suspended.first(), IDLE), ("False", "Awake"), "nothing would wake it");
    let lies = over(&[member("a", 1).says(Phase::Running, 0, "").sleeps()]).first();
    assert_eq!(lies.replica_summary.as_deref(), Some("0/1"), "it must not sleep");
    let other = over(&[member("a", 1).ready()]).first();
    assert!(other.conditions.iter().all(|c| c.type_ != IDLE), "it can't go to zero");
}

#[test]
fn nothing_wanted_is_running_and_ready() {
    let mut fixture = over(&[member("a", 0).ready()]);
    let status = fixture.first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Running), Some("0/0")));
    assert_eq!(brief(&status, READY), ("True", "NoReplicasWanted"));
    (fixture.spec.replicas, fixture.spec.suspend) = (3, true);
    let status = fixture.first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Running), Some("0/0")));
    assert_eq!(brief(&status, READY), ("True", "Suspended"));
}

#[test]
fn an_agent_without_a_cluster_says_why_and_fails_past_the_deadline() {
    let mut fixture = over(&[]);
    fixture.spec.replicas = 2;
    let fixture = fixture.decided();
    let pending = fixture.aggregate(None, 0);
    assert_eq!(pending.status.phase, Some(Phase::Pending));
    assert_eq!(pending.changes_after, Some(PROGRESS_DEADLINE));
    for type_ in [READY, PLACED, PROGRESSING] {
        assert_eq!(
            condition(&pending.status, type_),
            ("False", "NoClusterFits", "the fleet has no clusters yet: join one to it")
        );
    }
    assert_eq!(pending.status.replica_summary.as_deref(), Some("0/2"));
    let failed = fixture.quiet(600).then(&pending.status, 600);
    assert_eq!(failed.phase, Some(Phase::Failed));
    assert_eq!(brief(&failed, PROGRESSING), ("False", "ProgressDeadlineExceeded"));
    assert_eq!(brief(&failed, DEGRADED), ("True", "NoClusterFits"));
}

#[test]
fn replicas_without_a_cluster_make_no_progress_once_the_others_are_ready() {
    let mut members = [member("a", 2)];
    let partly = |members: &[Member]| {
        let mut fixture = over(members);
        fixture.spec.replicas = 3;
        let facts = fixture.cluster_facts().into_iter().map(|f| ClusterFacts { connected: false, ..f });
        fixture.explained(&facts.collect::<Vec<_>>(), Some(&BTreeMap::from([(members[0].name.clone(), 2)])))
    };
    let moving = partly(&members).first();
    assert_eq!((brief(&moving, PLACED).0, brief(&moving, PROGRESSING).0), ("False", "True"));
    members[0] = member("a", 2).ready();
    let waiting = partly(&members).first();
    assert_eq!(brief(&waiting, PROGRESSING), ("False", "PartlyPlaced"));
    assert_eq!(waiting.phase, Some(Phase::Scaling), "two are ready");
}

#[test]
fn a_spec_that_cannot_be_sent_makes_no_progress() {
    let mut fixture = over(&[]);
    (fixture.unresolved, fixture.spec.replicas) = (true, 1);
    let status = fixture.decided().first();
    assert_eq!(brief(&status, PROGRESSING), ("False", "InvalidSpec"));
}

#[test]
fn ready_carries_the_worst_rows_reason() {
    let status = over(&[
        member("a", 1).ready(),
        member("b", 1).says(Phase::Pending, 0, "ContainerCreating"),
        member("c", 1).says(Phase::Failed, 0, "CrashLoopBackOff"),
    ])
    .first();
    assert_eq!(status.phase, Some(Phase::Scaling));
    assert_eq!(condition(&status, READY), ("False", "CrashLoopBackOff", "c: about CrashLoopBackOff"));
    assert_eq!(status.clusters.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
    assert_eq!(status.cluster_summary.unwrap().failed, 1);
}

#[test]
fn a_row_that_says_nothing_is_said_something_of() {
    let ready = |member| {
        let status = over(&[member]).first();
        let (_, reason, message) = condition(&status, READY);
        (reason.to_owned(), message.to_owned())
    };
    let says = |reason: &str, message: &str| (reason.to_owned(), message.to_owned());
    assert_eq!(ready(member("a", 2)), says("Dispatching", "a: the current order is on its way"));
    assert_eq!(ready(member("a", 2).persisted()), says("Progressing", "a: 0 of 2 replicas are ready"));
}

#[test]
fn when_every_lagging_cluster_has_failed_it_is_running_and_degraded() {
    let status =
        over(&[member("a", 3).ready(), member("b", 2).says(Phase::Failed, 0, "ImagePullBackOff")]).first();
    assert_eq!(status.phase, Some(Phase::Running));
    assert_eq!(brief(&status, READY), ("False", "ImagePullBackOff"));
    assert_eq!(
        condition(&status, DEGRADED),
        ("True", "ImagePullBackOff", "3 of 5 replicas are ready; b: about ImagePullBackOff")
    );
}

#[test]
fn a_rejected_order_leaves_the_last_good_version_running() {
    let running = over(&[member("a", 2).ready()]).first();
    let mut edited = over(&[Member { persisted: Some(false), ..member("a", 2).ready() }
        .answers(Outcome::Rejected, "QuotaTooSmall")]);
    edited.generation = 2;
    let status = edited.decided().then(&running, 2_000);
    assert_eq!((status.phase, row(&status, "a").phase), (Some(Phase::Running), Phase::Running));
    assert_eq!(status.replica_summary.as_deref(), Some("0/2"), "what is ready is not of this generation");
    for type_ in [READY, SYNCED] {
        assert_eq!(condition(&status, type_), ("False", "QuotaTooSmall", "a: about QuotaTooSmall"));
    }
    assert_eq!(brief(&status, DEGRADED).0, "True");
}

#[test]
fn an_order_rejected_by_every_cluster_fails_the_agent() {
    let status = over(&[member("a", 2).answers(Outcome::Rejected, "Forbidden")]).first();
    assert_eq!((status.phase, row(&status, "a").phase), (Some(Phase::Failed), Phase::Failed));
}

#[test]
fn an_order_that_waits_says_what_for() {
    let status =
        over(&[member("a", 1).ready(), member("b", 1).answers(Outcome::Waiting, "NamespaceMissing")]).first();
    assert_eq!(condition(&status, SYNCED), ("False", "NamespaceMissing", "b: about NamespaceMissing"));
    assert_eq!((status.phase, row(&status, "b").phase), (Some(Phase::Scaling), Phase::Pending));
    assert_eq!(status.cluster_summary.unwrap().synced, 1);
}

#[test]
fn an_edit_that_a_suspended_cluster_is_not_sent_says_so() {
    let before = over(&[member("a", 2).ready()]).first();
    let kept = Member { persisted: Some(false), suspended: true, ..member("a", 2).ready() };
    let mut edited = over(&[kept]);
    edited.generation = 2;
    let status = edited.decided().then(&before, 2_000);
    for type_ in [READY, SYNCED] {
        assert_eq!(brief(&status, type_), ("False", "ClusterSuspended"));
    }
    assert_eq!(row(&status, "a").ready_replicas, 2, "it keeps what it has");
    let unchanged = over(&[Member { suspended: true, ..member("a", 2).ready() }]).first();
    assert_eq!(brief(&unchanged, READY).0, "True", "what needs no order needs none");
}

#[test]
fn an_object_that_is_in_the_way_breaks_synced() {
    let mut blocked = member("a", 1).says(Phase::Pending, 0, "NameConflict");
    blocked.report.as_mut().unwrap().synced = false;
    let status = over(&[blocked]).first();
    assert_eq!(condition(&status, SYNCED), ("False", "NameConflict", "a: about NameConflict"));
    assert_eq!(status.cluster_summary.unwrap().synced, 1, "the order itself is persisted");
}

#[test]
fn a_spec_that_cannot_be_sent_fails_the_agent_with_what_to_do() {
    let mut fixture = over(&[member("a", 1)]);
    fixture.unresolved = true;
    let status = fixture.first();
    assert_eq!(status.phase, Some(Phase::Failed));
    for type_ in [READY, SYNCED] {
        let (truth, reason, message) = condition(&status, type_);
        assert_eq!((truth, reason), ("False", "InvalidSpec"));
        assert!(message.contains("set spec.image"), "{message}");
    }
}

#[test]
fn replicas_that_are_not_fresh_are_not_counted() {
    let all = over(&[member("a", 3).ready(), member("b", 2).ready()]);
    let before = all.first();
    for freshness in [Freshness::Stale, Freshness::Unreachable] {
        let status = all
            .now_with(&[member("a", 3).ready(), member("b", 2).ready().lost(freshness)])
            .then(&before, 2_000);
        assert_eq!((status.replicas, status.ready_replicas, status.phase), (3, 3, Some(Phase::Scaling)));
        assert_eq!(brief(&status, READY), ("False", "ClusterUnreachable"));
        assert_eq!(brief(&status, SYNCED).0, "True", "it was persisted there");
        let lost = row(&status, "b");
        assert_eq!((lost.phase, lost.ready_replicas, lost.freshness), (Phase::Running, 2, freshness));
        assert_eq!(status.cluster_summary.unwrap().stale, 1);
    }
}

#[test]
fn when_all_it_had_is_out_of_reach_the_phase_stays_and_ready_is_unknown() {
    let before = over(&[member("a", 2).ready()]).first();
    let away = over(&[member("a", 2).ready().lost(Freshness::Unreachable)]).quiet(9_999);
    let status = away.then(&before, 2_000);
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Running), Some("0/2")));
    for type_ in [READY, PROGRESSING, DEGRADED] {
        assert_eq!(brief(&status, type_), ("Unknown", "ClusterUnreachable"));
    }
    assert!(condition(&status, READY).2.starts_with("a: the session is lost"));
}

#[test]
fn where_an_agent_is_reached_is_kept_until_its_cluster_says_otherwise() {
    let up = member("a", 1).ready().reached_at("writer.team.svc:8080");
    let told = over(std::slice::from_ref(&up)).first();
    assert_eq!(row(&told, "a").endpoint.as_deref(), Some("writer.team.svc:8080"));
    let unheard = over(&[up.clone().unheard()]).then(&told, 1_100);
    assert_eq!(
        row(&unheard, "a").endpoint,
        row(&told, "a").endpoint,
        "a restarted hub has yet to hear of it"
    );
    let exported = up.reached_at("writer.team.svc.clusterset.local:8080");
    let exported = over(&[exported]).then(&unheard, 1_200);
    assert_eq!(row(&exported, "a").endpoint.as_deref(), Some("writer.team.svc.clusterset.local:8080"));
}

#[test]
fn a_rows_time_moves_when_it_changes_or_loses_its_freshness_and_not_otherwise() {
    let fixture = |member: Member| over(&[member]);
    let reported = |status: &ParallaxAgentStatus| row(status, "a").last_reported.clone();
    let creating = fixture(member("a", 1).says(Phase::Pending, 0, "ContainerCreating")).first();
    assert_eq!(reported(&creating), Some(time(1_000)));
    let same = fixture(member("a", 1).says(Phase::Pending, 0, "ContainerCreating")).then(&creating, 1_100);
    assert_eq!(reported(&same), Some(time(1_000)));
    let ready = fixture(member("a", 1).ready()).then(&same, 1_200);
    assert_eq!(reported(&ready), Some(time(1_200)));
    let stale = fixture(member("a", 1).ready().lost(Freshness::Stale)).then(&ready, 1_300);
    assert_eq!(reported(&stale), Some(time(1_300)), "it was fresh until then");
    let away = fixture(member("a", 1).ready().lost(Freshness::Unreachable)).then(&stale, 1_400);
    assert_eq!(reported(&away), Some(time(1_300)), "nothing more was heard");
    let back = fixture(member("a", 1).ready()).then(&away, 1_500);
    assert_eq!(reported(&back), Some(time(1_500)));
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let pending = over(&[member("a", 1)]).first();
    let creating = over(&[member("a", 1).says(Phase::Pending, 0, "ContainerCreating")]).then(&pending, 2_000);
    let ready = over(&[member("a", 1).ready()]).then(&creating, 3_000);
    let since = |status: &ParallaxAgentStatus| {
        let ready = status.conditions.iter().find(|c| c.type_ == READY).unwrap();
        ready.last_transition_time.clone()
    };
    assert_eq!([since(&pending), since(&creating), since(&ready)], [time(1_000), time(1_000), time(3_000)]);
    assert_ne!(condition(&pending, READY), condition(&creating, READY), "its reason did change");
}

#[test]
fn an_edit_that_changes_nothing_for_a_cluster_is_observed_at_once() {
    let before = over(&[member("a", 2).ready()]).first();
    let mut edited = over(&[Member { generation: Some(2), ..member("a", 2).ready() }]);
    edited.generation = 2;
    let status = edited.decided().then(&before, 2_000);
    assert_eq!((status.phase, status.observed_generation), (Some(Phase::Running), Some(2)));
    assert_eq!(row(&status, "a").observed_generation, Some(2));
}

#[test]
fn an_older_generation_is_scaling_while_it_serves() {
    let before = over(&[member("a", 2).ready()]).first();
    let mut edited = over(&[member("a", 2).ready()]);
    edited.generation = 2;
    let status = edited.decided().then(&before, 2_000);
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Scaling), Some("0/2")));
}

#[test]
fn while_an_update_replaces_pods_the_old_ones_serve_and_only_the_new_ones_count() {
    let updating = |ready: i32, earlier: i32| {
        let mut fixture = over(&[Member {
            generation: Some(2),
            ..member("a", 2).says(Phase::Scaling, ready, "Progressing").and_earlier(earlier)
        }]);
        fixture.generation = 2;
        fixture.decided()
    };
    let mut status = over(&[member("a", 2).ready()]).first();
    for (ready, earlier, summary, progress) in [
        (0, 2, "0/2", "0 of 2 replicas are ready at the current generation, while earlier ones serve"),
        (1, 2, "1/2", "1 of 2 replicas are ready at the current generation"),
        (1, 1, "1/2", "1 of 2 replicas are ready at the current generation"),
    ] {
        status = updating(ready, earlier).then(&status, 2_000);
        assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Scaling), Some(summary)));
        assert_eq!(condition(&status, PROGRESSING), ("True", "Progressing", progress));
        assert_eq!(brief(&status, READY), ("False", "Progressing"));
        assert_eq!(brief(&status, DEGRADED).0, "False");
    }
    assert_eq!(updating(2, 1).then(&status, 3_000).phase, Some(Phase::Running), "the last old one may end");
}

#[test]
fn an_update_that_does_not_get_through_is_running_and_degraded_past_the_deadline() {
    let mut fixture = over(&[Member {
        generation: Some(2),
        ..member("a", 1).says(Phase::Scaling, 0, "ImagePullBackOff").and_earlier(1)
    }]);
    fixture.generation = 2;
    let fixture = fixture.decided();
    let before = over(&[member("a", 1).ready()]).first();
    let moving = fixture.then(&before, 2_000);
    assert_eq!((moving.phase, brief(&moving, READY)), (Some(Phase::Scaling), ("False", "ImagePullBackOff")));
    let stuck = fixture.quiet(600).then(&moving, 2_600);
    assert_eq!(stuck.phase, Some(Phase::Running));
    assert_eq!(
        condition(&stuck, DEGRADED),
        (
            "True",
            "ImagePullBackOff",
            "0 of 1 replica is ready, while earlier ones serve; a: about ImagePullBackOff"
        )
    );
}

#[test]
fn an_order_rejected_in_mid_update_leaves_what_serves_running() {
    let updating = member("a", 1).says(Phase::Scaling, 0, "Progressing").and_earlier(1);
    let status = over(&[updating.answers(Outcome::Rejected, "QuotaTooSmall")]).first();
    assert_eq!((status.phase, row(&status, "a").phase), (Some(Phase::Running), Phase::Scaling));
}

#[test]
fn a_hub_that_restarts_in_mid_update_still_knows_that_something_serves() {
    for phase in [Phase::Scaling, Phase::Running] {
        let before = over(&[member("a", 1).says(phase, 0, "ImagePullBackOff").and_earlier(1)]).first();
        assert_eq!(before.phase, Some(Phase::Scaling));
        let restarted = over(&[Member { persisted: Some(true), ..member("a", 1).unheard() }]);
        assert_eq!(restarted.then(&before, 2_000), before);
    }
    let pending = over(&[member("a", 1).says(Phase::Pending, 0, "ContainerCreating")]).first();
    assert_eq!(over(&[member("a", 1).unheard()]).then(&pending, 2_000).phase, Some(Phase::Pending));
}

#[test]
fn a_restarted_hub_shows_what_was_known_and_counts_it_as_fresh_as_it_was() {
    let before =
        over(&[member("a", 2).ready(), member("b", 1).says(Phase::Failed, 0, "CrashLoopBackOff")]).first();
    let mut restarted = over(&[member("a", 2).unheard(), member("b", 1).unheard()]);
    restarted.explanation = None;
    let same = restarted.aggregate(Some(&before), 2_000);
    assert_eq!(same.status, before);
    assert!(!same.moved);
    let away = over(&[
        member("a", 2).unheard().lost(Freshness::Unreachable),
        member("b", 1).unheard().lost(Freshness::Unreachable),
    ]);
    let away = away.then(&before, 3_000);
    assert_eq!((away.ready_replicas, row(&away, "a").ready_replicas), (0, 2));
}

#[test]
fn what_a_cluster_no_longer_mentions_is_not_there() {
    let before = over(&[member("a", 2).ready()]).first();
    let status = over(&[member("a", 2).persisted()]).then(&before, 2_000);
    assert_eq!((status.phase, row(&status, "a").replicas), (Some(Phase::Pending), 0));
}

#[test]
fn a_deadline_that_was_over_is_remembered_over_a_restart() {
    let stuck = over(&[member("a", 2).says(Phase::Pending, 0, "Unschedulable")]);
    let pending = stuck.aggregate(None, 1_000);
    assert_eq!(remembered_quiet(Some(&pending.status), 1, PROGRESS_DEADLINE), Duration::ZERO);
    let failed = stuck.quiet(600).then(&pending.status, 1_600);
    assert_eq!(failed.phase, Some(Phase::Failed));
    assert_eq!(remembered_quiet(Some(&failed), 1, PROGRESS_DEADLINE), PROGRESS_DEADLINE);
    assert_eq!(remembered_quiet(Some(&failed), 2, PROGRESS_DEADLINE), Duration::ZERO, "the spec was edited");
    assert_eq!(remembered_quiet(None, 1, PROGRESS_DEADLINE), Duration::ZERO);
}

#[test]
fn the_quiet_time_begins_anew_when_something_ready_changes_and_not_when_a_session_is_lost() {
    let one = over(&[member("a", 3).says(Phase::Scaling, 1, "")]);
    let first = one.aggregate(None, 0);
    assert!(first.moved, "there was nothing before");
    let later = one.clone().quiet(599).aggregate(Some(&first.status), 599);
    assert_eq!((later.moved, later.changes_after), (false, Some(Duration::from_secs(1))));
    let two = over(&[member("a", 3).says(Phase::Scaling, 2, "")]).quiet(599);
    let progress = two.aggregate(Some(&later.status), 599);
    assert_eq!((progress.moved, progress.changes_after), (true, Some(PROGRESS_DEADLINE)));
    let lost = over(&[member("a", 3).says(Phase::Scaling, 2, "").lost(Freshness::Stale)]);
    assert!(!lost.aggregate(Some(&progress.status), 700).moved);
}

#[test]
fn a_cluster_that_lets_go_of_the_agent_has_a_row_and_no_ready_replicas() {
    let status = over(&[member("a", 1).ready(), member("b", 2).ready().withdrawing()]).first();
    assert_eq!(row(&status, "b").phase, Phase::Terminating);
    assert_eq!((status.replicas, status.ready_replicas, status.desired_replicas), (3, 1, 1));
    assert_eq!(status.phase, Some(Phase::Running));
    assert_eq!(status.cluster_summary.unwrap().assigned, 1);
}

#[test]
fn an_agent_that_is_deleted_is_terminating_to_the_end() {
    let mut fixture = over(&[member("a", 2).ready(), member("b", 1).ready().withdrawing()]);
    fixture.deleting = true;
    let status = fixture.first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Terminating), Some("2/0")));
    assert_eq!(brief(&status, READY), ("False", "Terminating"));
    assert!(status.clusters.iter().all(|row| row.phase == Phase::Terminating));
}

#[test]
fn at_most_64_rows_are_shown_the_worst_first() {
    let mut members: Vec<Member> = (0..100).map(|i| member(&format!("fine-{i:03}"), 1).ready()).collect();
    members.push(member("z-away", 1).ready().lost(Freshness::Unreachable));
    members.push(member("z-creating", 1).says(Phase::Pending, 0, "ContainerCreating"));
    members.push(member("z-failed", 1).says(Phase::Failed, 0, "CrashLoopBackOff"));
    members.push(member("z-stale", 1).ready().lost(Freshness::Stale));
    members.push(member("z-waiting", 1).answers(Outcome::Waiting, "NamespaceMissing"));
    let status = over(&members).first();
    assert_eq!(status.clusters.len(), MAX_ROWS);
    let names: Vec<&str> = status.clusters.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names[..6], ["z-failed", "z-away", "z-stale", "z-waiting", "z-creating", "fine-000"]);
    assert_eq!((status.desired_replicas, status.ready_replicas), (105, 100));
}

#[test]
fn a_member_that_talks_nonsense_cannot_break_the_status() {
    let mut odd = member("a", 1).says(Phase::Failed, -7, "not a word!");
    odd.report.as_mut().unwrap().message = format!("line one\n{}", "x".repeat(100_000));
    odd.report.as_mut().unwrap().replicas = i32::MIN;
    let status = over(&[
        odd,
        member("b", 1).says(Phase::Running, i32::MAX, ""),
        member("c", 1).says(Phase::Running, i32::MAX, ""),
    ])
    .first();
    assert_eq!(condition(&status, READY), ("False", "Progressing", "a: line one"));
    assert_eq!(row(&status, "a").message.as_deref(), Some("line one"));
    assert_eq!((row(&status, "a").replicas, row(&status, "a").ready_replicas), (0, 0));
}

#[test]
fn only_an_agent_that_names_a_key_is_said_to_have_it() {
    let with_word = over(&[member("a", 1).ready().on_the_key("")]);
    assert!(with_word.first().conditions.iter().all(|c| c.type_ != CREDENTIALS_READY));
    let status = with_word.with_a_key().first();
    assert_eq!(condition(&status, CREDENTIALS_READY), ("True", "Found", "1 of 1 cluster has the key"));
}

#[test]
fn a_key_that_one_cluster_lacks_is_missing_there() {
    let waiting = |name| member(name, 1).says(Phase::Pending, 0, "SecretMissing").on_the_key("SecretMissing");
    let status =
        over(&[member("a", 1).ready().on_the_key(""), waiting("c"), waiting("b")]).with_a_key().first();
    assert_eq!(condition(&status, CREDENTIALS_READY), ("False", "SecretMissing", "b: about SecretMissing"));
}

#[test]
fn nobody_knows_of_a_key_before_the_clusters_have_spoken_of_the_current_order() {
    let fixture = over(&[member("a", 1).ready().on_the_key(""), member("b", 1)]).with_a_key();
    let status = fixture.first();
    assert_eq!(
        condition(&status, CREDENTIALS_READY),
        ("Unknown", "Unreported", "1 of 2 clusters have the key")
    );
    let mut next = over(&[member("a", 1).ready().on_the_key("SecretMissing")]).with_a_key();
    next.members[0].persisted = Some(false);
    assert_eq!(brief(&next.first(), CREDENTIALS_READY), ("Unknown", "Unreported"), "of an order before");
    assert_eq!(brief(&over(&[]).with_a_key().first(), CREDENTIALS_READY), ("Unknown", "NotPlaced"));
}

#[test]
fn a_hub_that_has_just_started_takes_a_keys_condition_over() {
    for reason in ["", "SecretMissing"] {
        let a = member("a", 1).ready().on_the_key(reason);
        let fixture = over(std::slice::from_ref(&a)).with_a_key();
        let before = fixture.first();
        let after = fixture.now_with(&[a.unheard()]).then(&before, 2_000);
        assert_eq!(condition(&after, CREDENTIALS_READY), condition(&before, CREDENTIALS_READY));
    }
}

#[test]
fn in_the_middle_of_a_move_all_that_is_ready_counts_and_it_is_scaling() {
    let status =
        over(&[member("a", 3).ready().leaving(3), member("b", 3).says(Phase::Pending, 1, "")]).first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Scaling), Some("4/3")));
    assert_eq!((status.desired_replicas, status.replicas), (3, 6));
    assert_eq!(row(&status, "a").reason.as_deref(), Some("Leaving"));
    assert_eq!(status.cluster_summary.unwrap().assigned, 1);
    let (_, _, message) = condition(&status, PROGRESSING);
    let said = "; 3 replicas stay in a until as many are ready elsewhere (in b, 1 of 3 are)";
    assert!(message.ends_with(said), "{message}");
}

#[test]
fn a_share_that_shifts_is_scaling_until_it_has_left() {
    let status = over(&[member("a", 3).ready().leaving(2), member("b", 2).ready()]).first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Scaling), Some("5/3")));
    let status = over(&[member("a", 1).ready(), member("b", 2).ready()]).first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Running), Some("3/3")));
}

#[test]
fn what_is_to_leave_a_cluster_that_is_away_keeps_nothing_from_running() {
    let lost = member("a", 3).ready().leaving(3).lost(Freshness::Unreachable);
    let status = over(&[lost, member("b", 3).ready()]).first();
    assert_eq!((status.phase, status.replica_summary.as_deref()), (Some(Phase::Running), Some("3/3")));
    assert_eq!(brief(&status, READY), ("True", "AllReplicasReady"));
    assert_eq!(row(&status, "a").freshness, Freshness::Unreachable);
}
