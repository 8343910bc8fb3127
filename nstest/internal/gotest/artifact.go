package gotest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hermetic-go/nstest/nstest/internal/salvage"
)

// outputDir is the -test.outputdir of twins: a directory that environments have of their own, whatever is visible, and in
// which everybody may write.
const outputDir = "/tmp"

// copyArtifacts copies a directory for artifacts from inside.
func copyArtifacts(root *os.File, a artifact) error {
	rel, ok := strings.CutPrefix(filepath.Clean(a.inside), outputDir+"/")
	if !ok {
		return fmt.Errorf("it is not in %s", outputDir)
	}
	return salvage.Directory(root, strings.TrimPrefix(outputDir, "/"), rel, a.outside)
}
