#!/bin/sh
# Builds the init for the architectures that have a static one:
#
#	build.sh [DIRECTORY]	into DIRECTORY; default: beside this script
#	build.sh -versions	prints what is used to build
#
# The compilers are part of the result: the file COMPILER is what -versions printed where the checked-in files come from.
# Debian, Ubuntu: packages gcc-x86-64-linux-gnu, gcc-aarch64-linux-gnu and, for <asm/unistd.h>, linux-libc-dev-arm64-cross.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export LC_ALL=C SOURCE_DATE_EPOCH=0
if [ "${1:-}" = -versions ]; then
	for arch in x86_64 aarch64; do
		"$arch-linux-gnu-gcc" --version | head -n 1
		"$("$arch-linux-gnu-gcc" -print-prog-name=ld)" --version | head -n 1
	done
	exit
fi
out=$(cd "${1:-$here}" && pwd)
cd "$here"
build() { # ARCH COMPILER FLAGS...
	arch=$1 compiler=$2
	shift 2
	"$compiler" -std=gnu11 -Os -static -nostdlib -nostartfiles -ffreestanding -fno-builtin -fno-stack-protector -fno-pic -no-pie \
		-fno-asynchronous-unwind-tables -fno-ident -fno-tree-loop-distribute-patterns -fno-strict-aliasing -fno-lto "$@" -Wall -Wextra -Werror \
		-Wl,--build-id=none,-z,noseparate-code,-z,norelro,-z,noexecstack -s -o "$out/init_$arch.bin" init.c
}
# A child shares the stack of the init until it execs: nothing may lie below the stack pointer.
build amd64 x86_64-linux-gnu-gcc -fcf-protection=none -mno-red-zone
build arm64 aarch64-linux-gnu-gcc -mno-outline-atomics -fno-unwind-tables
