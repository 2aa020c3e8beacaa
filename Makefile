# make test   set up .venv and run the test suite     (more arguments: ARGS="tests/volume -x")
#             in two processes; JOBS=0 runs it in one
# make demo   set up .venv and run the main job on the sample volume
# make tour   the pictures of README.md and docs/tutorial.md, made on the sample volume
# make lint   style and types
# make clean  remove the environment and everything built

PYTHON ?=
VENV := .venv
JOBS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

# The tests start some hundred processes; without bytecode on the disk each would compile all anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: test demo tour lint setup clean
.DEFAULT_GOAL := test

test: $(STAMP)
	@scripts/with-display $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

demo: $(STAMP)
	@scripts/with-display $(BIN)/python -m napari_sslseg.demo $(ARGS)

tour: $(STAMP)
	@scripts/with-display $(BIN)/python scripts/make_tour.py $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: $(STAMP)

# Set up again whenever something changes that an editable install does not follow by itself.
$(STAMP): pyproject.toml constraints.txt napari.yaml hatch_build.py scripts/setup
	@PYTHON="$(PYTHON)" scripts/setup $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist demo_out napari_sslseg/napari.yaml
	rm -rf .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find napari_sslseg tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
