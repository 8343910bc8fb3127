#!/bin/sh
# Builds the init for the architectures that have a static one: build.sh [DIRECTORY]. The compilers are part of the
# result: the file COMPILER names the versions whose output is checked in.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
build() { # ARCH COMPILER FLAG
	"$2" -std=gnu11 -Os -static -nostdlib -nostartfiles -ffreestanding -fno-builtin -fno-stack-protector -fno-pic -no-pie \
		-fno-asynchronous-unwind-tables -fno-ident -fno-tree-loop-distribute-patterns "$3" -Wall -Wextra \
		-Wl,--build-id=none,-z,noseparate-code,-z,norelro -s -o "$out/init_$1.bin" "$here/init.c"
}
build amd64 x86_64-linux-gnu-gcc -fcf-protection=none
build arm64 aarch64-linux-gnu-gcc -mno-outline-atomics
