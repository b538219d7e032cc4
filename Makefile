# The one entry point. `make demo` plays the main lab, `make test` runs every test, `make help` lists the rest.

TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
export RUSTFLAGS ?= -C target-feature=+crt-static

.PHONY: build
## build: the static release binary
build:
	cargo build --release --target $(TARGET)
