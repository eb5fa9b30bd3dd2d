use super::*;

fn key(name: &str) -> AgentKey {
    AgentKey::new("team", name)
}

#[tokio::test]
async fn an_agent_is_queued_once_and_worked_on_by_one() {
    let queue = Queue::new(2);
    queue.add(&key("a"));
    queue.add(&key("a"));
    queue.add(&key("b"));
    let [first, second] = [queue.next().await, queue.next().await];
    assert_eq!([first.key(), second.key()], [&key("a"), &key("b")]);
    queue.add(&key("a"));
    assert_eq!(queue.depth(), 0);
    drop(first);
    let again = queue.next().await;
    assert_eq!(again.key(), &key("a"));
    drop((again, second));
    queue.idle().await;
}

#[tokio::test]
async fn a_turn_that_ends_in_a_panic_is_over() {
    let queue = Queue::new(2);
    queue.add(&key("a"));
    let turn = queue.next().await;
    queue.add(&key("a"));
    let work = tokio::spawn(async move { panic!("{} can't be worked on", turn.key()) });
    assert!(work.await.is_err_and(|error| error.is_panic()));
    assert_eq!(queue.depth(), 1, "what changed meanwhile is looked at");
    drop(queue.next().await);
    queue.idle().await;
}

#[tokio::test(start_paused = true)]
async fn pauses_double_and_are_forgotten_when_it_went_well() {
    let queue = Queue::new(2);
    let mut waited = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        queue.retry(&key("a"), 0.0);
        drop(queue.next().await);
        waited.push(began.elapsed().as_millis());
    }
    assert_eq!(waited, [250, 500, 1000]);
    queue.settled(&key("a"));
    let began = Instant::now();
    queue.retry(&key("a"), 0.0);
    drop(queue.next().await);
    assert_eq!(began.elapsed().as_millis(), 250);
}

#[tokio::test(start_paused = true)]
async fn what_only_others_can_mend_is_tried_after_longer_and_longer_pauses_or_when_something_changes() {
    let queue = Queue::new(2);
    for seconds in [2, 4, 8, 16, 32, 60, 60] {
        let began = Instant::now();
        queue.retry_late(&key("a"), 0.0);
        drop(queue.next().await);
        assert_eq!(began.elapsed(), Duration::from_secs(seconds));
    }
    queue.retry_late(&key("a"), 0.0);
    queue.add(&key("a"));
    let began = Instant::now();
    drop(queue.next().await);
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_agent_waits_for_one_retry_however_often_its_work_fails() {
    let queue = Queue::new(2);
    for _ in 0..20 {
        queue.add(&key("a"));
        drop(queue.next().await);
        queue.retry(&key("a"), 0.0);
    }
    drop(queue.next().await);
    let further = tokio::time::timeout(LONGEST_PAUSE * 2, queue.next()).await;
    assert!(further.is_err(), "a second retry of the same agent was waiting");
}

#[tokio::test]
async fn what_can_wait_leaves_workers_to_others_and_follows_in_its_order() {
    let queue = Queue::new(1);
    ["a", "b", "c"].iter().for_each(|name| queue.add(&key(name)));
    let mut first = queue.next().await;
    assert!(first.may_linger(), "there is a seat");
    for _ in ["b", "c"] {
        assert!(!queue.next().await.may_linger(), "there was one");
    }
    assert_eq!(queue.depth(), 2);
    // Something happens to one that was put off: it comes at once, and keeps its place for the rest.
    queue.add(&key("b"));
    let mut again = queue.next().await;
    assert!(!again.may_linger());
    assert_eq!(again.key(), &key("b"));
    drop(again);
    drop(first);
    for name in ["b", "c"] {
        let mut turn = queue.next().await;
        assert_eq!(turn.key(), &key(name));
        assert!(turn.may_linger());
    }
    queue.idle().await;
}

#[tokio::test]
async fn nobody_overtakes_those_that_were_put_off() {
    let queue = Queue::new(1);
    queue.add(&key("a"));
    let mut a = queue.next().await;
    assert!(a.may_linger());
    queue.add(&key("b"));
    assert!(!queue.next().await.may_linger());
    queue.add(&key("c"));
    let mut c = queue.next().await;
    drop(a);
    assert!(!c.may_linger(), "b was first");
    drop(c);
    let mut next = queue.next().await;
    assert!(next.may_linger());
    assert_eq!(next.key(), &key("b"));
    drop(next);
    assert_eq!(queue.next().await.key(), &key("c"));
}
