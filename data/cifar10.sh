#!/bin/sh
# Downloads the binary version of CIFAR-10 into the folder given, verifies it, unpacks it, and says how to use it.
# Source: https://www.cs.toronto.edu/~kriz/cifar.html (which publishes the MD5 sum below).
set -eu
folder=${1:?"usage: cifar10.sh FOLDER"}
url=https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz
md5=c32a1d4ab5d03f1284b67883e8d87530
if [ -s "$folder/cifar-10-batches-bin/test_batch.bin" ]; then
  echo "already there: --data cifar10:$folder/cifar-10-batches-bin"
  exit 0
fi
mkdir -p "$folder"
archive=$folder/cifar-10-binary.tar.gz
if command -v curl >/dev/null 2>&1; then curl -fL --retry 3 -o "$archive.part" "$url"
elif command -v wget >/dev/null 2>&1; then wget -O "$archive.part" "$url"
else
  echo "cifar10: wanted curl or wget to download $url" >&2
  exit 2
fi
got=$(md5sum "$archive.part" | cut -d' ' -f1)
if [ "$got" != "$md5" ]; then
  rm -f "$archive.part"
  echo "cifar10: $url: wanted the MD5 sum $md5, got $got" >&2
  exit 1
fi
mv "$archive.part" "$archive"
rm -rf "$folder/unpacking"
mkdir "$folder/unpacking"
tar -xzf "$archive" -C "$folder/unpacking"
rm -rf "$folder/cifar-10-batches-bin"
mv "$folder/unpacking/cifar-10-batches-bin" "$folder/"
rmdir "$folder/unpacking"
echo "ready: --data cifar10:$folder/cifar-10-batches-bin"
