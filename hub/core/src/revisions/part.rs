//! The part of a spec that decides about pods.

use parallax_crds::ParallaxAgentSpec;
use parallax_crds::agent::{Placement, Scaling};

use crate::overrides::of;

/// A spec with nothing in it that can change without a pod's being changed: one replica, no bounds but whether the agent
/// may go to zero, not suspended, and placed anywhere, with its overrides.
#[must_use]
pub fn part_of(spec: &ParallaxAgentSpec) -> ParallaxAgentSpec {
    // Taken apart without `..`: a new field must be decided on here.
    let ParallaxAgentSpec { runtime, image, replicas: _, scaling, suspend: _, placement: _, rollout: _ } =
        spec;
    let overrides = of(spec);
    ParallaxAgentSpec {
        runtime: runtime.clone(),
        image: image.clone(),
        replicas: 1,
        scaling: scaling.as_ref().and_then(scaling_of),
        suspend: false,
        rollout: None,
        placement: (!overrides.is_empty())
            .then(|| Placement { overrides: overrides.to_vec(), ..Placement::default() }),
    }
}

fn scaling_of(scaling: &Scaling) -> Option<Scaling> {
    let Scaling { min_replicas: _, max_replicas: _, targets, scale_down_delay, activation } = *scaling;
    let min_replicas = scaling.fewest().min(1);
    // Bounds alone are none of a pod's.
    (min_replicas == 0 || !targets.is_empty()).then_some(Scaling {
        min_replicas,
        max_replicas: None,
        targets,
        scale_down_delay,
        activation,
    })
}
