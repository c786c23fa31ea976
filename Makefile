# Köşk. On a fresh Debian 12 with Go, git and make:
#
#   make run     build, and run the kiosk with simulated devices
#   make test    everything that must hold before a change lands
#   make check   the part of it that takes seconds: format, vet, lint, rules
#   make fuzz    fuzz every parser, FUZZTIME each (3s; make fuzz FUZZTIME=10m). In make test what reads cards gets 10s
#   make bench   measure; writes out/bench.json
#   make crash   cut the power of the queue in every way; writes out/crash.json (up to an hour and a half)
#   make long    what make test does a part of: 1,000 cards put in, every command cut, 10,000 troubles with paper (half an hour)
#   make clean   forget what was built
#
# The rules are: nothing is installed but by build/deps; every step has a
# deadline; and there is one set of build flags, so that the OpenGL bindings,
# four minutes of C, are compiled once and not once a target.

.PHONY: run test check fuzz bench crash long clean build deps tools format
.DEFAULT_GOAL := build

export GOFLAGS := $(strip $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath)
FUZZTIME ?= 3s
OUT := out

# within 10m: the step, ended when it takes longer. By hand it stays in the
# foreground, where Ctrl-C reaches it; in CI its children end with it.
within = timeout --kill-after=30s $(if $(CI),,--foreground)

# silent(step,what): the step must print nothing; what says what its words are.
silent = echo '$(wordlist 2,99,$(1))'; words=$$($(within) $(1)) || exit; [ -z "$$words" ] || { echo "$(2):"; echo "$$words"; exit 1; }

# Packages that draw through OpenGL. With the race detector its bindings would
# be compiled a second time; the race detector sees the rest.
opengl = go list -f '{{$$p := .ImportPath}}{{range .Deps}}{{if eq . "github.com/go-gl/glfw/v3.3/glfw"}}{{$$p}}{{end}}{{end}}' ./...

run: build
	$(OUT)/bin/kiosksim run --out $(OUT)/visit

test: check build
	$(within) 30m go run ./build/fuzz -for $(FUZZTIME) -longer '^drivers/(card|signer)/'
	@$(within) 25m go test -timeout=20m $$($(opengl))
	@$(within) 40m go test -race -timeout=20m $$(go list ./... | grep -vxF "$$($(opengl))")

check: deps tools
	@$(call silent,2m $(OUT)/tools/gofumpt -l .,not formatted (mend with make format))
	$(within) 20m go vet ./...
	$(within) 20m $(OUT)/tools/staticcheck -checks all ./...
	@$(call silent,10m $(OUT)/tools/deadcode -test ./...,dead code)
	$(within) 10m go test ./build/rules

build: deps
	$(within) 20m go build -o $(OUT)/bin/ ./cmd/...

deps:
	@$(within) 20m build/deps
	@$(within) 10m build/foreign/install
	@$(within) 10m go mod download

tools: deps
	@$(within) 20m go -C build/tools build -o $(CURDIR)/$(OUT)/tools/ tool

format: tools
	$(OUT)/tools/gofumpt -w .

fuzz: deps
	go run ./build/fuzz -for $(FUZZTIME)

bench: build
	$(within) 30m go run ./build/bench -bin $(OUT)/bin -out $(OUT)/bench.json

crash: deps
	$(within) 100m go run ./build/crash -out $(OUT)/crash.json

long: deps
	KOSK_LONG=1 $(within) 60m go test -count=1 -timeout=55m ./drivers/card/... ./drivers/signer/... ./device/identity
	$(within) 30m go test -count=1 -timeout=25m -run 'Troubles|Interruptions' ./drivers/printer/escpos -args -troubles 10000 -interruptions 0

clean:
	rm -rf $(OUT)
