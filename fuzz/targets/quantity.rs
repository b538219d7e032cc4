//! Kubernetes quantities: what is read can be written, and read again as the same.
#![no_main]

use glassbox::kube::quantity::Quantity;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    let written = quantity.to_string();
    let again: Quantity = written.parse().unwrap_or_else(|error| panic!("{text:?} is written as {written:?}: {error}"));
    assert_eq!(again, quantity, "{text:?} is written as {written:?}");
    assert_eq!(again.to_string(), written, "{text:?}");
    let up = quantity.rounded_to_milli();
    assert_eq!(up.milli_value(), quantity.milli_value(), "{text:?}");
    assert_eq!(quantity.is_negative(), quantity < Quantity::units(0));
    let _ = (quantity.value(), quantity.plus(quantity), quantity.minus(quantity));
});
