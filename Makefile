# Two commands: `make demo` shows the product at work, `make test` proves it. Each sets up all it needs in .venv.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := env -u PYTHONPATH AMENT_PREFIX_PATH=$(CURDIR)/$(VENV) PATH=$(CURDIR)/$(VENV)/bin:$(PATH) \
	ROS_AUTOMATIC_DISCOVERY_RANGE=$(or $(ROS_AUTOMATIC_DISCOVERY_RANGE),LOCALHOST) \
	FASTRTPS_DEFAULT_PROFILES_FILE=$(CURDIR)/config/fastdds_shared_memory.xml
EXTRAS := ros,streetworld,dsec,aedat4,export,openvino,ray,viz,docs,test,dev
# The lock has the hashes of one Python on one platform; elsewhere versions are pinned without hashes.
LOCK_FITS := -c 'import platform, sys; sys.exit((sys.version_info[:2], sys.platform, platform.machine()) != ((3, 11), "linux", "x86_64"))'
# Only for `make mutants`, and so not in the lock.
MUTATION := --no-deps mutmut==3.8.1 libcst==1.9.0
# A machine with more cores may give more.
TEST_PROCESSES ?= 2
# Whole files go to one process, in the order of their names: by default those of a single test come last, which are the
# longest trainings, and the other process has nothing left to do beside them.
IN_FILES := --dist loadfile --no-loadscope-reorder

.PHONY: help setup test coverage mutants demo streetworld-quick bench lint docs build wheel clean

help:
	@echo "make demo    street world -> segmentation node -> pictures in demo/out, for depth, thermal and events"
	@echo "make test    all tests"
	@echo "make coverage  all tests, and what they run of each package: at least 90 % of lines and of branches"
	@echo "make mutants  small changes of metrics, voxel grid, image conversion and checkpoints, which tests must notice (hours)"
	@echo "make streetworld-quick  source only against MADM on the synthetic street, two trainings of some minutes"
	@echo "make bench   benchmarks (minutes; compare ratios, not times)"
	@echo "make lint    ruff and mypy"
	@echo "make docs    the documentation as a site, in build/site"
	@echo "make build   colcon build of the ROS 2 package into build/ and install/"
	@echo "make wheel   source distribution and wheel, in dist/"
	@echo "make setup   only the environment .venv (4 GB; $(PYTHON) must be 3.10 to 3.12)"
	@echo "make clean   remove what the others made, the environment included"

setup: $(READY)

$(READY): constraints.txt requirements.lock setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else f"Python 3.10 to 3.12 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	@echo "Setting up $(VENV): about 3 minutes and 4 GB (several more with PyPI's CUDA build of PyTorch), without a word from pip in between."
	@echo "  1/3 build tools ..."
	@$(VENV)/bin/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@env -u PYTHONPATH $(VENV)/bin/python -m pip install --quiet --constraint constraints.txt "setuptools<80" wheel
	@echo "  2/3 some 250 pinned packages, PyTorch the largest ..."
	@if $(VENV)/bin/python $(LOCK_FITS); then env -u PYTHONPATH $(VENV)/bin/python -m pip install --quiet \
		--require-hashes --no-deps --no-build-isolation --requirement requirements.lock; fi
	@echo "  3/3 madm_ros itself, and what is still missing ..."
	@env -u PYTHONPATH $(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[$(EXTRAS)]"
	@touch $(READY)
	@echo "$(VENV) is ready."

test: $(READY)
	@echo "Running all tests in $(TEST_PROCESSES) processes (about eight minutes on 2 cores) ..."
	@$(RUN) python -m pytest -n $(TEST_PROCESSES) $(IN_FILES)

coverage: $(READY)
	@rm -rf build/coverage
	@$(RUN) python -m pytest -n $(TEST_PROCESSES) $(IN_FILES) --cov --cov-report=
	@$(RUN) coverage html --quiet
	@$(RUN) coverage json --quiet -o build/coverage/coverage.json
	@$(RUN) python .ci/check_coverage.py build/coverage/coverage.json

mutants: $(READY)
	@$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt $(MUTATION)
	@$(RUN) OMP_NUM_THREADS=1 python benchmarks/mutants.py $(MUTANTS)

demo: $(READY)
	@$(RUN) python demo/run.py

streetworld-quick: $(READY)
	@$(RUN) python benchmarks/streetworld_quick.py

bench: $(READY)
	@$(RUN) python benchmarks/run_all.py

lint: $(READY)
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

docs: $(READY)
	@$(RUN) env NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "build/site/index.html is ready; external_links.txt beside it lists links to other sites, which are not followed."

build: $(READY)
	@$(RUN) colcon build

wheel: $(READY)
	@rm -rf dist
	@$(RUN) python setup.py --quiet sdist --dist-dir dist
	@$(RUN) python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist dist/madm_ros-*.tar.gz
	@ls -sh dist

clean:
	rm -rf $(VENV) build install log dist *.egg-info demo/out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
