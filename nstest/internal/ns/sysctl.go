package ns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Sysctls is where the settings of the calling thread's namespaces are: those of its network namespace below net, which is
// what InNet is for.
const Sysctls = "/proc/sys"

// WriteSysctl sets one of them (proc_sys(5)). dir is Sysctls but for tests.
func WriteSysctl(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("set sysctl: %w", err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set sysctl: %w", err)
	}
	return nil
}
