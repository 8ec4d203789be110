# make demo   install, convert the model that ships with edgevid, run it on the clip that ships
# make test   install what the tests need and run them all
# make lint   ruff, mypy, import-linter; shellcheck and hadolint for jetson/
# make demo-model   train the shipped model anew (a few minutes) and measure it

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out
PYTEST_ARGS ?= -n auto --dist loadfile --max-worker-restart 0

# A machine without an NVIDIA GPU wants PyTorch's CPU build; the plain one is gigabytes of CUDA.
TORCH ?= 2.13.0
comma := ,
# The TensorRT-RTX wheels exist for x86-64 only.
RTX := $(if $(filter x86_64,$(shell uname -m)),$(comma)tensorrt-rtx)

# Its wheels exist for x86-64 only; elsewhere the system's package.
SHELLCHECK := $(if $(filter x86_64,$(shell uname -m)),$(BIN)/)shellcheck

.PHONY: demo test lint demo-model clean

demo: $(VENV)/.demo-installed
	@mkdir -p $(OUT)
	$(BIN)/edgevid convert edgevid/demo/model.onnx --spec edgevid/demo/spec.toml \
	  --out $(OUT)/demo.edgevid --force
	$(BIN)/edgevid run $(OUT)/demo.edgevid --source edgevid/demo/demo.mp4 --smooth mean:4 \
	  --jsonl $(OUT)/demo.jsonl --summary $(OUT)/demo-summary.json --trace $(OUT)/demo.npz
	$(BIN)/edgevid replay $(OUT)/demo.npz --truth edgevid/demo/truth.json \
	  --plot $(OUT)/demo-timeline.svg

test: $(VENV)/.dev-installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SHELLCHECK) jetson/install.sh tests/jetson/under_systemd.sh .ci/run
	$(BIN)/hadolint jetson/Dockerfile

demo-model: $(VENV)/.dev-installed
	$(BIN)/python -m edgevid.benchmarks.demo_model --out edgevid/demo

clean:
	rm -rf $(VENV) $(OUT) build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[convert]'
	touch $@

$(VENV)/.dev-installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==$(TORCH)+cpu' || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --editable '.[dev,torch,cuda,openvino$(RTX)]'
	touch $@
