package loan

import (
	"os"
	"testing"

	"github.com/hermetic-go/nstest/nstest/internal/ns/mapped"
)

func TestMain(m *testing.M) { os.Exit(mapped.Main(m)) }
