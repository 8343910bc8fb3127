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
repeat() { # N COMMAND...: Ginkgo's suites refuse go test's own -count above 1
	left=$1
	shift
	while [ "$left" -gt 0 ]; do
		"$@"
		left=$((left - 1))
	done
}
properties=
for suite in uts ipc pid mount network user cgroup time proc hygiene devices security; do
	properties="$properties ./suites/$suite"
done
networks=
for suite in capture daemons firewall ipv6 links names nat outbound routers serve topology; do
	networks="$networks ./suites/network/$suite"
done

part repeat 5 $GOTEST -count 1 -timeout 5m ./suites/smoke/...
part repeat 5 $GOTEST -count 1 -timeout 5m ./suites/microservices/...
part $GOTEST -count 1 -timeout 20m ./suites/robustness/...
part $GOTEST -count 1 -race -timeout 20m ./suites/robustness/...
part repeat 3 $GOTEST -count 1 -race -timeout 10m ./nstest/...
part repeat 5 $GOTEST -count 1 -timeout 5m ./suites/hermetic/...
part repeat 10 $GOTEST -count 1 -timeout 5m $properties
part repeat 3 $GOTEST -count 1 -timeout 10m $networks
part repeat 3 $GOTEST -count 1 -timeout 10m ./suites/network/segments # alone: its thousand hosts fill the machine's table of neighbours
part $GOTEST -count 1 -timeout 20m ./suites/network/reachability
part $GOTEST -count 1 -timeout 10m ./fixtures/... ./suites/microservices/shop
part repeat 3 $GOTEST -count 1 -timeout 5m ./suites/mutation
part $GOTEST -count 1 -timeout 20m ./suites/fidelity/... ./suites/failure/...
part env NSTEST_SPARES=0 $GOTEST -count 1 -timeout 10m ./suites/hermetic/...
part env NSTEST_INIT=go CGO_ENABLED=0 $GOTEST -count 1 -timeout 10m ./suites/smoke/... # a dynamic one finds no linker in other roots
part $GOTEST -count 1 -run TestConformNeedsOneFile ./cmd/nstest # of a program without cgo
part go test -run '^$' -fuzz FuzzServe -fuzztime 60s ./nstest/internal/wire
part go test -run '^$' -fuzz FuzzTranslate -fuzztime 30s ./nstest/internal/translate
part go run github.com/onsi/ginkgo/v2/ginkgo -p $networks ./suites/network/segments
part go run github.com/onsi/ginkgo/v2/ginkgo -p --repeat 3 ./suites/smoke ./suites/microservices ./suites/hermetic
part go run github.com/onsi/ginkgo/v2/ginkgo -p --repeat 9 $properties
if [ "$count" -eq 1 ]; then # other people's suites take longer than all the rest
	part $GOTEST -count 1 -v -timeout 60m ./suites/public
fi
