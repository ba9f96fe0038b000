# kronbit: `make demo` shows a search, `make test` builds and tests everything, `make help` lists the rest.
.DEFAULT_GOAL := all
.PHONY: all demo paper-quick test bench bench-training bench-deployed bench-gp bench-search cuda-check cuda-bundle report asan format deps help cifar10 clean
BUILD ?= build
# As many as there are processors, and 700 MB of memory for each: a compiler takes up to 500.
JOBS ?= $(shell awk -v p=$$(nproc 2>/dev/null || echo 2) '/^MemAvailable/ { m = 1024 * $$2 } /^[0-9]+$$/ && $$1 < m { m = $$1 } \
  END { n = int(m / 7e8); if (m == "" || n > p) n = p; print(n < 1 ? 1 : n) }' /proc/meminfo $(wildcard /sys/fs/cgroup/memory.max))
# make CUDA=0 builds without kernels for NVIDIA GPUs; by itself they are built where nvcc is found.
CONFIGURE = cmake -S . -B $(BUILD) $(if $(CUDA),-DKRONBIT_CUDA=$(if $(filter 0 OFF off no,$(CUDA)),OFF,ON)) $(if $(wildcard $(BUILD)/CMakeCache.txt),,$(shell command -v ninja >/dev/null 2>&1 && echo -G Ninja))

all: deps  ## build the program (build/kronbit) and the experiments (build/experiments/)
	@$(CONFIGURE) -DKRONBIT_TESTS=OFF >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

demo: all  ## the main job in minutes, on the built-in data: train, search, rank, export, report
	@sh apps/demo.sh $(BUILD)

paper-quick: all  ## every table and figure of the paper in its short form, on the built-in data (in build/paper-quick)
	@sh apps/experiments/quick.sh $(BUILD)

test: deps  ## build and run all tests
	@$(CONFIGURE) -DKRONBIT_TESTS=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)
	@cd $(BUILD) && ctest --output-on-failure --progress -j $(JOBS)

bench: deps  ## build and run the kernel benchmarks
	@$(CONFIGURE) -DKRONBIT_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)
	@for b in $(BUILD)/bench_*; do \
	  case $$b in */bench_device) nvidia-smi >/dev/null 2>&1 || { echo "$$b: skipped, no GPU"; continue; };; esac; \
	  $$b || exit 1; \
	done

bench-training: deps  ## whole training steps beside PyTorch, where python3 has it; writes docs/results/ (ARGS=--quick: build/quick/)
	@$(CONFIGURE) -DKRONBIT_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target bench_training
	@python3 bench/training.py --ours $(BUILD)/bench_training $(ARGS)

bench-deployed: deps  ## deployed networks and low-bit kernels beside PyTorch and oneDNN; writes docs/results/ (ARGS=--quick: build/quick/)
	@$(CONFIGURE) -DKRONBIT_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target bench_deployed bench_block_product
	@python3 bench/low_bit_kernels.py --ours $(BUILD)/bench_block_product $(filter --quick,$(ARGS))
	@python3 bench/deployed.py --ours $(BUILD)/bench_deployed $(ARGS)

bench-gp: deps  ## the search's Gaussian process beside BoTorch, where python3 has it; writes docs/results/ (ARGS=--quick: build/quick/)
	@$(CONFIGURE) -DKRONBIT_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target bench_gp
	@python3 bench/gp.py --ours $(BUILD)/bench_gp $(ARGS)

CUDA_TARGETS = kronbit_program bench_device test_tensor test_nn test_quant
cuda-check: deps  ## on a machine with an NVIDIA GPU: tests every kernel there, times them, writes docs/results/cuda-GPU.md
	@$(CONFIGURE) -DKRONBIT_TESTS=ON -DKRONBIT_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target $(CUDA_TARGETS)
	@python3 bench/cuda.py --bin $(BUILD) $(ARGS)

cuda-bundle: deps  ## build/cuda-bundle.tar.xz: the same check for a machine with a GPU but without packages or network
	@$(CONFIGURE) -DKRONBIT_TESTS=ON -DKRONBIT_BENCH=ON >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target $(CUDA_TARGETS)
	@sh bench/cuda_bundle.sh $(BUILD) $(BUILD)/cuda-bundle

bench-search: all  ## search strategies and models judged on data/tables/, by replays; writes docs/results/
	$(BUILD)/experiments/strategies --preset paper --inputs bits+error --budget 16 \
	  --goals effective,accuracy@90KB,accuracy@110KB,accuracy@140KB,accuracy@170KB --replays 100 --observe accuracy --out docs/results
	$(BUILD)/experiments/strategies --preset paper --function all --candidates 400 --replays 8 --budget 15 --out docs/results/functions
	$(BUILD)/experiments/models --preset paper --out docs/results

report: all  ## write RUN/report.html again: make report RUN=folder
	@test -n "$(RUN)" || { echo "make report RUN=folder of a search"; exit 2; }
	@$(BUILD)/kronbit report "$(RUN)"

asan: deps  ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer (in build/asan)
	@cmake -S . -B build/asan -DKRONBIT_SANITIZE=ON -DKRONBIT_TESTS=ON >/dev/null
	@cmake --build build/asan -j $(JOBS)
	@cd build/asan && ASAN_OPTIONS=detect_leaks=1 ctest --output-on-failure --progress -j $(JOBS)

format:  ## clang-format every source
	@clang-format -i $$(git ls-files '*.h' '*.cpp' '*.cu')

deps:  ## install the Debian packages that are missing
	@sh .ci/deps

DIR ?= $(HOME)/.cache/kronbit
cifar10:  ## download CIFAR-10 (163 MB), check it and unpack it: make cifar10 [DIR=folder]
	@sh data/cifar10.sh "$(DIR)"

clean:  ## remove what was built
	@rm -rf $(BUILD)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
