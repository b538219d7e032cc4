//! The table of quantities, and how YAML's scalars become quantities.

use glassbox::kube::manifest;
use glassbox::kube::quantity::{Quantity, QuantityError};

const TABLE: &str = include_str!("quantities.txt");

#[test]
fn every_quantity_of_the_table_is_read_rounded_and_printed_as_written() {
    let mut wrong = String::new();
    let mut count = 0;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let end = line.rfind('"').expect("a line starts with a quoted text") + 1;
        let text: String = serde_json::from_str(&line[..end]).expect("the text is a JSON string");
        let found = match text.parse::<Quantity>() {
            Err(QuantityError::Invalid { .. }) => "invalid".to_string(),
            Err(QuantityError::Overflow { .. }) => "overflow".to_string(),
            Ok(q) => format!("{} {} {q} {}", q.value(), q.milli_value(), q.rounded_to_milli()),
        };
        if found != line[end..].trim() {
            wrong.push_str(&format!("{line}\n  found {found}\n"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(count >= 120, "{count} quantities");
}

#[test]
fn scalars_of_yaml_become_quantities_as_kubectl_makes_them() {
    let table = [
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1e+3", "1000"),
        ("0.1", "0.1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+1", "1"),
        ("010", "8"),
        ("0o10", "8"),
        ("0777", "511"),
        ("08", "8"),
        ("0x10", "16"),
        ("0b11", "3"),
        ("-010", "-8"),
        ("1_000", "1000"),
        ("1.5e3", "1500"),
        ("123456789012345678", "123456789012345678"),
        ("0.0000001", "1e-7"),
        ("\"010\"", "010"),
        ("\" 1Gi \"", "1Gi"),
        ("1Gi", "1Gi"),
        ("1:30", "1:30"),
        ("1_000Mi", "1_000Mi"),
    ];
    for (scalar, text) in table {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: c\n    resources:\n      limits:\n        memory: {scalar}\n"
        );
        let found = manifest::find_pod(&pod, None).unwrap();
        let written = match glassbox::kube::pod::Pod::decode(&found) {
            Ok(pod) => pod.containers[0].resources.limits["memory"].written.clone(),
            Err(problems) => problems[0].message.split('"').nth(1).unwrap_or_default().to_string(),
        };
        assert_eq!(written, text, "{scalar}");
    }
}
