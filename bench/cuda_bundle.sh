#!/bin/sh
# usage: bench/cuda_bundle.sh BUILD FOLDER
# Puts what bench/cuda.py needs into a folder that can be carried to a machine with a GPU and without network, compiler
# or packages: programs, the libraries they are linked with, scripts; and FOLDER.tar.xz of it. There:
#   tar -xf FOLDER.tar.xz && sh FOLDER/check.sh [OUT]
set -eu
build=$1 folder=$2
here=$(dirname "$0")
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/lib" "$folder/bench/peers" "$folder/tests/nn/golden"
for program in kronbit bench_device test_tensor test_nn test_quant; do
  cp "$build/$program" "$folder/bin/"
  strip "$folder/bin/$program"
  ldd "$build/$program" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p'
done | sort -u | while read -r library; do
  case $library in
    */libc.so*|*/libm.so*|*/ld-linux*|*/libpthread*|*/libdl*|*/librt*) ;;  # those of the machine itself
    *) cp -L "$library" "$folder/lib/" ;;
  esac
done
cp "$here/cuda.py" "$folder/bench/"
cp "$here/peers/torch_cuda.py" "$here/peers/torch_training.py" "$folder/bench/peers/"
cp "$here/../tests/nn/golden/models.py" "$folder/tests/nn/golden/"
cat >"$folder/check.sh" <<'CHECK'
#!/bin/sh
# Tests and times the GPU's kernels; writes cuda-GPU.json and cuda-GPU.md into OUT (the first argument, or here).
cd "$(dirname "$0")"
LD_LIBRARY_PATH=$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec python3 bench/cuda.py --bin bin --out "${1:-.}"
CHECK
tar -C "$(dirname "$folder")" -cf - "$(basename "$folder")" | xz -T0 -3 >"$folder.tar.xz"
du -h "$folder.tar.xz"
