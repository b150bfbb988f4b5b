# Thin wrappers over `parley` and pytest. `make demo` is the place to start.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers

.PHONY: install native weights demo serve test test-weights test-unit test-cluster test-servers test-e2e test-vendors-live lint format bench bench-peers clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt deploy/install.sh
	bash deploy/install.sh $(PYTHON) $(VENV)
	@touch $@

# llama.cpp for the processor that this runs on, where the wheel knows no more than AVX2: docs/performance.md.
native: install
	CMAKE_ARGS="-DLLAMA_LLGUIDANCE=OFF -DLLAMA_BUILD_BORINGSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF" $(BIN)/pip install \
	  --force-reinstall --no-deps --no-binary xllamacpp -c constraints.txt xllamacpp
	$(BIN)/parley models pull smollm2-135m-bf16

weights: install
	$(BIN)/parley models pull

demo: weights
	$(BIN)/parley demo $(if $(KNOWLEDGE),--knowledge $(KNOWLEDGE)) $(foreach wav,$(WAV),--wav $(wav))

serve: weights
	$(BIN)/parley serve

test: test-unit test-cluster test-e2e

test-weights: install
	$(BIN)/parley models pull --dev
	$(BIN)/parley models pull whisper-base

test-unit: test-weights
	$(BIN)/pytest tests/unit tests/vendors -n 2

test-cluster: test-weights
	$(BIN)/pytest tests/cluster --durations=25

test-servers: test-weights
	$(BIN)/pytest tests/servers --durations=6

test-vendors-live: install
	PARLEY_TEST_LIVE=1 $(BIN)/pytest tests/vendors -m real -rs

test-e2e: test-weights
	$(BIN)/pytest tests/e2e -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: weights
	$(BIN)/parley bench

$(PEERS)/.installed: bench/peers/requirements.txt bench/peers/set_up.sh
	bash bench/peers/set_up.sh $(PYTHON) $(PEERS)
	@touch $@

bench-peers: weights $(PEERS)/.installed
	$(BIN)/python -m bench.peers $(ARGS)

clean:
	rm -rf $(VENV) $(PEERS) var out
