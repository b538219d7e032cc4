# The one entry point. `make demo` plays the main lab, `make test` runs every test, `make help` lists the rest.

TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# One set of flags and one target directory for all work, so that nothing is compiled twice. With --target the flags do not
# reach build scripts and procedural macros, which cannot be static.
export RUSTFLAGS ?= -C target-feature=+crt-static -C relocation-model=static
# The second line of `glassbox --version`.
export GLASSBOX_COMMIT ?= $(shell git describe --always --dirty --abbrev=12 2>/dev/null)
RELEASE := target/$(TARGET)/release/glassbox
# The kernels under which the tests of tests/vm run: KERNELS="6.1 6.12".
KERNELS ?= 6.1
SCRIPTS = $(shell grep -rlE '^\#!.*sh$$' rootfs-scripts tests .ci)

.DEFAULT_GOAL := build

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z][a-z0-9.-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: build
build: ## the static release programs, glassbox and glassbox-runtime
	@rootfs-scripts/install-tools build
	@rootfs-scripts/build-release
	@echo "built: $(RELEASE)"

.PHONY: demo
demo: ## builds glassbox, then plays the qos lab: here with cgroup v2 and root, else in a VM
	@rootfs-scripts/install-tools build
	@rootfs-scripts/build-release --bin glassbox
	@rootfs-scripts/demo $(RELEASE) qos

.PHONY: test
test: tools lint test-host ## every test: format, lints, unit, project, command line, and in the VM
	@rootfs-scripts/vm-tests

.PHONY: tools
tools:
	@rootfs-scripts/install-tools test

.PHONY: lint
lint: ## format, clippy and shellcheck, warnings denied
	cargo fmt --check
	cargo clippy --target $(TARGET) --all-targets -- -D warnings
	cargo clippy --target $(TARGET) --test vm --test engines -- -D warnings
	shellcheck --external-sources --check-sourced $(SCRIPTS)

.PHONY: test-host
test-host: ## the tests that need no root
	cargo test --target $(TARGET)

.PHONY: test-vm
test-vm: ## the tests that need root and cgroup v2, in the VM; KERNELS="6.1 6.12" for more kernels
	@set -e; for kernel in $(KERNELS); do rootfs-scripts/vm-tests --kernel $$kernel vm; done

.PHONY: test-engines
test-engines: ## podman, docker and containerd with glassbox as their runtime, and systemd, in the VM
	@rootfs-scripts/vm-tests engines

.PHONY: test-6.12
test-6.12: ## the VM's tests under Linux 6.12
	@$(MAKE) --no-print-directory test-vm KERNELS=6.12

# Seconds of `make soak`, and of each target of `make fuzz`; which targets those are.
SOAK_SECONDS ?= 1800
FUZZ_SECONDS ?= 600
FUZZ ?= spec validation plan seccomp layer quantity pod
SEED = $(if $(GLASSBOX_SEED),--env GLASSBOX_SEED=$(GLASSBOX_SEED))

.PHONY: soak
soak: ## half an hour of everything at random in the VM; SOAK_SECONDS, GLASSBOX_SEED
	@rootfs-scripts/install-tools build vm
	rootfs-scripts/vm test --timeout $$(($(SOAK_SECONDS) + 900)) --env SOAK_SECONDS=$(SOAK_SECONDS) $(SEED) -- --nocapture soak::

.PHONY: endure
endure: ## 1000 containers and 150 times kill -9 in the VM; GLASSBOX_SEED
	@rootfs-scripts/install-tools build vm
	rootfs-scripts/vm test --memory 3G --env GLASSBOX_ENDURE=full $(SEED) -- --nocapture endurance::

.PHONY: fuzz
fuzz: ## each fuzz target for ten minutes; FUZZ="layer pod", FUZZ_SECONDS
	@rootfs-scripts/install-tools fuzz
	@set -e; for target in $(FUZZ); do mkdir -p fuzz/corpus/$$target fuzz/seeds/$$target; \
	env -u RUSTFLAGS cargo +nightly fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	-max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=10; done

.PHONY: bench
bench: ## what starts and many containers, pods and layers cost, beside runc and crun; BENCH=--vm for the VM
	@rootfs-scripts/install-tools build vm
	@tests/bench/run $(BENCH)

.PHONY: vm-shell
vm-shell: ## a login shell in the VM, with glassbox in it
	@rootfs-scripts/install-tools build vm
	@rootfs-scripts/vm shell

.PHONY: clean
clean: ## removes what was built; the VM's cache goes by rootfs-scripts/vm clean
	cargo clean
