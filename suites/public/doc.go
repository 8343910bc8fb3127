// Package public runs other people's Ginkgo suites, which know nothing of environments, as they are and under
// nstest.RunSpecs. Each spec must end the same way in both; where one does not, the catalogue says why.
//
// The modules are downloaded from the Go module proxy at pinned versions. That takes minutes, so it is part of `make
// soak` alone. As an ordinary user it runs the suites that need no root without environments either.
package public
