//! Kubernetes rules as pure functions: from a Pod to the values a kubelet and a runtime would write.
