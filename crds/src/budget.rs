//! What an agent's spec may have together, where a bound on each field alone would be in the way: one agent has long
//! arguments, another many selectors, and none has all of it.

/// Fields that share a bound.
#[derive(Debug, Clone)]
pub struct Budget {
    /// How much they may have together: characters of texts, items of lists.
    pub most: u32,
    /// The fields, below the spec: `env[].value`; `podLabels{}` are the keys and values of a map.
    pub paths: Vec<String>,
}

impl Budget {
    /// The rule of the spec that holds the fields to it, in CEL.
    #[must_use]
    pub fn rule(&self) -> String {
        let sizes: Vec<String> = self.paths.iter().map(|path| size("self", path, 0)).collect();
        format!("{} <= {}", sizes.join(" + "), self.most)
    }
}

const ENV_FROM: [&str; 3] = ["prefix", "secretRef.name", "configMapRef.name"];
const VALUE_FROM: [&str; 7] = [
    "secretKeyRef.name",
    "secretKeyRef.key",
    "configMapKeyRef.name",
    "configMapKeyRef.key",
    "fieldRef.fieldPath",
    "resourceFieldRef.resource",
    "resourceFieldRef.containerName",
];

/// The characters of the long texts.
#[must_use]
pub fn texts() -> Budget {
    let mut paths = Vec::new();
    let mut add = |parent: &str, fields: &[&str]| {
        paths.extend(fields.iter().map(|field| format!("{parent}{field}")));
    };
    add("", &["command[]", "args[]", "env[].value", "podLabels{}", "podAnnotations{}"]);
    add("env[].valueFrom.", &VALUE_FROM);
    add("tolerations[].", &["key", "value"]);
    let selector = ["matchLabels{}", "matchExpressions[].key", "matchExpressions[].values[]"];
    let (required, preferred) =
        ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
    add(&format!("affinity.nodeAffinity.{required}.nodeSelectorTerms[]."), &selector[1..]);
    add(&format!("affinity.nodeAffinity.{preferred}[].preference."), &selector[1..]);
    for kind in ["podAffinity", "podAntiAffinity"] {
        for term in [format!("{required}[]"), format!("{preferred}[].podAffinityTerm")] {
            add(&format!("affinity.{kind}.{term}."), &["topologyKey"]);
            add(&format!("affinity.{kind}.{term}.labelSelector."), &selector);
        }
    }
    add("topologySpreadConstraints[].", &["topologyKey", "matchLabelKeys[]"]);
    add("topologySpreadConstraints[].labelSelector.", &selector);
    for peers in ["network.ingress[].", "network.egress[]."] {
        for kind in ["podSelector.", "namespaceSelector."] {
            add(&format!("{peers}{kind}"), &selector);
        }
    }
    add("envFrom[].", &ENV_FROM);
    let keys = ["items[].key", "items[].path"];
    for kind in ["configMap.", "secret."] {
        let named = if kind == "secret." { "secretName" } else { "name" };
        add(&format!("volumes[].{kind}"), &[named, keys[0], keys[1]]);
        add(&format!("volumes[].projected.sources[].{kind}"), &["name", keys[0], keys[1]]);
    }
    add("volumes[].persistentVolumeClaim.", &["claimName"]);
    add("volumes[].projected.sources[].downwardAPI.items[].", &["path", "fieldRef.fieldPath"]);
    add("volumes[].projected.sources[].serviceAccountToken.", &["audience", "path"]);
    add("volumeMounts[].", &["mountPath", "subPath"]);
    for containers in ["initContainers[].", "sidecars[]."] {
        add(containers, &["image", "command[]", "args[]"]);
        add(&format!("{containers}env[]."), &["name", "value"]);
        add(&format!("{containers}env[].valueFrom."), &VALUE_FROM);
        add(&format!("{containers}envFrom[]."), &ENV_FROM);
        add(&format!("{containers}volumeMounts[]."), &["mountPath", "subPath"]);
    }
    let overrides = "placement.overrides[].";
    add(overrides, &["image"]);
    add(&format!("{overrides}env[]."), &["name", "value"]);
    add(&format!("{overrides}env[].valueFrom."), &VALUE_FROM);
    Budget { most: 16_384, paths }
}

/// The characters of the labels that an agent's placement goes by, and those of nodes in its overrides, below
/// `placement`. None of them takes more than a byte.
#[must_use]
pub fn placement() -> Budget {
    let mut paths = vec!["tolerations[].key".to_owned(), "tolerations[].value".to_owned()];
    for selector in ["groups[].", "preferred[].", "division.weights[].", "overrides[]."] {
        for part in ["matchLabels{}", "matchExpressions[].key", "matchExpressions[].values[]"] {
            paths.push(format!("{selector}clusterSelector.{part}"));
        }
    }
    let of_nodes = ["nodeSelector{}", "runtimeClassName", "serviceAccountName"];
    paths.extend(of_nodes.map(|field| format!("overrides[].{field}")));
    Budget { most: 8192, paths }
}

/// The characters of the labels that the waves of a rollout go by, below `rollout`.
#[must_use]
pub fn rollout() -> Budget {
    let parts = ["matchLabels{}", "matchExpressions[].key", "matchExpressions[].values[]"];
    let paths = parts.map(|part| format!("waves[].clusterSelector.{part}")).into();
    Budget { most: 1024, paths }
}

/// The size of what lies at `path` below `value`, as an expression of CEL; 0 where it is absent.
fn size(value: &str, path: &str, depth: usize) -> String {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = step.trim_end_matches(['[', ']', '{', '}']);
    let field = format!("{value}.{name}");
    let each = format!("v{depth}");
    let present = if step.ends_with("[]") {
        let item = if rest.is_empty() { format!("size({each})") } else { size(&each, rest, depth + 1) };
        format!("{field}.map({each}, {item}).sum()")
    } else if step.ends_with("{}") {
        format!("{field}.map({each}, size({each}) + size({field}[{each}])).sum()")
    } else if rest.is_empty() {
        format!("size({field})")
    } else {
        size(&field, rest, depth)
    };
    format!("(has({field}) ? {present} : 0)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_the_size_of_what_is_there() {
        for (path, rule) in [
            ("role", "(has(self.role) ? size(self.role) : 0)"),
            ("args[]", "(has(self.args) ? self.args.map(v0, size(v0)).sum() : 0)"),
            ("a.b", "(has(self.a) ? (has(self.a.b) ? size(self.a.b) : 0) : 0)"),
            (
                "a[].b[]",
                "(has(self.a) ? self.a.map(v0, (has(v0.b) ? v0.b.map(v1, size(v1)).sum() : 0)).sum() : 0)",
            ),
            ("m{}", "(has(self.m) ? self.m.map(v0, size(v0) + size(self.m[v0])).sum() : 0)"),
        ] {
            let budget = Budget { most: 9, paths: vec![path.to_owned()] };
            assert_eq!(budget.rule(), format!("{rule} <= 9"));
        }
    }
}
