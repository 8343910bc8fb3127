#!/bin/sh
# The soak: what takes too long for every commit. soak.sh I/N runs the I-th of N slices, soak.sh everything.
set -eu
cd "$(dirname "$0")/.."
GOTEST=${GOTEST:-go test}
slice=${1:-1/1}
index=${slice%/*} count=${slice#*/}
export NSTEST_SOAK=1
number=0
part() { # COMMAND...
	number=$((number + 1))
	if [ $(((number - 1) % count + 1)) -eq "$index" ]; then
		echo "soak $number: $*"
		"$@"
	fi
}
part $GOTEST -count 10 -timeout 20m ./suites/smoke/...
part $GOTEST -count 5 -timeout 20m ./suites/microservices/...
part $GOTEST -count 1 -timeout 20m ./suites/robustness/...
part $GOTEST -count 3 -race -timeout 20m ./suites/robustness/...
part $GOTEST -count 5 -race -timeout 20m ./nstest/...
part env NSTEST_INIT=go $GOTEST -count 1 -timeout 20m ./suites/smoke/...
part go test -run '^$' -fuzz FuzzServe -fuzztime 60s ./nstest/internal/wire
part go run github.com/onsi/ginkgo/v2/ginkgo -p --repeat 5 ./suites/smoke ./suites/microservices
